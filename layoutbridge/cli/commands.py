"""Every command, on one application."""

from __future__ import annotations

from layoutbridge.cli import (
    audit_command,
    checkpoint_command,
    compare_command,
    export_command,
    network_commands,
    operation_commands,
    scan_command,
)
from layoutbridge.cli.application import app

__all__ = [
    "app",
    "audit_command",
    "checkpoint_command",
    "compare_command",
    "export_command",
    "network_commands",
    "operation_commands",
    "scan_command",
]
