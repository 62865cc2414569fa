"""Runs the command line from a checkout: `python cli.py verify`."""

from layoutbridge.cli import program

if __name__ == "__main__":
    raise SystemExit(program())
