"""Other calls in the place of those that are there; what only they needed goes with them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch.fx import Node

from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.errors import UnsupportedError
from layoutbridge.rewriting.torch.memory import Memory
from layoutbridge.rewriting.torch.programs import Work
from layoutbridge.rewriting.torch.scenes import Spot
from layoutbridge.rewriting.torch.writing import Writer, is_contiguous

_ATEN = torch.ops.aten
_STRICT_VIEWS = (_ATEN.view.default, _ATEN._unsafe_view.default)  # which want strides that fit


def put(work: Work, spot: Spot, operation: Rearrangement) -> None:
    """Put an operation in the place at a spot, as a tensor of its own.

    Raises `UnsupportedError` where something that is written into memory would be seen by others than before.
    """
    memory, writer = Memory(spot.module), _writer(work, spot)
    made = writer.rearranged(spot.source, operation)
    made = writer.copied(made) if made is spot.source else made
    if told := _disturbing(memory, spot, made, becomes_view=writer.is_view):
        raise UnsupportedError(
            f"'{told.name}' writes into memory that '{spot.output.name}' may share with others: give "
            "program.run_decompositions({}), where nothing does"
        )
    loosen_behind(memory, [spot.output])
    stand_in(work, spot.output, made, is_new=True)
    remove_unneeded(spot.nodes)


def shorten(
    work: Work, spot: Spot, operation: Rearrangement | None, memory: Memory, *, size: int, cost: tuple[int, int]
) -> bool:
    """Write what is at a spot, which is `operation`, anew where that moves fewer bytes or takes fewer calls.

    None is a view. `memory` is that of the graph, `size` that of the result in bytes, `cost` the bytes that are moved
    now, and the calls. A result that lay in the order of its elements still does. Whether anything was changed.
    """
    writer = _writer(work, spot)
    try:
        made = writer.rearranged(spot.source, operation) if operation else writer.seen_as(spot.source, spot.output)
    except UnsupportedError:
        made = None
    if made is None:
        writer.undo()
        return False
    loses_order = is_contiguous(spot.output.meta["val"]) and not is_contiguous(made.meta["val"])
    is_callers = spot.is_inside or spot.source.op == "placeholder"
    if loses_order or (spot.is_given_back and is_callers and writer.is_view):
        made = writer.copied(made)
    is_shorter = (writer.times_moved * size, len(writer.made)) < cost
    if not is_shorter or _disturbing(memory, spot, made, becomes_view=writer.is_view):
        writer.undo()
        return False
    loosen_behind(memory, [spot.output])
    stand_in(work, spot.output, made, is_new=made is not spot.source)
    remove_unneeded(spot.nodes)
    return True


def stand_in(work: Work, old: Node, new: Node, *, is_new: bool) -> None:
    """Whoever reads `old` reads `new`, which takes its name where it `is_new`."""
    old.replace_all_uses_with(new)
    if is_new:
        old.name, new.name = new.name, old.name
    elif old.graph is work.module.graph:
        work.rename_output(old, new)


def loosen_behind(memory: Memory, nodes: Iterable[Node]) -> None:
    """Views of what is computed from `nodes`, which want strides that fit, take any from now on.

    Those of memory that is written into stay as they are: what comes of a write would depend on the strides.
    """
    for node in memory.dependents(nodes):
        if node.target in _STRICT_VIEWS and not memory.is_written([node]):
            node.target = _ATEN.reshape.default


def remove_unneeded(nodes: Iterable[Node]) -> None:
    """Take out those of `nodes` that nobody reads any more, and then what only they read."""
    left = list(dict.fromkeys(nodes))
    gone: set[Node] = set()
    while left:
        node = left.pop()
        if node in gone or node.users or node.op != "call_function" or node.is_impure():
            continue
        read = node.all_input_nodes
        node.graph.erase_node(node)
        gone.add(node)
        left += read


def _disturbing(memory: Memory, spot: Spot, made: Node, *, becomes_view: bool) -> Node | None:
    """A write that others would see, or no longer see, if `made` stood at a spot; None where there is none."""
    told = memory.disturbing(spot.reader, spot.source, spot.output, becomes_view=becomes_view)
    keeps_order = is_contiguous(spot.output.meta["val"]) and is_contiguous(made.meta["val"])
    return told if told or keeps_order else memory.writing(memory.dependents([spot.output]))


def _writer(work: Work, spot: Spot) -> Writer:
    return Writer(spot.output, None if spot.is_inside else work)
