"""``python -m server.api.graphql`` prints the schema."""

from __future__ import annotations

import sys

from server.api.graphql.schema import schema

sys.stdout.write(schema.as_str().rstrip() + "\n")
