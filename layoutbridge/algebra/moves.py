"""A rearrangement as few moves that frameworks have: views, transposes, and blocks into channels or out of them.

`lower` writes each step of the algebra as one transpose between two views, and behind it, where digits are not read as
they are, a flip of some axes and a gather for each order. A framework takes that, or a move that is the same and runs
faster there:

- `as_blocks`: a space-to-depth or depth-to-space of another view. It covers space-to-depth in both orders, Darknet's
  reorg, and the inverses of these.
- `own_blocks`: the same of the tensor as it is, in either mode, with channels first or last.
- `axis_order`: a transpose of the tensor's own axes.
- `parts`: several transposes, each of which is simpler.

Sizes are monomials in the lengths of the input's axes, or numbers where `lower_at` is given all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from layoutbridge.algebra.chains import reduce_chain
from layoutbridge.algebra.digits import DigitStep, common_refinement
from layoutbridge.algebra.readings import REVERSED, Reading, is_order
from layoutbridge.algebra.rearrangement import Rearrangement, with_batch_axis
from layoutbridge.algebra.sizes import ONE, Domain, Size, product, whole_conditions

Length = TypeVar("Length")
Written = TypeVar("Written")
Shape = tuple[Size, ...]
MoveKind = Literal["transpose", "space_to_depth", "depth_to_space", "gather", "flip", "split", "slice", "join"]
Mode = Literal["", "DCR", "CRD"]
Cut = tuple[int, int, bool]  # the axis, into how many parts, whether they are its outermost blocks or every so many-th


@dataclass(frozen=True, slots=True)
class Move(Generic[Length]):
    """One move: it takes a contiguous tensor as `view` and gives it as `written`.

    - `transpose`: by `order`, the axis of `view` that is written at each place.
    - `space_to_depth`, `depth_to_space`: with this `block` and `mode`, as ONNX defines them, on four axes of which
      `axis` holds the channels (1 or 3). No mode is DCR; with one channel on the wide side both are the same.
    - `gather`: the positions `indices` along `axis`.
    - `flip`: the axes `flipped` backwards.
    - `split`, `slice`: the tensor in parts, each `written`: one for every combination of the `cuts`' positions, the
      last cut's fastest. A split has one cut, of outermost blocks.
    - `join`: parts one behind another along `axis`, each tensor made of one of `groups`, the parts by their numbers.

    Where the tensor lies in parts, a move is done to each of them.
    """

    kind: MoveKind
    view: tuple[Length, ...]
    written: tuple[Length, ...]
    order: tuple[int, ...] = ()
    block: int = 0
    mode: Mode = ""
    axis: int = 1
    indices: tuple[int, ...] = ()
    flipped: tuple[int, ...] = ()
    cuts: tuple[Cut, ...] = ()
    groups: tuple[tuple[int, ...], ...] = ()

    def map_lengths(self, function: Callable[[Length], Written]) -> Move[Written]:
        """The same move with each length of its shapes replaced."""
        view, written = (tuple(map(function, shape)) for shape in (self.view, self.written))
        rest = (self.order, self.block, self.mode, self.axis, self.indices, self.flipped, self.cuts, self.groups)
        return Move(self.kind, view, written, *rest)


@dataclass(frozen=True, slots=True)
class Lowering(Generic[Length]):
    """`moves` one after another on a contiguous tensor of `in_shape`, then a view as `result`.

    `domain` says which lengths of `in_shape` are accepted, in terms of the axes that sizes speak of.
    """

    in_shape: tuple[Length, ...]
    moves: tuple[Move[Length], ...]
    result: tuple[Length, ...]
    domain: Domain

    def map_lengths(self, function: Callable[[Length], Written]) -> Lowering[Written]:
        """The same with each length replaced."""
        in_shape, result = (tuple(map(function, shape)) for shape in (self.in_shape, self.result))
        return Lowering(in_shape, tuple(move.map_lengths(function) for move in self.moves), result, self.domain)


def lower(op: Rearrangement, lengths: Sequence[int | None] | None = None) -> Lowering[Size]:
    """Each step of `op` as a transpose, on tensors [N, ...], or on one item [...] where `lengths` are as many.

    `lengths` that are known, at least 1, are put in, which often lets steps merge; None is one that is not known. They
    must fit: `fitting.refuse_misfit` tells.

    >>> from layoutbridge.operations.catalog import op
    >>> [(move.kind, move.order) for move in lower(op("space_to_depth")).moves]
    [('transpose', (0, 2, 4, 1, 3))]
    >>> reorg = op("nhwc_to_nchw").then(op("darknet_reorg"))
    >>> [len(lower(reorg, lengths).moves) for lengths in (None, (None, 26, 26, 64), (None, 28, 26, 64))]
    [2, 2, 1]
    >>> [move.kind for move in lower(Rearrangement("(g d) k -> k (g[0 2 3 1] d[::-1])")).moves]
    ['transpose', 'flip', 'gather']
    """
    plain = at_lengths(op, [None] * (op.rank + 1) if lengths is None else lengths)
    labels = [*[()] * (len(plain.steps) - 1), plain.result_shape]  # a step inside a chain has no shape of its own
    moves = tuple(
        move for step, label in zip(plain.steps, labels, strict=False) for move in _moves(step, plain.in_shape, label)
    )
    return Lowering(plain.in_shape, moves, plain.result_shape, plain.domain)


@dataclass(frozen=True, slots=True)
class StepsAtLengths:
    """The steps of a rearrangement with the lengths put in that are known, which sizes speak of as numbers."""

    in_shape: Shape
    steps: tuple[DigitStep, ...]
    result_shape: Shape
    domain: Domain


def at_lengths(op: Rearrangement, lengths: Sequence[int | None]) -> StepsAtLengths:
    """The steps of `op` on tensors of these lengths, with a batch axis in front where there is one more than it has.

    >>> at_lengths(Rearrangement("a b -> b a"), (None, 4, None)).steps[0].sizes[1:]
    (Size(coefficient=Fraction(4, 1), powers=()), Size(coefficient=Fraction(1, 1), powers=((2, 1),)))
    """
    whole = with_batch_axis(op, len(lengths))
    known = {axis: Size.constant(length) for axis, length in enumerate(lengths) if length is not None}
    in_shape, result = (tuple(s.substitute(known) for s in shape) for shape in (whole.in_shape, whole.result_shape))
    if not known:
        return StepsAtLengths(in_shape, whole.steps, result, whole.domain)
    fixed = tuple((axis, int(size.coefficient)) for axis, size in known.items())
    domain = Domain(whole.rank, whole_conditions(s.substitute(known) for s in whole.domain.whole), fixed)
    steps = reduce_chain([step.map_sizes(known) for step in whole.steps], domain)
    return StepsAtLengths(in_shape, steps, result, domain)


def lower_at(op: Rearrangement, shape: Sequence[int]) -> Lowering[int]:
    """`lower` for a tensor of this `shape` with or without a batch axis, in plain numbers.

    Raises `ShapeError` for a shape that does not fit, as `Rearrangement.bind` does.

    >>> from layoutbridge.operations.catalog import op
    >>> lowering = lower_at(op("space_to_depth"), (1, 2, 4, 6))
    >>> [(move.view, move.order) for move in lowering.moves], lowering.result
    ([((4, 2, 3, 2), (1, 3, 0, 2))], (1, 8, 2, 3))
    """
    return lower(op, op.bind(shape).in_shape).map_lengths(lambda size: int(size.coefficient))


def transpose(step: DigitStep) -> Move[Size]:
    """The step as a transpose of its digits, which are read as they are."""
    return Move("transpose", step.sizes, step.written_sizes, step.order)


def _moves(step: DigitStep, in_shape: Shape, result: Shape) -> list[Move[Size]]:
    """The step's transpose, if it has one, then what reads its digits: backwards all at once, each order by itself."""
    if not step.readings:
        return [transpose(step)]
    plain = DigitStep(step.sizes, step.order).normalized()
    moves = [] if plain.is_identity else [transpose(plain)]
    written = tuple((step.sizes[source], step.reading(source)) for source in step.order)
    backwards = [place for place, (_, reading) in enumerate(written) if reading == REVERSED]
    if backwards:
        view, places = _view_around(written, backwards, (result,) if moves else (result, in_shape))
        moves.append(Move("flip", view, view, flipped=places))
    for place, (_, reading) in enumerate(written):
        if is_order(reading):
            view, (axis,) = _view_around(written, [place], (result,) if moves else (result, in_shape))
            moves.append(Move("gather", view, view, axis=axis, indices=reading))
    return moves


