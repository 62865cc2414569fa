"""Importers: what a runtime makes of files in a form that is not its own."""
