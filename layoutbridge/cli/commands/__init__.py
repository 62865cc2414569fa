"""Every command, on one application."""

from __future__ import annotations

from layoutbridge.cli.commands import (
    atlas,
    audit,
    checkpoint,
    compare,
    detect,
    export,
    networks,
    operations,
    rewrite,
    scan,
)
from layoutbridge.cli.shared.application import app

__all__ = [
    "app",
    "atlas",
    "audit",
    "checkpoint",
    "compare",
    "detect",
    "export",
    "networks",
    "operations",
    "rewrite",
    "scan",
]
