"""New files take the places of old ones together: neither a failure nor a KILL leaves new ones beside old ones.

A rename is whole by itself, and that is all that a file system offers. For files that belong together, of which the
first is the one that programs open (the model, its layers), there are two ways:

- Where the first file names the others, as an ONNX model does its data, it is written twice: once naming the data where
  they lie until then, in the hidden folder, and once naming them in their place. The first of these takes the model's
  place, then the data take theirs, then the second model: at every moment the model there names data that are its own.
- Where names go by convention alone, as ncnn's .bin and OpenVINO's, the old first file goes away before the others
  change, and the new one comes last. Between these four renames, some 50 microseconds, there is no first file: programs
  say that it is missing, rather than compute with another network's weights.

What was there lies in `old/` of the hidden folder until all is done, and in `done/` then. So `settle` can finish what a
killed process began: the old files are back, or the new ones stay.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_NEW, _INTERIM, _AGAIN, _OLD, _DONE = "new", "interim", "again", "old", "done"


class Place(NamedTuple):
    """A new file, and where it goes."""

    temporary: Path
    target: Path

    @property
    def hidden(self) -> Path:
        """The hidden folder, on the file system of the target."""
        return self.temporary.parent.parent

    @property
    def old(self) -> Path:
        """Where what was there lies meanwhile."""
        return self.hidden / _OLD / self.target.name

    @property
    def interim(self) -> Path:
        """See `interim_beside`."""
        return interim_beside(self.temporary)


def place_in(hidden: Path, name: str, target: Path) -> Place:
    """The place of a file `name`, which will lie at `target`, in a hidden folder beside it."""
    for inner in (_NEW, _INTERIM):
        (hidden / inner).mkdir(exist_ok=True)
    return Place(hidden / _NEW / name, target)


def interim_beside(temporary: Path) -> Path:
    """Where the first of several files may be written once more, naming the others where they lie until all is done."""
    return temporary.parent.with_name(_INTERIM) / temporary.name


def take_places(places: Sequence[Place], obsolete: Sequence[Path] = ()) -> None:
    """Have all of `places` taken, the first one last; files in `obsolete` go then. Nobody else may do so meanwhile.

    Raises `OSError`; the old files are back then, whatever was raised.
    """
    first, *others = places
    for place in places:
        if place.target.is_dir() and not place.temporary.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not others and not obsolete:
        first.temporary.replace(first.target)
        return
    folders = {place.hidden for place in places}
    try:
        for folder in folders:
            (folder / _OLD).mkdir()
        ready = [_linked_again(place) for place in others]
        if _can_stay(first, others) and _keep_links(places, obsolete):
            if others:
                first.interim.replace(first.target)
        else:
            for place in places:
                with suppress(FileNotFoundError):
                    place.target.rename(place.old)
        for temporary, place in zip(ready, others, strict=True):
            temporary.replace(place.target)
        first.temporary.replace(first.target)
        for folder in folders:
            (folder / _OLD).rename(folder / _DONE)
    except BaseException:
        for folder in folders:
            settle(folder, first.target)
        raise
    for path in obsolete:
        with suppress(OSError):
            path.unlink()


def settle(hidden: Path, first: Path) -> None:
    """Finish what was begun in a hidden folder beside `first`, the file that the others belong to.

    Where the new files had not all taken their places, the old ones are there again; else what nothing needs goes.
    """
    for old in _files(hidden / _DONE):
        if _is_same(old, hidden.parent / old.name):
            (hidden.parent / old.name).unlink()
    kept = {old.name: old for old in _files(hidden / _OLD)}
    if hidden.parent == first.parent and first.name not in kept and os.path.lexists(first):
        kept = {}  # none was there, and the new one, which comes last, is
    else:
        if first.name in kept:
            first.unlink(missing_ok=True)
        for new in _files(hidden / _NEW):
            if new.name not in kept and _is_same(new, hidden.parent / new.name):
                (hidden.parent / new.name).unlink()
    for name in sorted(kept, key=lambda name: name == first.name):
        kept[name].replace(hidden.parent / name)
    shutil.rmtree(hidden / _OLD, ignore_errors=True)


def discard(hidden: Path) -> None:
    """Remove a hidden folder with all that is in it, but for old files that could not be given back."""
    if not _files(hidden / _OLD):
        shutil.rmtree(hidden, ignore_errors=True)


def _can_stay(first: Place, others: Sequence[Place]) -> bool:
    """Whether some whole set can be there at every moment."""
    return first.target.exists() and (not others or first.interim.exists())


def _linked_again(place: Place) -> Path:
    """A second name of the new file, so that the first stays until all is done; the only one where links cannot be."""
    again = place.hidden / _AGAIN / place.temporary.name
    try:
        again.parent.mkdir(exist_ok=True)
        os.link(place.temporary, again)
    except OSError:
        return place.temporary
    return again


def _keep_links(places: Sequence[Place], obsolete: Sequence[Path]) -> bool:
    """Give what is there a second name in `old/`; False where the file system has no links."""
    pairs = [(place.target, place.old) for place in places]
    pairs += [(path, places[0].old.with_name(path.name)) for path in obsolete]
    try:
        for target, old in pairs:
            with suppress(FileNotFoundError):
                os.link(target, old)
    except OSError:
        for _, old in pairs:
            old.unlink(missing_ok=True)
        return False
    return True


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _is_same(one: Path, other: Path) -> bool:
    return other.exists() and os.path.samefile(one, other)
