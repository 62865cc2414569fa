"""`python -m layoutbridge`."""

from layoutbridge.cli import main

raise SystemExit(main())
