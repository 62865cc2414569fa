"""Runs the command line from a checkout: `python cli.py verify`."""

from layoutbridge.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
