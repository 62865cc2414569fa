"""The command line: parses, calls, prints. What the commands do lives elsewhere, and is imported when it is used."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import typer

from layoutbridge.cli import export_command, network_commands, operation_commands
from layoutbridge.cli.application import app
from layoutbridge.cli.printing import remark
from layoutbridge.cli.process import own_process
from layoutbridge.errors import CfgError, LayoutBridgeError, class_and_first_line
from layoutbridge.version import __version__

__all__ = ["app", "export_command", "main", "network_commands", "operation_commands", "program"]


def _fail(*lines: str) -> int:
    for line in lines:
        remark(line)
    return 2


def _own_fault(error: Exception) -> int:
    """Say that we are to blame, and where the trace is."""
    import tempfile
    import traceback

    told = f"this is a fault of layoutbridge, not of your input: {class_and_first_line(error)}"
    try:
        number, path = tempfile.mkstemp(prefix="layoutbridge-", suffix=".txt")
        with open(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"layoutbridge {__version__}, Python {sys.version}\n{' '.join(sys.argv)}\n\n")
            file.writelines(traceback.format_exception(error))
        remark(f"{told}; the trace is in '{path}': please send it with your report")
    except OSError:
        remark(told)
        traceback.print_exception(error)
    return 3


def _terminated(number: int, _: object) -> None:
    raise SystemExit(128 + number)


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def program() -> int:
    """`main` in a process of its own, whose stderr and environment are the command line's."""
    with own_process():
        return main()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. Unusable input becomes a line on stderr and code 2.

    A cfg file with several errors becomes a line each. A fault of our own is code 3: a line, and a file with its trace.
    """
    with suppress(ValueError):  # only the main thread may say what a signal does
        for ending in ("SIGTERM", "SIGHUP"):  # so that half-written files are taken away
            if hasattr(signal, ending):
                signal.signal(getattr(signal, ending), _terminated)
    for stream in (sys.stdout, sys.stderr):  # what an encoding lacks is written as in Python
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if sys.stdout is None:  # closed by whoever started us
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - as long as the process lives
    try:
        code = app(args=arguments, standalone_mode=False)
        sys.stdout.flush()
    except CfgError as error:
        return _fail(*str(error).split("\n"))
    except LayoutBridgeError as error:
        return _fail(str(error))
    except typer.TyperException as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stdout.write(str(error) + "\n")
            return 0
        return _fail(f"{error.format_message()} (layoutbridge --help tells more)")
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except MemoryError as error:
        return _fail(f"not enough memory: {error}")
    except BrokenPipeError:
        # the reader of a pipe left: nothing to tell, and nothing to flush at exit
        _drop_output()
        return 0
    except OSError as error:
        if error.filename is not None:
            return _fail(f"cannot use '{error.filename}': {error.strerror}")
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EBADF):
            return _own_fault(error)
        _drop_output()
        return _fail(f"cannot write the answer: {error.strerror}")
    except Exception as error:
        return _own_fault(error)
    return code if isinstance(code, int) else 0
