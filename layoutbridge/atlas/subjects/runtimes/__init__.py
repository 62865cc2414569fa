"""Runtimes: what their own ops do."""
