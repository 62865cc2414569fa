"""Limits that somebody gives, and whole models held to them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING

from layoutbridge.errors import ParameterError, UnknownNameError, UnsupportedError, shown
from layoutbridge.frameworks.base import check_count, require
from layoutbridge.frameworks.onnx.programs.limits import Limits
from layoutbridge.frameworks.onnx.versions import DEFAULT_OPSET, EXTRA

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from layoutbridge.frameworks.onnx.network.graph import Initializer


def read_limits(max_rank: int | None = None, without: Sequence[str] = ()) -> Limits:
    """The limits that somebody gives, checked.

    Raises `ParameterError` for a rank that is no number of at least 1, `UnknownNameError` for an operator that ONNX
    does not have, with the nearest, and `MissingFrameworkError` where operators are named without onnx.

    >>> read_limits(4, ["SpaceToDepth"])
    Limits(max_rank=4, without=frozenset({'SpaceToDepth'}), max_opset=None)
    >>> read_limits(without=["SpaceToDeph"])
    Traceback (most recent call last):
    layoutbridge.errors.UnknownNameError: ONNX has no operator 'SpaceToDeph'; did you mean SpaceToDepth?
    """
    check_count("max_rank", max_rank, may_be_open=True)
    if isinstance(without, str) or not isinstance(without, Iterable):
        raise ParameterError(f"without is a list of ONNX operators, ['Gather'], not {shown(without)}")
    named = tuple(without)
    if named:
        known = _operators()
        for name in named:
            if not isinstance(name, str) or name not in known:
                raise UnknownNameError(f"ONNX has no operator {shown(name)}{_nearest(name, known)}")
    return Limits(max_rank, frozenset(named))


def known_opset(opset: int | None, lowest: int, limits: Limits, of: str = "") -> int:
    """`opset` as a number from `lowest` to what the installed onnx knows and `limits` allow.

    None is the usual one, or the highest that is allowed. Raises `ParameterError` for another; `of` says what it is of.

    >>> known_opset(None, 11, Limits(max_opset=11)), known_opset(None, 11, Limits())
    (11, 17)
    """
    import onnx

    known = onnx.defs.onnx_opset_version()
    highest = known if limits.max_opset is None else min(known, limits.max_opset)
    try:
        number = min(DEFAULT_OPSET, highest) if opset is None else operator.index(opset)
    except TypeError:
        number = -1
    if not isinstance(opset, bool) and lowest <= number <= highest:
        return number
    by = f"onnx {onnx.__version__}" if highest == known else "as its limits say"
    span = f"from {lowest} to {highest} ({by})" if lowest <= highest else f"at least {lowest}"
    given = f"and the limit is {highest}" if lowest > highest else f"not {shown(opset)}"
    raise ParameterError(f"the opset{of and f' {of}'} must be {span}, {given}")


def refuse_rank(limits: Limits, rank: int, what: str) -> None:
    """Raise `UnsupportedError` where `what` has more axes than a tensor may have.

    >>> refuse_rank(Limits(max_rank=3), 4, "the input")
    Traceback (most recent call last):
    layoutbridge.errors.UnsupportedError: max_rank is 3, and the input has 4 axes: no form changes that
    """
    if not limits.allows_rank(rank):
        raise UnsupportedError(f"max_rank is {limits.max_rank}, and {what} has {rank} axes: no form changes that")


def refuse_beyond(
    limits: Limits, model: ModelProto, initializers: Sequence[Initializer], told: Callable[[str], str]
) -> None:
    """Raise `UnsupportedError` for the first node of a model that is not within `limits`, of a graph within it, too.

    `initializers` are those of its main graph, which it does not hold itself; `told(scope)` is what a message calls the
    outermost scope of a node.
    """

    def refuse(node: NodeProto, why: str) -> None:
        if why:
            scope = node.name.split("/")[0] if "/" in node.name else ""
            raise UnsupportedError(f"{told(scope)} {why}, and has no other form within the limits: {limits.told}")

    for node in _nodes(model.graph.node):
        refuse(node, "" if limits.allows(node.op_type) else f"needs {node.op_type}")
    if limits.max_rank is None:
        return
    for held in initializers:
        reader = next(node for node in _nodes(model.graph.node) if held.name in node.input)
        rank = len(held.shape)
        refuse(reader, "" if limits.allows_rank(rank) else f"reads '{held.name}', which has {rank} axes")
    for value in model.graph.input:
        refuse_rank(limits, len(value.type.tensor_type.shape.dim), f"the input '{value.name}'")
    ranks = _ranks(model, initializers)
    for node in model.graph.node:
        for name in filter(None, node.output):
            rank = ranks[name]
            refuse(node, "" if limits.allows_rank(rank) else f"has a tensor of {rank} axes ({node.op_type})")


def _nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes, and those of graphs within them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            yield from _nodes(attribute.g.node)


def _ranks(model: ModelProto, initializers: Sequence[Initializer]) -> dict[str, int]:
    """How many axes each tensor of the main graph has."""
    from onnx import ModelProto, TensorProto, helper, shape_inference

    whole = ModelProto()
    whole.CopyFrom(model)
    for held in initializers:
        if held.elem_type == TensorProto.INT64:  # what a Reshape reads says how many axes there are
            numbers = [int(number) for part in held.values(dtype="i8") for number in part.reshape(-1)]
            whole.graph.initializer.append(helper.make_tensor(held.name, held.elem_type, held.shape, numbers))
        elif all(held.name != value.name for value in model.graph.input):
            whole.graph.input.append(helper.make_tensor_value_info(held.name, held.elem_type, held.shape))
    graph = shape_inference.infer_shapes(whole, strict_mode=True, data_prop=True).graph
    values = (*graph.value_info, *graph.output)
    return {value.name: len(value.type.tensor_type.shape.dim) for value in values}


def _operators() -> frozenset[str]:
    """The names of ONNX's own operators, of any opset that the installed onnx knows."""
    onnx = require("onnx", "onnx", EXTRA)
    return frozenset(schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == "")


def _nearest(name: object, known: Iterable[str]) -> str:
    if not isinstance(name, str):
        return ""
    by_letters = {each.lower(): each for each in sorted(known)}
    near = [by_letters[each] for each in get_close_matches(name[:80].lower(), by_letters, n=3, cutoff=0.6)]
    return f"; did you mean {' or '.join(near)}?" if near else ""
