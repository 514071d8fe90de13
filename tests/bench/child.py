"""The other end of ``processes.child``."""

from __future__ import annotations

import importlib
import json
import sys

from tests.bench.processes import peak_bytes


def main() -> None:
    module, _, name = sys.argv[1].partition(".")
    function = getattr(importlib.import_module(f"tests.bench.{module}"), name)
    answer = function(**json.loads(sys.argv[2]))
    sys.stdout.write(json.dumps({**answer, "peak": peak_bytes()}) + "\n")


if __name__ == "__main__":
    main()
