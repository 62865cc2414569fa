"""What is this? Of one movement its names; of a whole model, the places inside of it that move elements."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, partial
from math import prod
from traceback import clear_frames
from typing import TYPE_CHECKING, Any

from layoutbridge.algebra.table import gather_table
from layoutbridge.errors import LayoutBridgeError, ShapeError, counted
from layoutbridge.recognition.answer import Identification
from layoutbridge.recognition.identification import checked_shape
from layoutbridge.recognition.identification import identify as identify_alone
from layoutbridge.recognition.targets.loading import is_loaded, load_target

if TYPE_CHECKING:
    from layoutbridge.scanning.models import Scan

Load = Callable[[], Any]
_LARGEST = 1 << 24  # elements of a table that is made of digits


@dataclass(frozen=True)
class ModelIdentification(Identification):
    """An `Identification` of a model by its `scan`: it is more than one movement, or is read and not run.

    `kind` is "whole model" where nothing was run, and the scan does not show it to be one movement. `in_shape` is then
    that of its only input, else (), `out_shape` that of its only output, else None.
    """

    scan: Scan = field(kw_only=True)

    def explain(self) -> str:
        """The same, and a line for each place inside of what is more than one."""
        if self.scan.whole is not None:
            return super().explain()
        return "\n".join((super().explain(), *(f"inside: {place.title}" for place in self.scan.places)))


def identify(
    target: object, shape: Sequence[int] | None = None, second_shape: Sequence[int] | None = None
) -> Identification:
    """Find the catalogue names of `target`.

    `target` is a callable (called with a NumPy array, or with a tensor of the framework that it is made for, as an
    `nn.Module` is), a `Rearrangement`, a table of integers with `out.ravel()[i] == x.ravel()[table.ravel()[i]]`, or
    text: the path of a table (.npy, .csv, .json) or of a model's file, `module:callable` or `file.py:callable`,
    which runs that file. `shape` is the input's, [N, C, H, W] or [C, H, W]; a table of other than one dimension is
    taken to have the result's shape. A callable is tried at a second shape, too, before it gets a name: `second_shape`,
    or a small one that the name admits. Something that runs but is no permutation is an answer, not an error.

    `target` may be whatever `scan` takes, too. Where it is not one movement, or cannot be run, the answer's `scan` has
    the places inside (`ModelIdentification`), and a model that says what it takes needs no `shape`. Raises
    `ParameterError` (a callable without a shape), `ShapeError` and `UnusableInputError`.

    >>> def port(x):
    ...     n, c, h, w = x.shape
    ...     return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * 4, h // 2, w // 2)
    >>> identify(port, (1, 64, 26, 26)).names
    ('pixel_unshuffle', 'space_to_depth_crd')
    >>> found = identify("fixtures/nets/pjreddie/passthrough/net.cfg")
    >>> found.names, found.scan.places[0].title
    ((), 'layer 4 (reorg): darknet_reorg')
    """
    if isinstance(target, str | os.PathLike):
        return identify_named(target, loader(target), shape, second_shape)
    return _called(lambda: target, None, shape, second_shape)


def loader(target: str | os.PathLike[str]) -> Load:
    """A function that loads what a text names, at its first call; what it gives is there for the calls that follow."""
    return cache(partial(load_target, target))


def identify_named(
    target: str | os.PathLike[str], load: Load, shape: Sequence[int] | None, second_shape: Sequence[int] | None
) -> Identification:
    """`identify` of a text, whose `loader` is called where something is run."""
    from layoutbridge.scanning.models import can_be_scanned

    if not can_be_scanned(target):
        return _called(load, None, shape, second_shape)
    if not is_loaded(target):
        return _as_scanned(_scanned(target, shape, second_shape), "read, and not run")
    if shape is None:
        return _at_its_own_sizes(_scanned(target, shape, second_shape), load, second_shape)
    return _called(load, target, shape, second_shape)


def _called(
    load: Load, file: str | os.PathLike[str] | None, shape: Sequence[int] | None, second_shape: Sequence[int] | None
) -> Identification:
    """What is loaded when it is called; where that is no answer, the scan of `file`, or of itself without one."""
    called: Any = None
    try:
        called = load()
        found = identify_alone(called, shape, second_shape)
    except LayoutBridgeError as error:
        if file is not None:
            clear_frames(error.__traceback__)  # they may hold the whole model, and it is read once more
        scanned = _scanned_instead(called if file is None else file, shape, second_shape)
        if scanned is None:
            raise
        if shape is None:
            return _at_its_own_sizes(scanned, lambda: called, second_shape)
        if _is_one_to_one(scanned) and _is_run(called, file):
            raise  # at another shape, or lifted limits, it would be run
        return _as_scanned(scanned, str(error))
    if found.table is not None:
        return found
    scanned = _scanned_instead(called if file is None else file, shape, second_shape)
    return found if scanned is None else _with_scan(found, scanned)


def _is_run(called: object, file: str | os.PathLike[str] | None) -> bool:
    from layoutbridge.scanning.models import is_called

    return file is not None or is_called(called)


def _is_one_to_one(scanned: Scan) -> bool:
    return len(scanned.in_shapes) == len(scanned.out_shapes) == 1


def _at_its_own_sizes(scanned: Scan, load: Load, second_shape: Sequence[int] | None) -> Identification:
    """The answer of a model when it is called at the sizes at which it was scanned, if it may be one movement."""
    shapes = list(scanned.in_shapes.values())
    if not _is_one_to_one(scanned) or shapes[0] is None:
        return _as_scanned(
            scanned, f"it has {counted(len(shapes), 'input')} and {counted(len(scanned.out_shapes), 'output')}"
        )
    if scanned.places and scanned.whole is None:
        return _as_scanned(scanned, "more than one movement")
    try:
        found = identify_alone(load(), shapes[0], second_shape)
    except LayoutBridgeError as error:
        return _as_scanned(scanned, str(error))
    return found if found.table is not None else _with_scan(found, scanned)


def _scanned_instead(model: object, shape: Sequence[int] | None, second_shape: Sequence[int] | None) -> Scan | None:
    """The scan of what cannot be called, or is no movement; None for what is not read, or not understood."""
    from layoutbridge.scanning.models import can_be_scanned

    if not can_be_scanned(model):
        return None
    try:
        return _scanned(model, shape, second_shape)
    except LayoutBridgeError:
        return None


def _scanned(model: object, shape: Sequence[int] | None, second_shape: Sequence[int] | None) -> Scan:
    """The scan at `shape`; of a model with several inputs, whose shapes are not meant by one, at its own sizes."""
    from layoutbridge.scanning.models import scan

    for lengths in (shape, second_shape):
        if lengths is not None:
            checked_shape(lengths, "a model")
    try:
        return scan(model, shape)
    except ShapeError:
        found = scan(model)
        if len(found.in_shapes) < 2:
            raise
        return found


def _as_scanned(scanned: Scan, why: str) -> ModelIdentification:
    """What a scan alone tells: a model that is one place is what that place is."""
    whole = scanned.whole
    if whole is not None and whole.reason == whole.seen.reason:  # else it is another map at other sizes
        seen, table = whole.seen, whole.seen.table
        if table is None and seen.digits is not None and prod(seen.in_shape) <= _LARGEST:
            table = gather_table(seen.digits)
        return _with_scan(replace(seen, pattern=whole.pattern, table=table), scanned)
    ins, outs = list(scanned.in_shapes.values()), list(scanned.out_shapes.values())
    in_shape, out_shape = (ins[0] if len(ins) == 1 else None), (outs[0] if len(outs) == 1 else None)
    reason = f"a whole model: {why if whole is None else whole.reason}"
    found = Identification("whole model", in_shape or (), out_shape, (), None, "NCHW", reason)
    return _with_scan(found, scanned)


def _with_scan(found: Identification, scanned: Scan) -> ModelIdentification:
    values = {each.name: getattr(found, each.name) for each in fields(Identification)}
    return ModelIdentification(**values, scan=scanned)