def _view_around(
    written: Sequence[tuple[Size, Reading]], digits: Sequence[int], shapes: Sequence[Shape]
) -> tuple[Shape, tuple[int, ...]]:
    """A view in which each of these digits is an axis, and which axes they are: one of `shapes` if that will do."""
    sizes = [size for size, _ in written]
    bounds = [(product(sizes[:digit]), sizes[digit]) for digit in digits]
    for shape in shapes:
        axes = [axis for axis in range(len(shape)) if (product(shape[:axis]), shape[axis]) in bounds]
        if len(axes) == len(digits):
            return shape, tuple(axes)
    view: list[Size] = []
    places: list[int] = []
    start = 0
    for digit in digits:
        view += [product(sizes[start:digit])] if start < digit else []
        places.append(len(view))
        view.append(sizes[digit])
        start = digit + 1
    return (*view, *((product(sizes[start:]),) if start < len(sizes) else ())), tuple(places)


# ---------------------------------------------------------------------- along the tensor's own axes


def along_axes(move: Move[Size], shape: Shape, domain: Domain) -> Move[Size] | None:
    """The transpose with its view cut along the axes of a tensor of `shape`, too; None where a cut does not divide.

    Every tensor of that shape has such a view, whatever its strides.
    """
    refined = common_refinement(shape, move.view, domain)
    if refined is None:
        return None
    sizes, _, digits = refined
    order = tuple(k for digit in move.order for k, within in enumerate(digits) if within == digit)
    return Move("transpose", tuple(sizes), tuple(sizes[k] for k in order), order)


