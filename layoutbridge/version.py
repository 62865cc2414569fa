"""The version, where every module can take it."""

__version__ = "0.1.0"
