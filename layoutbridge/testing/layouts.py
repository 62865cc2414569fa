"""`assert_same_layout`: a callable, a layer, a file or a table moves elements as one named operation does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement
from layoutbridge.algebra.table import unravel
from layoutbridge.errors import LayoutBridgeError, ParameterError, UnusableInputError, visible
from layoutbridge.operations.catalog import catalog
from layoutbridge.operations.entry import CatalogEntry
from layoutbridge.operations.expressions import Expression, not_taken, read_expression, unused
from layoutbridge.operations.parameters import checked
from layoutbridge.recognition.answer import Identification
from layoutbridge.recognition.differences import Difference
from layoutbridge.recognition.expectation import Expectation
from layoutbridge.recognition.targets.calling import framework_of
from layoutbridge.scanning.expecting import check_identified
from layoutbridge.scanning.models import can_be_scanned
from layoutbridge.scanning.whole_models import ModelIdentification, identify, identify_named, loader
from layoutbridge.testing.checks import Check, Picture, described, settle
from layoutbridge.testing.shapes import shapes_to_try

_NAMES = 3  # that a message tells of what a target is
_PLACES = 6  # that differ, in a message
_ROWS = 12  # of the same in a check's table
_DRAWN = 256  # elements of a result that is drawn

Shape = Sequence[int] | None


def assert_same_layout(
    target: object,
    name: str | Rearrangement,
    /,
    *,
    shape: Shape = None,
    second_shape: Shape = None,
    **parameters: ParameterValue,
) -> None:
    """Raise `AssertionError` unless `target` moves elements as `name` does; the message has the smallest difference.

    `target` is whatever `layoutbridge.identify` takes: a callable, an `nn.Module`, a Keras layer, a path, a table, a
    `Rearrangement`. `name` is a name of the catalogue, with its `parameters` by name, or a pattern, an expression, or a
    `Rearrangement`; numbers that are not given are those that suit the target. Without a `shape` a small one is chosen
    at which the well-known operations are told apart; `second_shape` is as in `identify`.

    What cannot be checked at all raises a `LayoutBridgeError`, as `identify` does.

    >>> def port(x):
    ...     n, c, h, w = x.shape
    ...     return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * 4, h // 2, w // 2)
    >>> assert_same_layout(port, "pixel_unshuffle", stride=2)
    >>> assert_same_layout(port, "space_to_depth", stride=2)
    Traceback (most recent call last):
        ...
    AssertionError: port is not space_to_depth (stride 2): it is pixel_unshuffle (stride 2), ...(stride 2)
    pattern: c (h p:s) (w q:s) -> (c p q) h w, s=2
    input [1, 2, 2, 2]: the result's element [0, 1, 0, 0] comes from input [0, 0, 0, 1], ... from [0, 1, 0, 0]
    6 of 8 elements differ there: [0, 1, 0, 0], [0, 2, 0, 0], [0, 3, 0, 0], [0, 4, 0, 0], [0, 5, 0, 0], [0, 6, 0, 0]
    to do: use what lb.code(lb.op("space_to_depth", stride=2), "numpy") writes, or expect "pixel_unshuffle", stride=2
    """
    __tracebackhide__ = True
    compared = f"{described(target)} and {_title(name, parameters)}"
    settle(compared, partial(_check, target, name, parameters, shape, second_shape))


def _title(name: str | Rearrangement, parameters: Mapping[str, object]) -> str:
    if isinstance(name, Rearrangement):
        return name.label
    told = ", ".join(f"{key} {value}" for key, value in parameters.items())
    return f"{name} ({told})" if told else str(name)


def _check(
    target: object, name: str | Rearrangement, parameters: Mapping[str, ParameterValue], shape: Shape, second: Shape
) -> Check:
    expression, asked = _asked(name, parameters)

    def choose(entry: CatalogEntry) -> Mapping[str, ParameterValue]:
        return {
            key: checked(entry.parameters[key], value, entry.name)
            for key, value in asked.items()
            if key in entry.parameters
        }

    wanted = expression.build(choose)  # what cannot be is refused before anybody's code runs
    load: Callable[[], Any] = loader(target) if isinstance(target, str | os.PathLike) else lambda: target
    found = _found(target, load, wanted, shape, second)
    expected = check_identified(load, found, expression, choose)
    compared = f"{described(target)} and {expected.title}"
    if expected.difference is None:
        return Check(visible(compared), "same")
    remedy = _remedy(load, found, expected)
    return _failure(compared, described(target), found, expected, expected.difference, remedy)


def _asked(
    name: str | Rearrangement, parameters: Mapping[str, ParameterValue]
) -> tuple[Expression, Mapping[str, ParameterValue]]:
    """What is expected, as an expression, and at which parameters."""
    if isinstance(name, Rearrangement):
        if parameters:
            raise ParameterError(f"a Rearrangement has its parameters, and takes no {next(iter(parameters))}")
        entry = catalog().get(name.name or "")
        if entry is not None and entry.build(**dict(name.parameters)) == name:
            return read_expression(entry.name), dict(name.parameters)
        return read_expression(name.pattern), {}
    expression = read_expression(name)
    for lost in unused([*parameters], [expression]):
        for entry in expression.entries:
            raise ParameterError(not_taken(entry, lost))
        raise ParameterError(f"a pattern takes no {lost}: write lengths behind it, as in '..., s=2'")
    return expression, parameters


def _found(
    target: object, load: Callable[[], Any], wanted: Rearrangement, shape: Shape, second: Shape
) -> Identification:
    """What the target is: at `shape`, else at its own sizes, else at the first of the small shapes that it takes."""

    def at(lengths: Shape) -> Identification:
        if isinstance(target, str | os.PathLike):
            return identify_named(target, load, lengths, second)
        return identify(target, lengths, second)

    if shape is not None:
        return at(shape)
    if can_be_scanned(target):
        try:
            return at(None)
        except LayoutBridgeError:  # a module, which does not say what it takes
            pass
    loaded = load()
    if not callable(loaded):
        return at(_shape_of_table(loaded, wanted))
    shapes = [*shapes_to_try(wanted), *(shapes_to_try(loaded) if isinstance(loaded, Rearrangement) else ())]
    first: LayoutBridgeError | None = None
    for lengths in shapes:
        try:
            return at(lengths)
        except LayoutBridgeError as error:
            first = first or error
    raise UnusableInputError(
        f"it takes none of {len(shapes)} shapes that suit {wanted.label}, {list(shapes[0])} the first of them: "
        f"give shape=(...) with one that it takes ({first})"
    ) from (first.__cause__ if first is not None else None)  # what the target itself raised


def _shape_of_table(table: Any, wanted: Rearrangement) -> tuple[int, ...]:
    """The input's shape of a table that has the result's."""
    lengths = tuple(getattr(table, "shape", ()))
    if len(lengths) < 2:
        raise ParameterError(
            "a table without the result's shape is checked at one: give shape=(64, 26, 26), the input's"
        )
    return wanted.inverse().out_shape(lengths)


def _failure(
    compared: str, target: str, found: Identification, expected: Expectation, apart: Difference, remedy: str
) -> Check:
    lines = [f"{target} is not {expected.title}{_what_it_is(found, expected)}"]
    if found.pattern is not None and found.is_permutation:
        lines.append(f"pattern: {found.pattern}")
    lines.append(apart.told)
    places = [list(unravel(int(place), apart.out_shape)) for place in apart.places[:_PLACES]]
    if len(places) > 1:
        more = ", ..." if apart.places.size > _PLACES else ""
        told = ", ".join(map(str, places))
        assert apart.reads is not None
        lines.append(f"{apart.places.size} of {apart.reads.size} elements differ there: {told}{more}")
    lines.append(f"to do: {remedy}")
    return Check(
        visible(compared), "differs", tuple(map(visible, lines)),
        ("the result's element", "comes from input", "should come from"), _rows(apart), (), _picture(apart),
    )  # fmt: skip


def _what_it_is(found: Identification, expected: Expectation) -> str:
    around = f", {found.wrapping.words}" if found.wrapping.words else ""
    names = list(map(str, found.matches[:_NAMES]))
    if expected.title in names and not around:
        return " at every shape"
    if names:
        return f": it is {', '.join(names)}{around}"
    return ": it is a permutation without a name" if found.is_permutation else ""


def _rows(apart: Difference) -> tuple[tuple[str, ...], ...]:
    if apart.reads is None or apart.wanted is None:
        return ()
    rows = []
    for place in map(int, apart.places[:_ROWS]):
        read, wanted = int(apart.reads[place]), int(apart.wanted[place])
        inside = 0 <= read < apart.wanted.size
        here = str(list(unravel(read, apart.in_shape))) if inside else "nowhere"
        rows.append((str(list(unravel(place, apart.out_shape))), here, str(list(unravel(wanted, apart.in_shape)))))
    return tuple(rows)


def _picture(apart: Difference) -> Picture | None:
    if apart.reads is None or apart.wanted is None or apart.reads.size > _DRAWN:
        return None
    reads, wanted = (tuple(map(int, each.tolist())) for each in (apart.reads.reshape(-1), apart.wanted.reshape(-1)))
    return Picture(apart.out_shape, reads, wanted)


def _remedy(load: Callable[[], Any], found: Identification, expected: Expectation) -> str:
    """What to do so that it is what is expected; or what to expect instead."""
    right = _written("lb.op(", expected.name, expected.parameters) + ")"
    if expected.name not in catalog():
        right = f"lb.Rearrangement({_quoted(expected.name)})"
    loaded = None if isinstance(found, ModelIdentification) else load()
    if isinstance(found, ModelIdentification) and found.scan.whole is None:
        told = f"make it {right}; layoutbridge scan tells all that it moves"
    elif callable(loaded) and not isinstance(loaded, Rearrangement):
        told = f"use what lb.code({right}, {_quoted(framework_of(loaded) or 'numpy')}) writes"
    else:
        told = f"use {right}"
    other = next((match for match in found.matches if match.name != expected.name), None)
    if other is None or found.wrapping.words:
        return told
    return f"{told}, or expect {_written('', other.name, other.parameters)}"


def _written(head: str, name: str, parameters: Mapping[str, ParameterValue]) -> str:
    return head + ", ".join([_quoted(name), *(f"{key}={value!r}" for key, value in parameters.items())])


def _quoted(text: str) -> str:
    return f'"{text}"'
