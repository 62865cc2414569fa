"""Every command, on one application."""

from __future__ import annotations

from layoutbridge.cli.commands import audit, checkpoint, compare, export, networks, operations, rewrite, scan
from layoutbridge.cli.shared.application import app

__all__ = ["app", "audit", "checkpoint", "compare", "export", "networks", "operations", "rewrite", "scan"]