def axis_order(move: Move[Size], shape: Shape, domain: Domain) -> tuple[int, ...] | None:
    """The transpose as an order of the axes of a tensor of `shape`; None where it cuts one of them.

    >>> from layoutbridge.operations.catalog import op
    >>> lowering = lower(op("nchw_to_nhwc"))
    >>> axis_order(lowering.moves[0], lowering.in_shape, lowering.domain)
    (0, 2, 3, 1)
    """
    cut = along_axes(move, shape, domain)
    return cut.order if cut is not None and cut.view == shape else None


# ---------------------------------------------------------------------- blocks

_ROW = {1: 2, 3: 1}  # which axis holds the rows, by the axis of the channels; the columns' is the next one
# of digits (N, C, h, p, w, q) and (N, h, p, w, q, C): how a space-to-depth writes them
_SPACE_TO_DEPTH_ORDERS: dict[int, dict[Mode, tuple[int, ...]]] = {
    1: {"DCR": (0, 3, 5, 1, 2, 4), "CRD": (0, 1, 3, 5, 2, 4)},
    3: {"DCR": (0, 1, 3, 2, 4, 5)},
}


def as_blocks(move: Move[Size]) -> Move[Size] | None:
    """The transpose as a space-to-depth or depth-to-space between two views, where it is one; else None.

    With square blocks, digits (a, x, p, w, q) that become (a, p, q, x, w) are a space-to-depth of [a, 1, x·p, w·q], and
    digits (a, p, q, x, w) that become (a, x, p, w, q) a depth-to-space of [a, p·q, x, w]; a may be missing.

    >>> from layoutbridge.operations.catalog import op
    >>> blocks = as_blocks(lower(op("darknet_reorg")).moves[0])
    >>> blocks.kind, blocks.block, [str(size) for size in blocks.view]
    ('space_to_depth', 2, ['x0', '1', 'x1*x2/2', '2*x3'])
    >>> as_blocks(lower(op("focus")).moves[0]) is None
    True
    """
    sizes, order = move.view, move.order
    if len(order) == 4:
        sizes, order = (ONE, *sizes), (0, *(digit + 1 for digit in order))
    if order == (0, 2, 4, 1, 3):
        a, x, p, w, q = sizes
    elif order == (0, 3, 1, 4, 2):
        a, p, q, x, w = sizes
    else:
        return None
    if p != q or not p.is_constant:
        return None
    wide, deep, block = (a, ONE, x * p, w * p), (a, p * p, x, w), int(p.coefficient)
    if order == (0, 2, 4, 1, 3):
        return Move("space_to_depth", wide, deep, block=block)
    return Move("depth_to_space", deep, wide, block=block)


def own_blocks(move: Move[Size], shape: Shape, result: Shape, *, axis: int = 1) -> Move[Size] | None:
    """The space-to-depth or depth-to-space of the tensor as it is, channels on `axis` (1 or 3), that is the transpose.

    `shape` and `result` are what the tensor has before and after. None where there is none.

    >>> from layoutbridge.operations.catalog import op
    >>> lowering = lower(op("pixel_shuffle", stride=3))
    >>> blocks = own_blocks(lowering.moves[0], lowering.in_shape, lowering.result)
    >>> blocks.kind, blocks.block, blocks.mode
    ('depth_to_space', 3, 'CRD')
    """
    if len(shape) != 4 or len(result) != 4:
        return None
    ratio = shape[_ROW[axis]] / result[_ROW[axis]]
    if not ratio.is_constant or ratio.is_one:
        return None
    kind: MoveKind = "space_to_depth" if ratio.coefficient > 1 else "depth_to_space"
    step = DigitStep(move.view, move.order)
    # a depth-to-space is the inverse of the space-to-depth in the same mode
    wide, deep, step = (shape, result, step) if kind == "space_to_depth" else (result, shape, step.inverse())
    block = ratio if kind == "space_to_depth" else ONE / ratio
    for mode, order in _SPACE_TO_DEPTH_ORDERS[axis].items():
        row, column = _ROW[axis], _ROW[axis] + 1
        split = [(size / block, block) if k in (row, column) else (size,) for k, size in enumerate(wide)]
        own = DigitStep(tuple(size for sizes in split for size in sizes), order)
        expected = tuple(
            size * block * block if k == axis else size / block if k in (row, column) else size
            for k, size in enumerate(wide)
        )
        if deep == expected and own.normalized() == step:
            return Move(kind, shape, result, block=int(block.coefficient), mode=mode, axis=axis)
    return None
