"""Which ONNX operators compute a rearrangement within a target's limits: the fewest bytes moved, then the fewest nodes.

The form that onnxruntime runs fastest stands where it keeps the limits and no other moves fewer bytes. Each node but a
Reshape writes the whole tensor, so that bytes are counted in nodes that are no views.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from layoutbridge.algebra.digits import DigitStep
from layoutbridge.algebra.moves import Lowering, Shape, StepsAtLengths, at_lengths
from layoutbridge.algebra.rearrangement import with_batch_axis
from layoutbridge.algebra.sequences.steps import BLOCKS, Abilities, Kind
from layoutbridge.algebra.sequences.written import Moves, sequences
from layoutbridge.algebra.sizes import Domain, Size, product
from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.onnx.limits import refuse_rank
from layoutbridge.frameworks.onnx.moves import (
    MOST_GATHERED,
    OPERATORS,
    SPACE_TO_DEPTH_MODE_OPSET,
    Written,
    fastest_lowering,
)
from layoutbridge.frameworks.onnx.programs.limits import Limits

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto

_EINSUM_OPSET = 12
_EINSUM_DTYPES = ("float32", "float64", "int32", "int64")  # that onnxruntime has kernels for
_KINDS: dict[Kind, str] = {
    "transpose": "Transpose",
    "gather": "Gather",
    "flip": "Slice",
    "split": "Split",
    "slice": "Slice",
    "join": "Concat",
    "space_to_depth": "SpaceToDepth",
    "space_to_depth_crd": "SpaceToDepth",
    "depth_to_space": "DepthToSpace",
    "depth_to_space_crd": "DepthToSpace",
}
_IN_PARTS: frozenset[Kind] = frozenset({"split", "slice", "join"})
_MOST_AXES = 8
_ROWS_GATHERED = 4096  # positions of a Gather that stands beside other forms
_MOST_MOVES = 6
_GOOD = 2  # moves that nothing else is looked for beside


def nodes_within(
    limits: Limits, written: Written, name: str
) -> tuple[Lowering[Size], list[NodeProto], list[TensorProto]]:
    """The form within `limits`, its nodes and the constants that they read.

    Raises `UnsupportedError` with the limit that is in the way.
    """
    from layoutbridge.frameworks.onnx.graph import GraphBuilder

    if limits.max_rank is None and not limits.without:
        lowering = fastest_lowering(written)
        return lowering, *GraphBuilder(name, lowering, written.opset).build()
    best: tuple[Lowering[Size], list[NodeProto], list[TensorProto]] | None = None
    refused: dict[str, None] = {}
    for lowering in lowerings_within(limits, written):
        if best is not None and len(lowering.moves) > len(best[0].moves):
            break
        nodes, constants = GraphBuilder(name, lowering, written.opset, limits).build()
        beyond = dict.fromkeys(node.op_type for node in nodes if not limits.allows(node.op_type))
        if beyond:
            refused |= beyond
        elif best is None or len(nodes) < len(best[1]):
            best = lowering, nodes, constants
    if best is None:
        raise UnsupportedError(_refusal(limits, written, refused))
    return best


def lowerings_within(limits: Limits, written: Written) -> Iterator[Lowering[Size]]:
    """The forms within `limits`, the fewest moves first; operators that compute lengths for views are not looked at.

    Raises `UnsupportedError` where the input or the result has more axes than a tensor may have.
    """
    plain = at_lengths(written.op, written.lengths)
    refuse_rank(limits, len(plain.in_shape), "the input")
    refuse_rank(limits, len(plain.result_shape), "the result")
    for kinds in _kinds(limits, written):
        most = _MOST_MOVES * max(len(plain.steps), 1)
        fastest = fastest_lowering(written)
        keeps = _keeps(limits, kinds, fastest)
        if keeps:
            most = len(fastest.moves)
        searched = [
            Lowering(plain.in_shape, moves, plain.result_shape, plain.domain)
            for moves in _sequences(plain, kinds, limits, most)
        ]
        if keeps and (not searched or len(searched[0].moves) >= len(fastest.moves)):
            searched.insert(0, fastest)
        if searched:
            yield from searched
            return


def _keeps(limits: Limits, kinds: frozenset[Kind], lowering: Lowering[Size]) -> bool:
    named = {f"{move.kind}_crd" if move.mode == "CRD" else move.kind for move in lowering.moves}
    befores = [lowering.in_shape, *(move.written for move in lowering.moves)]
    afters = [*(move.view for move in lowering.moves), lowering.result]
    ranks_kept = all(limits.allows_rank(len(shape)) for shape in (*befores, *afters))
    return named <= kinds and ranks_kept and (limits.allows("Reshape") or befores == afters)


def _kinds(limits: Limits, written: Written) -> Iterator[frozenset[Kind]]:
    """The moves that operators within `limits` do; then those with transposes by Einsum, which is a last resort."""
    kinds = {kind for kind, operator in _KINDS.items() if limits.allows(operator)}
    if not written.has_blocks:
        kinds.difference_update(BLOCKS)
    if written.opset < SPACE_TO_DEPTH_MODE_OPSET:
        kinds.discard("space_to_depth_crd")
    yield frozenset(kinds)
    summed = limits.allows("Einsum") and written.opset >= _EINSUM_OPSET and written.dtype in _EINSUM_DTYPES
    if summed and "transpose" not in kinds:
        yield frozenset({*kinds, "transpose"})


def _sequences(plain: StepsAtLengths, kinds: frozenset[Kind], limits: Limits, most: int) -> list[Moves]:
    """The best sequences of at most so many moves for all steps, one behind the other."""
    if not plain.steps:
        return _label(plain, kinds, limits)
    done: list[Moves] = [()]
    for number, step in enumerate(plain.steps):
        # a step inside a chain has no shape of its own
        in_shape = plain.in_shape if number == 0 else ()
        result = plain.result_shape if number == len(plain.steps) - 1 else ()
        made = _shortest(step, (in_shape, result), plain.domain, kinds, limits, most - len(done[0]))
        done = [before + after for before in done[:1] for after in made]
        if not done:
            return []
    return done


def _label(plain: StepsAtLengths, kinds: frozenset[Kind], limits: Limits) -> list[Moves]:
    """What only changes the shape: nothing, or where no view may stand the moves that come to the same."""
    if limits.allows("Reshape") or plain.in_shape == plain.result_shape:
        return [()]
    step = DigitStep((product(plain.in_shape),), (0,))
    return _shortest(step, (plain.in_shape, plain.result_shape), plain.domain, kinds, limits, _MOST_MOVES)


def _shortest(
    step: DigitStep, sides: tuple[Shape, Shape], domain: Domain, kinds: frozenset[Kind], limits: Limits, most: int
) -> list[Moves]:
    """Without parts and without a Gather of single elements first; with all there is where that takes many moves."""
    axes = _MOST_AXES if limits.max_rank is None else limits.max_rank
    views = limits.allows("Reshape")
    whole = Abilities(kinds - _IN_PARTS, axes, views, most_gathered=_ROWS_GATHERED)
    found = sequences(step, *sides, domain, whole, most)
    if found and len(found[0]) <= _GOOD:
        return found
    every = Abilities(kinds, axes, views, most_gathered=MOST_GATHERED, single_elements=True)
    return sequences(step, *sides, domain, every, len(found[0]) - 1 if found else most) or found


# ---------------------------------------------------------------------- why there is none


def _refusal(limits: Limits, written: Written, operators: Iterable[str]) -> str:
    """Which limit is in the way of every form; `operators` are those that only the lengths of views were missing."""
    label = written.op.label
    if operators:
        return (
            f"{label}: no form was found without {' and '.join(operators)}, which computes lengths that the shape "
            "leaves open: give the whole shape"
        )
    needs = [
        need
        for need, eased, eased_written in _eased(limits, written)
        if next(lowerings_within(eased, eased_written), None) is not None
    ]
    needed = f": it would need {' or '.join(needs)}" if needs else ", and to lift one of these limits is not enough"
    return f"{label}: no exact form was found within the limits ({limits.told}){needed}"


def _eased(limits: Limits, written: Written) -> Iterator[tuple[str, Limits, Written]]:
    """The limits with one of them lifted, or lengths that are all known; and what that allows."""
    for operator in sorted(limits.without.intersection({*OPERATORS.values(), "Reshape", "Einsum"})):
        yield operator, replace(limits, without=limits.without - {operator}), written
    if limits.max_rank is not None:
        yield f"more than {limits.max_rank} axes", replace(limits, max_rank=None), written
    if None in written.lengths:
        domain = with_batch_axis(written.op, len(written.lengths)).domain
        known = {axis: 4 * domain.divisor(axis) for axis in range(domain.rank)} | dict(written.known)
        yield "lengths that are all known", limits, replace(written, known=known)
