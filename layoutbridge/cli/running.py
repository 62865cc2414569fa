"""Running a command line to its exit code, whatever happens in it: the one place where errors end.

Nothing but the standard library is imported before errors are caught: what is installed may be broken, too.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from contextlib import suppress

from layoutbridge.cli.completing import command_for_completion, completes, words_in_front
from layoutbridge.cli.process import own_process
from layoutbridge.cli.shared.printing import drop, remark
from layoutbridge.errors import CfgError, LayoutBridgeError, class_and_first_line, visible
from layoutbridge.version import __version__

_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)


class _Ended(SystemExit):
    """A signal ended the process."""


def program() -> int:
    """`main` in a process of its own, whose streams, environment and warnings are the command line's."""
    prepare_streams()
    if completes():
        return main()  # which loads no framework: there is nothing to keep from stderr
    with own_process():
        from layoutbridge.cli.listening import tell_what_libraries_say

        tell_what_libraries_say()
        return main()


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. Unusable input becomes a line on stderr and code 2.

    A cfg file with several errors becomes a line each. A fault of our own is code 3: a line, and a file with its trace.
    """
    prepare_streams()
    with suppress(ValueError):  # only the main thread may say what a signal does
        for ending in ("SIGTERM", "SIGHUP"):  # so that half-written files are taken away
            if hasattr(signal, ending):
                signal.signal(getattr(signal, ending), _end)
    try:
        return _run(arguments)
    except BaseException as error:  # some libraries' own panics are no Exceptions
        return _told(error)


def _run(arguments: list[str] | None) -> int:
    from typer.main import get_command

    from layoutbridge.cli.commands import application

    words = tuple(sys.argv[1:] if arguments is None else arguments)  # for reports, which say how to do it again
    if completes():
        in_front = words_in_front() if arguments is None else arguments
        command = command_for_completion(application(in_front), in_front)
    else:
        command = get_command(application(words))
    code = command(args=arguments, standalone_mode=False, obj=words)
    sys.stdout.flush()
    return code if isinstance(code, int) else 0


def _told(error: BaseException) -> int:
    """The exit code for `error`, which is told."""
    if isinstance(error, CfgError):
        return _fail(*str(error).split("\n"))
    if isinstance(error, LayoutBridgeError):
        return _fail(str(error))
    if isinstance(error, MemoryError):
        return _fail(f"not enough memory: {error}".removesuffix(": "))
    if isinstance(error, KeyboardInterrupt):
        return 130
    if isinstance(error, BrokenPipeError) or isinstance(
        error.__context__, BrokenPipeError
    ):  # typer exits with 1 for it
        # the reader of a pipe left: nothing to tell, and nothing to flush at exit
        drop(sys.stdout)
        return 0
    if isinstance(error, OSError):
        return _told_by_system(error)
    if isinstance(error, _Ended):
        raise error
    if isinstance(error, SystemExit) and (not error.code or completes()):
        return 2 if error.code else 0  # typer has completed words, or told what is wrong with the wish
    return _told_by_typer(error)


def _told_by_system(error: OSError) -> int:
    if error.filename is not None:
        return _fail(f"cannot use '{os.fsdecode(str(error.filename))}': {error.strerror}")
    if error.errno not in _UNWRITABLE:
        return _own_fault(error)
    drop(sys.stdout)
    return _fail(f"cannot write the answer: {error.strerror}")


def _told_by_typer(error: BaseException) -> int:
    """What the parser of the command line raises; all else is a fault of our own."""
    typer = sys.modules.get("typer")
    if isinstance(error, getattr(typer, "Abort", ())):
        return 130
    if not isinstance(error, getattr(typer, "TyperException", ())):
        return _own_fault(error)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(str(error) + "\n")
        return 0
    context = getattr(error, "ctx", None)
    told = "" if context is None else context.command_path.removeprefix(context.find_root().command_path)
    return _fail(f"{error.format_message()} (layoutbridge{told} --help tells more)")  # type: ignore[attr-defined]


def _fail(*lines: str) -> int:
    for line in lines:
        remark(line)
    return 2


def _own_fault(error: BaseException) -> int:
    """Say that we are to blame, and where the trace is."""
    import tempfile
    import traceback

    told = f"this is a fault of layoutbridge, not of your input: {class_and_first_line(error)}"
    trace = "".join(traceback.format_exception(error)).split("\n")
    try:
        number, path = tempfile.mkstemp(prefix="layoutbridge-", suffix=".txt")
        with open(number, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"layoutbridge {__version__}, Python {sys.version}\n{visible(' '.join(sys.argv))}\n\n")
            file.writelines(f"{visible(line)}\n" for line in trace)
        remark(f"{told}; the trace is in '{path}': please send it with your report")
    except OSError:
        remark(f"{told}; the trace, which could be written to no folder for temporary files:")
        for line in trace:
            remark(line)
    return 3


def _end(number: int, _: object) -> None:
    raise _Ended(128 + number)


def prepare_streams() -> None:
    """Open those that were closed by whoever started us, on nothing: the next file would take their number.

    What an encoding lacks is written as in Python.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace" if number else None)
