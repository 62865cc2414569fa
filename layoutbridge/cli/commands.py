"""Every command, on one application."""

from __future__ import annotations

from layoutbridge.cli import export_command, network_commands, operation_commands
from layoutbridge.cli.application import app

__all__ = ["app", "export_command", "network_commands", "operation_commands"]
