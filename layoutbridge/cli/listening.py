"""What libraries log and warn of, as remarks of the command line; imported by commands, not by completion."""

from __future__ import annotations

import logging
import warnings

from layoutbridge.cli.shared.printing import remark


def tell_what_libraries_say() -> None:
    """Have each warning, and each error that is logged and that nobody listens to, told in a line."""
    logging.lastResort = _Remarks(logging.ERROR)  # Python's own writes warnings, too: of caches in homes, say
    warnings.showwarning = _tell_warning


class _Remarks(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        """Tell it."""
        remark(f"{record.name}: {record.getMessage()}")


def _tell_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    """A warning of somebody else's code in one line, without the line of code that Python would add."""
    remark(f"{category.__name__}: {message}")
