"""`python -m layoutbridge`."""

from layoutbridge.cli import program

raise SystemExit(program())
