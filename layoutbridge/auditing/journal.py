"""Records as they come, in a file beside the report: what an interrupted audit goes on from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from layoutbridge.auditing.records import Record
from layoutbridge.errors import UnusableInputError
from layoutbridge.locks import hold_file
from layoutbridge.version import __version__

_HEADER = {"audit": 1, "layoutbridge": __version__}
ENDING = ".partial"


class Journal:
    """An open file with a record a line, and where each file's last one begins.

    The records stay on the disk: an audit may have more of them than fit in memory.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._starts: dict[str, int] = {}
        self._identities: dict[str, tuple[int, str]] = {}

    def add(self, records: Iterable[Record]) -> None:
        """Append records, so that they are there should the process be killed the next moment."""
        start = self._file.seek(0, os.SEEK_END)
        lines = []
        for record in records:
            self._note(record, start)
            lines.append(record.to_json().encode() + b"\n")
            start += len(lines[-1])
        self._file.write(b"".join(lines))
        self._file.flush()

    def has(self, name: str, size: int, stamp: str) -> bool:
        """Whether a record of that file is there, as it is now."""
        return self._identities.get(name) == (size, stamp)

    def record(self, name: str) -> Record:
        """The last record of a file; raises `KeyError` where there is none."""
        self._file.seek(self._starts[name])
        return Record.from_json(self._file.readline().decode())

    def read(self) -> None:
        """Take up what the file holds already; a last line that was not finished is cut off."""
        self._file.seek(0)
        self._file.readline()
        while True:
            start = self._file.tell()
            line = self._file.readline()
            try:
                record = Record.from_json(line.decode())
            except (TypeError, ValueError):  # the end, or a line that was being written
                break
            if not line.endswith(b"\n"):
                break
            self._note(record, start)
        self._file.truncate(start)

    def _note(self, record: Record, start: int) -> None:
        self._starts[record.file] = start
        self._identities[record.file] = (record.size, record.stamp)


@contextmanager
def journal_at(path: Path) -> Iterator[Journal]:
    """The journal at `path`, with what an audit by this version left there; it goes when the block succeeds.

    Raises `UnusableInputError` for a file that is no journal, that another audit is writing, or cannot be written.
    """
    try:
        file = path.open("a+b")
    except OSError as error:
        raise UnusableInputError(f"cannot write '{path}': {error.strerror or error}") from None
    with file:
        try:
            hold_file(file.fileno())
        except BlockingIOError:
            raise UnusableInputError(f"another audit is writing '{path}': wait for it, or write elsewhere") from None
        if _header(path, file) != _HEADER:  # new, or of another version, which may have seen other things
            file.truncate(0)
            file.write(json.dumps(_HEADER).encode() + b"\n")
        journal = Journal(file)
        journal.read()
        yield journal
    path.unlink(missing_ok=True)


def _header(path: Path, file: BinaryIO) -> Mapping[str, object] | None:
    file.seek(0)
    line = file.readline()
    try:
        header = json.loads(line or "null")
        if header is None or header["audit"]:
            return None if header is None else dict(header)
    except (KeyError, TypeError, ValueError):
        pass
    raise UnusableInputError(f"'{path}' is no part of an audit: move it, or write to another file")
