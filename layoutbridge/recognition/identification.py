"""What is this permutation? Any callable, layer, table or file, answered with catalogue names and digits."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from layoutbridge.algebra.factorization import Factorization, digits_sentence, factorize, table_array
from layoutbridge.algebra.pattern import LARGEST, whole_number
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.table import Digits, unravel
from layoutbridge.errors import ParameterError, ShapeError, counted, shown
from layoutbridge.recognition.answer import Identification, Kind
from layoutbridge.recognition.beyond_digits import in_another_order, padded
from layoutbridge.recognition.codes import codes_for
from layoutbridge.recognition.recover import Behaviour, Recovered, recover
from layoutbridge.recognition.second_look import confirmed, refuse_fickle
from layoutbridge.recognition.structure import Seen, pattern_of
from layoutbridge.recognition.targets.calling import as_array_function
from layoutbridge.recognition.targets.loading import load_target
from layoutbridge.recognition.wrapping import Wrapping, named, named_by_table

_SHOWN = 4
_MOST_AXES = 64  # what NumPy has


def identify(
    target: object, shape: Sequence[int] | None = None, second_shape: Sequence[int] | None = None
) -> Identification:
    """Find the catalogue names of `target`, as `layoutbridge.identify` does for all that is not a whole model.

    >>> def port(x):
    ...     n, c, h, w = x.shape
    ...     return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 5, 2, 4).reshape(n, c * 4, h // 2, w // 2)
    >>> identify(port, (1, 64, 26, 26)).names
    ('pixel_unshuffle', 'space_to_depth_crd')
    """
    if isinstance(target, str | os.PathLike):
        target = load_target(target)
    if isinstance(target, Rearrangement):
        wanted = checked_shape(shape, "a rearrangement")
        return identify_table(target.table(wanted), wanted, target.out_shape(wanted))
    if callable(target):
        second = None if second_shape is None else checked_shape(second_shape, "a callable")
        return _from_callable(target, checked_shape(shape, "a callable"), second)
    table: Any = target
    array = table_array(table)
    in_shape = (array.size,) if shape is None else checked_shape(shape, "a table")
    return identify_table(array, in_shape, array.shape if array.ndim > 1 else None)


def checked_shape(shape: Sequence[int] | None, what: str) -> tuple[int, ...]:
    """`shape` as whole numbers; raises `ParameterError` where there is none, and `ShapeError` for what is no shape."""
    if shape is None:
        raise ParameterError(f"{what} is identified at one shape: give shape=(1, 64, 26, 26), or --shape 1,64,26,26")
    try:
        lengths = tuple(whole_number(length, f"every length in shape {shown(shape)}") for length in shape)
    except TypeError:
        raise ShapeError(f"a shape is a list of whole numbers, not {shown(shape)}") from None
    if not 1 <= len(lengths) <= _MOST_AXES or prod(lengths) > LARGEST:
        raise ShapeError(f"shape {shown(lengths)} must have 1 to {_MOST_AXES} axes, and 2^63 - 1 elements at most")
    return lengths


def _from_callable(
    target: Callable[..., Any], shape: tuple[int, ...], second_shape: tuple[int, ...] | None
) -> Identification:
    run, dtype = as_array_function(target)
    found = recover(run, shape, dtype)
    if found.table is None or not codes_for(dtype):  # else two runs agreed already
        refuse_fickle(run, shape, dtype)
    if found.table is None:
        return Identification(_kind(found.behaviour), shape, found.out_shape, (), None, "NCHW", _behaviour_text(found))
    if found.behaviour == "fills up with zeros":
        return _from_padding(found.table, shape, found.out_shape)
    first = identify_table(found.table, shape, found.out_shape)
    return confirmed(first, run, dtype, second_shape, identify_table) if first.is_permutation else first


def _kind(behaviour: Behaviour) -> Kind:
    return "permutation" if behaviour == "moves elements" else behaviour


def _behaviour_text(found: Recovered) -> str:
    return f"no permutation: it {found.behaviour} ({found.detail})"


def _from_padding(table: NDArray[Any], shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Identification:
    flat = table.reshape(-1)
    zeros = int(np.count_nonzero(flat < 0))
    fitting, filled = padded(flat, shape, out_shape)
    if not fitting:
        reason = f"no permutation: it fills up with {zeros} zeros, and no name fits what it does to the rest"
        return Identification("fills up with zeros", shape, out_shape, (), None, "NCHW", reason, flat)
    words = f"the input filled up with zeros to {list(filled)}"
    reason = f"{zeros} of {counted(flat.size, 'element')} of the result are zeros: {words}, and then a permutation"
    pattern = fitting[0].op.pattern
    return Identification(
        "fills up with zeros", shape, out_shape, fitting, pattern, "NCHW", reason, flat, Wrapping(words)
    )


def identify_table(
    table: NDArray[Any], shape: tuple[int, ...], out_shape: tuple[int, ...] | None = None, of_weights: bool = True
) -> Identification:
    """What a gather table is over an input of `shape`, checked already; `out_shape` is the result's, where known.

    Names of what is only done to weights are looked up where these are asked for.

    >>> identify_table(np.arange(12).reshape(3, 4).T, (3, 4), (4, 3)).names
    ('transpose', 'nchw_to_nhwc', 'nhwc_to_nchw')
    """
    total = prod(shape)
    if table.size != total:
        return _no_permutation(table, shape, out_shape)
    found = factorize(table)
    flat = table.reshape(-1)
    if not found.is_permutation:
        return _no_permutation(table, shape, out_shape, found)
    if found.digits is not None:
        return replace(identify_digits(found.digits, shape, out_shape, of_weights), table=flat)
    wrapped = named_by_table(flat, shape, out_shape)
    if wrapped is None:
        fitting, wrapping, pattern = in_another_order(flat, shape, out_shape)
        reason = found.reason if pattern is None else f"a permutation in two steps: {pattern}"
        return Identification("permutation", shape, out_shape, fitting, pattern, "NCHW", reason, flat, wrapping)
    wrapping = wrapped.wrapping
    layout: Literal["NCHW", "NHWC"] = "NHWC" if wrapping.is_channels_last else "NCHW"
    reason = f"channels first it is {digits_sentence(wrapped.digits)}" if layout == "NHWC" else found.reason
    pattern = wrapping.pattern(wrapped.matches[0].op, len(shape)) if wrapped.matches else None
    return Identification("permutation", shape, out_shape, wrapped.matches, pattern, layout, reason, flat, wrapping)


def identify_digits(
    digits: Digits, shape: tuple[int, ...], out_shape: tuple[int, ...] | None, of_weights: bool = True
) -> Identification:
    """The same of digits, without a table: of an input that is too large to look at each element."""
    wrapped = named(digits, shape, out_shape, of_weights)
    reason = digits_sentence(digits)
    if wrapped.wrapping.is_channels_last:
        reason = f"channels first it is {digits_sentence(wrapped.digits)}"
    if wrapped.matches and not wrapped.wrapping.is_view:
        pattern: str | None = wrapped.wrapping.pattern(wrapped.matches[0].op, len(shape))
    else:
        pattern = pattern_of(Seen(digits, shape, out_shape or (prod(shape),)))
    layout: Literal["NCHW", "NHWC"] = "NHWC" if wrapped.wrapping.is_channels_last else "NCHW"
    return Identification(
        "permutation", shape, out_shape, wrapped.matches, pattern, layout, reason, None,
        wrapped.wrapping, None, digits, wrapped.also,
    )  # fmt: skip


def _no_permutation(
    table: NDArray[Any], shape: tuple[int, ...], out_shape: tuple[int, ...] | None, found: Factorization | None = None
) -> Identification:
    """An answer for a table that drops, repeats or leaves the tensor."""
    flat, total = table.reshape(-1), prod(shape)
    if found is not None and found.problem == "out of range":
        return Identification(
            "drops or repeats", shape, out_shape, (), None, "NCHW", f"no permutation: {found.reason}", flat
        )
    inside = flat[(flat >= 0) & (flat < total)]
    inside.sort()
    again = np.zeros(inside.size, bool)
    again[1:] = inside[1:] == inside[:-1]
    second = again.copy()
    second[1:] &= ~again[:-1]
    seen, repeated = inside[~again], inside[second]
    lost = total - seen.size
    parts = []
    if flat.size != total:
        parts.append(f"its result has {counted(flat.size, 'element')} for an input of {total}")
    if inside.size != flat.size:
        parts.append(f"{flat.size - inside.size} entries point outside the input")
    if lost:
        parts.append(f"it drops {lost} of {total} elements, first {_places(_missing(seen, lost), shape)}")
    if repeated.size:
        parts.append(f"it repeats {repeated.size}, first {_places(repeated, shape)}")
    reason = f"no permutation: {'; '.join(parts)}"
    return Identification("drops or repeats", shape, out_shape, (), None, "NCHW", reason, flat)


def _missing(seen: NDArray[Any], lost: int) -> list[int]:
    """The first numbers from 0 up that are not among those `seen`, each once and in order; `lost` are missing."""
    behind = [bisect_left(range(seen.size), k + 1, key=lambda i: int(seen[i]) - i) for k in range(min(lost, _SHOWN))]
    return [k + i for k, i in enumerate(behind)]


def _places(positions: Iterable[int], shape: tuple[int, ...]) -> str:
    return ", ".join(str(list(unravel(int(position), shape))) for position in islice(positions, _SHOWN))
