"""`Rearrangement`: one permutation of a tensor's elements, for all shapes at once."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce
from math import prod
from typing import TYPE_CHECKING, Any

from layoutbridge.algebra.chains import reduce_chain, same_map
from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.fitting import Refusal, read_lengths, refuse_misfit
from layoutbridge.algebra.pattern import batch_name, distinct_names, parse_pattern
from layoutbridge.algebra.readings import PLAIN, is_order, values_read, written_reading
from layoutbridge.algebra.sizes import Domain, Size, product, whole_conditions
from layoutbridge.algebra.table import Digits, digits_of, gather_table, read_position, reading_of
from layoutbridge.displays import as_html
from layoutbridge.errors import PatternError, ShapeError
from layoutbridge.late import Late

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
else:
    np = Late("numpy")
ParameterValue = int | str | tuple[int, ...]
Parameters = tuple[tuple[str, ParameterValue], ...]
Copier = Callable[..., Any]
_SHAPES_KEPT, _THEN = 256, " then "


@dataclass(frozen=True, slots=True)
class BoundRearrangement:
    """A rearrangement at one shape: plain integers. `steps` are digits (size, stride), applied one after another."""

    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    steps: tuple[Digits, ...]

    @property
    def digits(self) -> Digits | None:
        """The digits of its one step, as `factorize` gives them for its table; None for a chain of steps."""
        if self.steps:
            return self.steps[0] if len(self.steps) == 1 else None
        total = prod(self.in_shape)
        return ((total, 1),) if total > 1 else ()

    def read_position(self, index: int) -> int:
        """The flat input position that the result's flat `index` holds: one entry of the table, without the table."""
        for digits in reversed(self.steps):
            index = read_position(digits, index)
        return index


@dataclass(frozen=True, slots=True)
class CanonicalForm:
    """What a rearrangement does, free of names: equal forms are the same map for all shapes.

    Forms of at most one step are equal whenever the maps are; chains without common digits may not be.
    """

    in_shape: tuple[Size, ...]
    out_shape: tuple[Size, ...]
    steps: tuple[DigitStep, ...]


