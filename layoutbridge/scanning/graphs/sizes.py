"""Numbers for the sizes that a model leaves open: those that are given, else such that tell axes apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

from layoutbridge.algebra.pattern import whole_number
from layoutbridge.errors import ShapeError, named, shown

OpenShape: TypeAlias = tuple[int | str | None, ...]
Shapes: TypeAlias = Mapping[str, Sequence[int | str | None]] | Sequence[int | str | None] | None
# For an open batch, and for other open sizes in turn: most networks take multiples of 32, none of these being equal.
_CHOICES = (
    (2, (64, 96, 160, 128)),
    (1, (64, 96, 160, 128)),
    (1, (224, 256, 320, 192)),
    (1, (8, 12, 20, 28)),
    (1, (1,)),
)
# Each grows by another factor, so that a length tells which size it is a share of.
_OTHERS = {
    **{1: 3, 2: 3, 8: 12, 12: 20, 20: 28, 28: 8},
    **{64: 160, 96: 192, 128: 224, 160: 256, 192: 320, 224: 64, 256: 96, 320: 128},
}


def filled_shapes(open_shapes: Mapping[str, OpenShape], given: Shapes) -> Iterator[Mapping[str, tuple[int, ...]]]:
    """Numbers for the inputs' shapes, by name: one choice after the other, the likeliest to tell axes apart first.

    `given` are shapes by the inputs' names, or the one of the only input; a None or a name in them leaves a length as
    the model has it. Equal names in `open_shapes` are one size. Where nothing is open there is one choice. Raises
    `ShapeError` where what is given does not fit, and does not name an input.

    >>> next(filled_shapes({"images": ("N", 3, "H", "W")}, None))
    {'images': (2, 3, 64, 96)}
    >>> list(filled_shapes({"images": ("N", 3, "H", "W")}, (1, None, 26, 26)))
    [{'images': (1, 3, 26, 26)}]
    """
    known = _with_given(open_shapes, given)
    seen = []
    for batch, sizes in _CHOICES:
        filled = _filled(known, batch, sizes)
        if filled not in seen:
            seen.append(filled)
            yield filled


def other_shapes(shapes: Mapping[str, tuple[OpenShape, tuple[int, ...]]]) -> Iterator[dict[str, tuple[int, ...]]]:
    """Other numbers for the sizes that are open, which have been filled in once: a map is then seen at two sizes.

    All of them first; then with one left as it was, each in turn, for a model may take no other; then one alone.

    >>> sizes = list(other_shapes({"images": (("N", 3, "H", "W"), (2, 3, 64, 96))}))
    >>> sizes[0], sizes[1], len(sizes)
    ({'images': (3, 3, 160, 192)}, {'images': (2, 3, 160, 192)}, 7)
    """
    keys = {
        _key(name, axis, told): None
        for name, (open_shape, _) in shapes.items()
        for axis, told in enumerate(open_shape)
        if not isinstance(told, int)
    }
    choices = [set(keys), *(set(keys) - {key} for key in keys), *({key} for key in keys)]
    tried: list[set[object]] = []
    for changed in choices:
        if not changed or changed in tried:
            continue
        tried.append(changed)
        yield {
            name: tuple(
                _OTHERS.get(length, length + 1) if _key(name, axis, told) in changed else length
                for axis, (told, length) in enumerate(zip(open_shape, filled, strict=True))
            )
            for name, (open_shape, filled) in shapes.items()
        }


def _key(name: str, axis: int, told: int | str | None) -> object:
    """What stands for an open size: its name, which is the same size wherever it stands, or its place."""
    return told if isinstance(told, str) else (name, axis)


def _with_given(open_shapes: Mapping[str, OpenShape], given: Shapes) -> dict[str, OpenShape]:
    if given is None:
        return dict(open_shapes)
    if not isinstance(given, Mapping):
        if len(open_shapes) != 1:
            told = ", ".join(f"{named(name)}=…" for name in open_shapes)
            raise ShapeError(f"the model has {len(open_shapes)} inputs: give each a shape by its name, {told}")
        given = {next(iter(open_shapes)): given}
    known = dict(open_shapes)
    sizes: dict[str, int] = {}
    for name, shape in given.items():
        if name not in open_shapes:
            raise ShapeError(no_such_input(name, tuple(open_shapes)))
        declared = open_shapes[name]
        if len(declared) != len(shape):
            raise ShapeError(
                f"input {named(name)} has {len(declared)} axes {shape_text(declared)}, and shape {shape_text(shape)} "
                f"{len(shape)}"
            )
        lengths: list[int | str | None] = []
        for held, length in zip(declared, shape, strict=True):
            number = (
                None if length is None or isinstance(length, str) else whole_number(length, "every length of a shape")
            )
            if number is not None and isinstance(held, int) and held != number:
                raise ShapeError(
                    f"input {named(name)} has the fixed shape {shape_text(declared)}, not {shape_text(shape)}"
                )
            if number is not None and isinstance(held, str) and sizes.setdefault(held, number) != number:
                raise ShapeError(f"{named(held)} would be {sizes[held]} and {number} at once")
            lengths.append(held if number is None else number)
        known[name] = tuple(lengths)
    return {
        name: tuple(sizes.get(length, length) if isinstance(length, str) else length for length in shape)
        for name, shape in known.items()
    }


def no_such_input(name: str, inputs: Sequence[str]) -> str:
    """The error's text where a shape is given for an input that a model does not have.

    >>> no_such_input("image", ("images", "scale"))
    "the model has no input called 'image'; it has images, scale"
    """
    return f"the model has no input called {shown(name)}; it has {', '.join(map(named, inputs)) or 'none'}"


def _filled(known: Mapping[str, OpenShape], batch: int, sizes: Sequence[int]) -> dict[str, tuple[int, ...]]:
    chosen: dict[object, int] = {}
    count = 0
    for name, shape in known.items():
        for axis, length in enumerate(shape):
            key = _key(name, axis, length)
            if isinstance(length, int) or key in chosen:
                continue
            if axis == 0 and len(shape) > 1:
                chosen[key] = batch
            else:
                chosen[key], count = sizes[count % len(sizes)], count + 1
    return {
        name: tuple(
            length if isinstance(length, int) else chosen[length if isinstance(length, str) else (name, axis)]
            for axis, length in enumerate(shape)
        )
        for name, shape in known.items()
    }


def shape_text(lengths: Sequence[int | str | None]) -> str:
    """A shape as text, in which a length may be a name, or not known.

    >>> shape_text(("N", 64, None, 13))
    '[N, 64, ?, 13]'
    """
    return f"[{', '.join('?' if length is None else str(length) for length in lengths)}]"
