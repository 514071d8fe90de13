"""``python -m server.cli``: the ``holdfast`` command where it is not installed."""

from server.cli import main

main()