class Rearrangement:
    """An immutable permutation of positions, built from a short pattern.

    The pattern (see `layoutbridge.algebra.pattern`) names the axes of one item; an array may have one more,
    leading batch axis, which is left alone. Lengths of digits and parameters are keywords, or follow the
    pattern behind commas. Raises `PatternError` (unreadable, or no permutation) and `ParameterError` (an
    unusable length).

    >>> unshuffle = Rearrangement("c (h p) (w q) -> (c p q) h w", p=2, q=2)
    >>> unshuffle.out_shape((3, 4, 6))
    (12, 2, 3)
    >>> unshuffle.table((1, 2, 4)).tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    >>> unshuffle.then(unshuffle.inverse()).is_identity
    True
    >>> unshuffle == Rearrangement("a (x i) (y j) -> (a i j) x y, i=2, j=2")
    True

    Two rearrangements are equal, and hash alike, when they move every element alike into the same shape for
    all sizes, however they were written; which shapes they refuse is not compared. `prove` says why, or where
    they differ.
    """

    axes: tuple[str, ...]  # names of the input's axes, the batch axis not among them
    in_shape: tuple[Size, ...]
    result_shape: tuple[Size, ...]
    steps: tuple[DigitStep, ...]  # normalized; one unless a chain has no common digits
    domain: Domain  # which shapes fit
    name: str | None
    parameters: Parameters  # what the catalogue entry was built with
    has_batch: bool = True  # off where the pattern names every axis that arrays have: nothing is put in front of them
    source_pattern: str | None
    _refusal: Refusal | None
    _bound: dict[tuple[int, ...], BoundRearrangement]  # at the shapes met so far
    _copiers: dict[tuple[tuple[int, ...], np.dtype[Any]], tuple[Copier, tuple[int, ...]]]
    _latest: tuple[tuple[int, ...], np.dtype[Any] | None, Copier, tuple[int, ...]]

    def __init__(self, pattern: str, /, **lengths: int) -> None:
        if isinstance(pattern, str) and _THEN in pattern and not lengths:
            first, *others = map(Rearrangement, pattern.split(_THEN))
            self.__dict__.update(reduce(Rearrangement.then, others, first).__dict__, source_pattern=pattern)
            return
        parsed = parse_pattern(pattern, lengths)
        self.__dict__.update(
            axes=parsed.axes,
            in_shape=parsed.in_shape,
            result_shape=parsed.out_shape,
            steps=reduce_chain([parsed.step], parsed.domain),
            domain=parsed.domain,
            name=None,
            parameters=(),
            source_pattern=_with_lengths(pattern, lengths),
            _refusal=None,
            **_empty_caches(),
        )

    @classmethod
    def _from_parts(
        cls,
        axes: tuple[str, ...],
        in_shape: tuple[Size, ...],
        result_shape: tuple[Size, ...],
        steps: Sequence[DigitStep],
        domain: Domain,
        *,
        has_batch: bool = True,
    ) -> Rearrangement:
        made = cls.__new__(cls)
        made.__dict__.update(
            axes=axes,
            in_shape=in_shape,
            result_shape=result_shape,
            steps=reduce_chain(steps, domain),
            domain=domain,
            name=None,
            parameters=(),
            has_batch=has_batch,
            source_pattern=None,
            _refusal=None,
            **_empty_caches(),
        )
        return made

    def named(self, name: str, parameters: Parameters = (), refusal: Refusal | None = None) -> Rearrangement:
        """The same rearrangement under a name, with the parameters behind it, for errors and reports to quote.

        `refusal(shape)` may add to the error for a shape that does not fit: what the original code does there.
        """
        return self._with(name=name, parameters=parameters, _refusal=refusal)

    def naming_every_axis(self) -> Rearrangement:
        """The same, with `has_batch` off: of weights, say. What is emitted for it has no batch axis unless asked to.

        Called on an array, it takes one more axis in front all the same. Inverses, and chains with it, are alike.

        >>> Rearrangement("o i h w -> h w i o").naming_every_axis().inverse().has_batch
        False
        """
        return self._with(has_batch=False)

    def _with(self, **changed: Any) -> Rearrangement:
        made = type(self).__new__(type(self))
        made.__setstate__({**self.__getstate__(), **changed})
        return made

    def __setattr__(self, attribute: str, value: object) -> None:
        raise AttributeError(f"a Rearrangement is immutable: {attribute} cannot be set")

    def __delattr__(self, attribute: str) -> None:
        raise AttributeError(f"a Rearrangement is immutable: {attribute} cannot be deleted")

    def __getstate__(self) -> dict[str, Any]:
        caches = _empty_caches()
        return {k: v for k, v in self.__dict__.items() if k in Rearrangement.__annotations__ and k not in caches}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, **_empty_caches())

    # ------------------------------------------------------------------ what it is

    @property
    def rank(self) -> int:
        """How many axes one item has, the batch axis not counted."""
        return len(self.axes)

    @property
    def label(self) -> str:
        """Its name with its parameters, `darknet_reorg (stride 2)`, or its pattern where it has no name."""
        values = ", ".join(f"{name} {told(value)}" for name, value in self.parameters)
        return f"{self.name} ({values})" if self.name and values else self.name or f"'{self.pattern}'"

    @property
    def is_identity(self) -> bool:
        """Whether no element moves (the shape's label may still change)."""
        return not self.steps

    @cached_property
    def pattern(self) -> str:
        """Its pattern: as it was written, else one in normal form. Steps of a chain are joined by ' then '."""
        return self.source_pattern or written_pattern(self)

    @cached_property
    def canonical(self) -> CanonicalForm:
        """The normal form: fewest digits, no names. Equal normal forms are equal maps."""
        return CanonicalForm(self.in_shape, self.result_shape, self.steps)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Rearrangement):
            return NotImplemented
        if (self.in_shape, self.result_shape) != (other.in_shape, other.result_shape):
            return False
        return same_map(self.steps, other.steps, self.domain.join(other.domain))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.in_shape, self.result_shape))  # not the steps: the same map can be two different chains

    _repr_html_ = as_html

    def __repr__(self) -> str:
        return f"<Rearrangement {self.name + ': ' if self.name else ''}{self.pattern}>"

    # ------------------------------------------------------------------ at one shape

    def bind(self, shape: Sequence[int]) -> BoundRearrangement:
        """Evaluate at `shape` (one item, or with a batch axis in front).

        Raises `ShapeError` for a shape that does not fit, with the axis and the number that it must divide by.
        """
        lengths = read_lengths(self, shape)
        try:
            return self._bound[lengths]
        except KeyError:
            pass
        refuse_misfit(self, lengths)
        if len(self._bound) >= _SHAPES_KEPT:
            self._bound.clear()
        self._bound[lengths] = bound = bind_unchecked(self, lengths)
        return bound

    def out_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of the result for an input of `shape`; raises `ShapeError` as `bind` does."""
        return self.bind(shape).out_shape

    def table(self, shape: Sequence[int]) -> NDArray[np.int64]:
        """The int64 gather table at `shape`: `out.ravel()[i] == x.ravel()[table[i]]`, over the batch too.

        Raises `ShapeError` as `bind` does, or where the table does not fit in memory.
        """
        bound = self.bind(shape)
        if bound.digits is not None:
            return gather_table(bound.digits)
        table = gather_table(bound.steps[0])
        for digits in bound.steps[1:]:
            table = table.take(gather_table(digits))
        return table

    def __call__(self, x: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Rearrange a NumPy array of any dtype and strides; into `out` (right shape and dtype) where given.

        Returns a new C-contiguous array, or `out`. Raises `ShapeError` for a shape or an `out` that does not fit.
        """
        shape, dtype, copier, out_shape = self._latest  # a call like the one before skips every other look-up
        if x.__class__ is not np.ndarray or x.dtype is not dtype or x.shape != shape:
            x = _plain_array(x)
            copier, out_shape = self._copiers.get((x.shape, x.dtype)) or self._new_copier(x)
            self.__dict__["_latest"] = x.shape, x.dtype, copier, out_shape
        if out is None:
            return copier(x)
        if not isinstance(out, np.ndarray) or out.dtype != x.dtype or out.shape != out_shape or not out.flags.writeable:
            raise _out_error(out, x, out_shape)
        return copier(x, out)

    # ------------------------------------------------------------------ algebra

    def inverse(self) -> Rearrangement:
        """The rearrangement that undoes this one; also its gradient.

        Raises `PatternError` where the result's shape does not determine the input's (two axes merged into
        one): give one of their lengths.
        """
        substitution, in_shape = _solve_shape(self)
        names = _inverse_axis_names(self)
        fixed = tuple((k, int(s.coefficient)) for k, s in enumerate(in_shape) if s.is_constant)
        sizes = [s.substitute(substitution) for s in (*self.in_shape, *self.domain.whole)]
        domain = Domain(len(in_shape), whole_conditions(sizes), fixed)
        steps = [step.map_sizes(substitution).inverse() for step in reversed(self.steps)]
        result = tuple(size.substitute(substitution) for size in self.in_shape)
        return self._from_parts(names, in_shape, result, steps, domain, has_batch=self.has_batch)

    def then(self, following: Rearrangement) -> Rearrangement:
        """`following` after this one, in fewest steps.

        Raises `ShapeError` where no result of this one fits the other (axis count, fixed lengths).
        """
        if len(self.result_shape) != following.rank:
            raise ShapeError(
                f"the first gives {len(self.result_shape)} axes and the second takes {following.rank}: "
                f"'{self.pattern}', then '{following.pattern}'"
            )
        substitution = dict(enumerate(self.result_shape))
        fixed = dict(self.domain.fixed)
        for axis, wanted in following.domain.fixed:
            held = self.result_shape[axis]
            if held == Size.constant(wanted):
                continue
            if held.single_axis is None or (wanted / held.coefficient).denominator != 1:
                raise ShapeError(
                    f"axis {axis} has length {held.format(self.axes)} after the first "
                    f"and must be {wanted} for the second"
                )
            length = int(wanted / held.coefficient)
            if fixed.setdefault(held.single_axis, length) != length:
                raise ShapeError(f"no shape fits both: {self.axes[held.single_axis]} would be two lengths at once")
        pinned = {axis: Size.constant(length) for axis, length in fixed.items()}
        substitution = {axis: size.substitute(pinned) for axis, size in substitution.items()}
        sizes = [s.substitute(pinned) for s in self.domain.whole]
        sizes += [s.substitute(substitution) for s in following.domain.whole]
        broken = [s for s in sizes if s.is_constant and s.coefficient.denominator != 1]
        if broken:
            raise ShapeError(f"no shape fits both: a size would be {broken[0].coefficient}")
        domain = Domain(self.rank, whole_conditions(sizes), tuple(sorted(fixed.items())))
        steps = [step.map_sizes(pinned) for step in self.steps]
        steps += [step.map_sizes(substitution) for step in following.steps]
        return self._from_parts(
            axes=self.axes,
            in_shape=tuple(size.substitute(pinned) for size in self.in_shape),
            result_shape=tuple(size.substitute(substitution) for size in following.result_shape),
            steps=steps,
            domain=domain,
            has_batch=self.has_batch and following.has_batch,
        )

    def _new_copier(self, x: NDArray[Any]) -> tuple[Copier, tuple[int, ...]]:
        bound = self.bind(x.shape)
        if bound.digits is not None:
            copier = _copier(bound.in_shape, x.dtype, bound.digits, bound.out_shape)
        else:
            shapes = [bound.in_shape, *[(prod(bound.in_shape),)] * (len(bound.steps) - 1), bound.out_shape]
            copier = _chained(
                [_copier(shapes[k], x.dtype, digits, shapes[k + 1]) for k, digits in enumerate(bound.steps)]
            )
        if len(self._copiers) >= _SHAPES_KEPT:
            self._copiers.clear()
        self._copiers[x.shape, x.dtype] = copier, bound.out_shape
        return copier, bound.out_shape


