"""Zip archives that nobody vouches for: what they declare is checked before anything is unpacked."""

from __future__ import annotations

import os
from pathlib import PurePosixPath, PureWindowsPath
from typing import BinaryIO
from zipfile import BadZipFile, ZipFile, ZipInfo

from layoutbridge.errors import UnusableInputError
from layoutbridge.inputs import MakeError, PathLike, file_size, refuse_costly

_MOST_MEMBERS = 10_000
_LARGEST_LISTING = 2 << 20  # bytes of the list of members, which takes ten times that in memory
_ENCRYPTED = 0x1
_STORED, _DEFLATED = 0, 8  # of these alone no more is unpacked at once than is asked for
_LOCAL_HEADER = 30  # bytes in front of a member's name


def checked_zip(
    path: PathLike, what: str = "zip archive", *, most: int | None = None, error: MakeError | None = None
) -> tuple[ZipInfo, ...]:
    """The members of the zip archive at `path`, after all that can be told of them without unpacking any.

    `most` is how many bytes they may have together, unpacked: as many as `memory_allowed` says by default. Raises
    `UnusableInputError` (or what `error` makes of the message) as `file_size` does, for what is no zip, and where a
    member is encrypted, compressed in another way than zip's usual one, lies over another, bears the name of another
    or one that leads out of the archive. No member unpacks to more than it declares: `ZipFile.open` stops there.
    """
    fail, told = error or UnusableInputError, f"'{os.fspath(path)}'"
    size = file_size(path, what, error=error)
    try:
        with open(path, "rb") as file, ZipFile(_WithShortListing(file)) as archive:  # type: ignore[arg-type]
            members, end = tuple(archive.infolist()), archive.start_dir
    except _TooLong:
        raise fail(f"{told} lists more members than a {what} may have ({_MOST_MEMBERS:,})") from None
    except OSError as problem:
        raise fail(f"cannot read {told}: {problem.strerror or problem}") from None
    except (BadZipFile, ValueError, NotImplementedError, EOFError, IndexError, OverflowError, RuntimeError):
        raise fail(f"{told} is no whole {what}: write or copy it again") from None
    if len(members) > _MOST_MEMBERS:
        raise fail(f"{told} has {len(members):,} members, and a {what} at most {_MOST_MEMBERS:,}")
    for member in members:
        if reason := _why_unusable(member):
            raise fail(f"{told} has a member '{member.filename[:80]}' that is {reason}")
    if len({member.filename for member in members}) < len(members):
        raise fail(f"{told} has several members of one name")
    if _overlap(members, end):
        raise fail(f"{told} has members that lie over each other: it was made to unpack to far more than it holds")
    unpacked = sum(member.file_size for member in members)
    if most is None:
        refuse_costly(unpacked, size, told, doing="when it is unpacked", error=error)
    elif unpacked > most:
        raise fail(f"{told} unpacks to {unpacked:,} bytes, and a {what} to at most {most:,}")
    return members


class _TooLong(Exception):
    """A zip's list of members is longer than `_LARGEST_LISTING`."""


class _WithShortListing:
    """A file of which no more is read at once than a list of members that is not too long."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """As the file's own."""
        if size > _LARGEST_LISTING:
            raise _TooLong
        return self._file.read(size)


def _why_unusable(member: ZipInfo) -> str | None:
    """What is wrong with a member, as its archive declares it."""
    if member.flag_bits & _ENCRYPTED:
        return "encrypted"
    if member.compress_type not in (_STORED, _DEFLATED):
        return f"compressed in a way that is not read (number {member.compress_type})"
    name = member.orig_filename
    parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
    if not name or "\0" in name or name.startswith(("/", "\\")) or PureWindowsPath(name).anchor or ".." in parts:
        return "named to lead out of the archive"
    if member.compress_type == _STORED and member.file_size != member.compress_size:
        return f"said to have {member.file_size:,} bytes, and holds {member.compress_size:,}"
    return None


def _overlap(members: tuple[ZipInfo, ...], end: int) -> bool:
    """Whether one member begins before the one in front of it ends, or the last ends in the list of members."""
    placed = sorted(members, key=lambda member: member.header_offset)
    starts = [*(member.header_offset for member in placed[1:]), end]
    return any(
        member.header_offset + _LOCAL_HEADER + len(member.orig_filename) + member.compress_size > start
        for member, start in zip(placed, starts, strict=False)
    )