def told(value: ParameterValue) -> str:
    """A parameter's value as labels and messages show it.

    >>> told((2, 4)), told(3), told("RGGB")
    ('2×4', '3', 'RGGB')
    """
    return "×".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _copier(in_shape: tuple[int, ...], dtype: np.dtype[Any], digits: Digits, out_shape: tuple[int, ...]) -> Copier:
    from layoutbridge.copying import build_copier, build_read_copier

    plain = tuple((digit[0], digit[1]) for digit in digits)
    readings = [(reading_of(digit), digit[0]) for digit in digits]
    if not any(reading for reading, _ in readings):
        return build_copier(in_shape, dtype, plain, out_shape)
    reads = [
        values_read(reading, size) if is_order(reading) else slice(None, None, -1 if reading else None)
        for reading, size in readings
    ]
    return build_read_copier(in_shape, plain, reads, out_shape)


def _chained(copiers: Sequence[Copier]) -> Copier:
    def copy(x: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        for copier in copiers[:-1]:
            x = copier(x)
        return copiers[-1](x) if out is None else copiers[-1](x, out)

    return copy


def _plain_array(x: object) -> NDArray[Any]:
    if not isinstance(x, np.ndarray) or isinstance(x, np.ma.MaskedArray):
        raise ShapeError(f"a NumPy array is wanted, not {type(x).__name__}: convert it first")
    return np.asarray(x)


def _out_error(out: object, x: NDArray[Any], shape: tuple[int, ...]) -> ShapeError:
    held = f"{out.dtype}{list(out.shape)}" if isinstance(out, np.ndarray) else type(out).__name__
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        held += " (read-only)"
    return ShapeError(f"out must be a writable NumPy array {x.dtype}{list(shape)}, not {held}")


def _empty_caches() -> dict[str, Any]:
    """What a rearrangement remembers between calls: nothing yet."""
    return {"_bound": {}, "_copiers": {}, "_latest": ((), None, None, ())}


def _with_lengths(pattern: str, lengths: dict[str, int]) -> str:
    return ", ".join([pattern, *(f"{name}={operator.index(value)}" for name, value in lengths.items())])


# ---------------------------------------------------------------------- evaluation at a shape


@lru_cache(maxsize=1024)
def bind_unchecked(op: Rearrangement, lengths: tuple[int, ...]) -> BoundRearrangement:
    """`Rearrangement.bind` for lengths that are known to fit, of any magnitude."""
    batch, item = lengths[: -op.rank], lengths[-op.rank :]
    known = {axis: Size.constant(length) for axis, length in enumerate(item)}
    leading = tuple(Size.constant(length) for length in batch)
    steps = []
    for step in op.steps:
        concrete = step.map_sizes(known)
        order = (*range(len(leading)), *(len(leading) + source for source in concrete.order))
        readings = (PLAIN,) * len(leading) + concrete.readings if concrete.readings else ()
        steps.append(DigitStep(leading + concrete.sizes, order, readings))
    reduced = reduce_chain(steps, Domain(0))
    result = tuple(int(size.evaluate(item)) for size in op.result_shape)
    return BoundRearrangement(lengths, batch + result, tuple(map(digits_of, reduced)))


# ---------------------------------------------------------------------- batch, inverse, text


def with_batch_axis(op: Rearrangement, rank: int) -> Rearrangement:
    """`op` with its untouched batch axis written out, where `rank` asks for one axis more than it has."""
    if op.rank == rank:
        return op
    moved = {axis: Size.axis(axis + 1) for axis in range(op.rank)}
    batch = Size.axis(0)
    steps = [_behind(batch, step.map_sizes(moved)) for step in op.steps]
    domain = Domain(
        rank,
        frozenset(size.substitute(moved) for size in op.domain.whole),
        tuple((axis + 1, length) for axis, length in op.domain.fixed),
    )
    in_shape = (batch, *(size.substitute(moved) for size in op.in_shape))
    result = (batch, *(size.substitute(moved) for size in op.result_shape))
    return Rearrangement._from_parts((batch_name(op.axes), *op.axes), in_shape, result, steps, domain)


def _behind(batch: Size, step: DigitStep) -> DigitStep:
    """The step with a digit in front that stays there."""
    readings = (PLAIN, *step.readings) if step.readings else ()
    return DigitStep((batch, *step.sizes), (0, *(source + 1 for source in step.order)), readings)


def _solve_shape(op: Rearrangement) -> tuple[dict[int, Size], tuple[Size, ...]]:
    """The input's axis lengths in terms of the result's, and the result's shape as an input shape."""
    substitution: dict[int, Size] = {}
    in_shape: list[Size] = []
    for position, size in enumerate(op.result_shape):
        if size.is_constant:
            in_shape.append(size)
            continue
        axis = size.single_axis
        if axis is None:
            raise PatternError(
                f"the result's axis {position} of length {size.format(op.axes)} does not tell its parts: "
                f"give the length of one of them to invert '{op.pattern}'"
            )
        substitution[axis] = Size.axis(position) / Size.constant(size.coefficient)
        in_shape.append(Size.axis(position))
    return substitution, tuple(in_shape)


def _inverse_axis_names(op: Rearrangement) -> tuple[str, ...]:
    names = []
    for position, size in enumerate(op.result_shape):
        axis = size.single_axis
        names.append(op.axes[axis] if axis is not None else f"axis{position}")
    return distinct_names(names)


def written_pattern(op: Rearrangement) -> str:
    """`op` in the bar notation, from its normal form; the steps of a chain, each on the input's axes, one by one."""
    letters = [c for c in "abcdefghijklmnopqrstuvwxyz" if c not in op.axes]
    fixed = [f"{op.axes[axis]}={length}" for axis, length in op.domain.fixed]
    steps = op.steps or (DigitStep((product(op.in_shape),), (0,)),)
    patterns = []
    for step, result in zip(steps, [*[op.in_shape] * (len(steps) - 1), op.result_shape], strict=True):
        names = [letters[k] if k < len(letters) else f"digit{k}" for k in range(len(step.sizes))]
        sized = " ".join(f"{name}:{size.format(op.axes)}" for name, size in zip(names, step.sizes, strict=True))
        written = " ".join(f"{names[source]}{written_reading(step.reading(source))}" for source in step.order)
        label = " ".join(size.format(op.axes) for size in result)
        patterns.append(", ".join([f"{' '.join(op.axes)} | {sized} -> {written} | {label}", *fixed]))
    return _THEN.join(patterns)
