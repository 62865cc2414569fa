"""Transposes that meet: calls between them are done in another order of axes where fewer elements are moved then.

Calls that do not mind the order of axes lie together in groups. What goes into a group and what comes out of it may be
a transpose, a turn. With the axes of all tensors in a group in another order some turns go and others come; the order
that moves the fewest bytes is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch.fx import GraphModule, Node

from layoutbridge.rewriting.torch.layouts import Order, Turns, allows, is_free, rank_of, taken, turn
from layoutbridge.rewriting.torch.memory import Memory
from layoutbridge.rewriting.torch.programs import Work
from layoutbridge.rewriting.torch.replacing import loosen_behind, remove_unneeded, stand_in
from layoutbridge.rewriting.torch.writing import Writer, is_contiguous

_ATEN = torch.ops.aten
_SIZE = _ATEN.sym_size.int


@dataclass(slots=True)
class Group:
    """Free calls that hang together, in the graph's order, on tensors of one rank."""

    nodes: list[Node]
    rank: int
    inside: set[Node] = field(init=False)

    def __post_init__(self) -> None:
        self.inside = set(self.nodes)

    def entering(self) -> list[Node]:
        """The tensors that go in and have more than one number, each once."""
        held = (source for node in self.nodes for source in taken(node) if source not in self.inside)
        return [node for node in dict.fromkeys(held) if rank_of(node)]

    def leaving(self) -> Iterator[tuple[Node, list[Node]]]:
        """The nodes whose tensors others read, with these; who asks for a length alone is left out."""
        for node in self.nodes:
            users = [user for user in node.users if user not in self.inside and user.target is not _SIZE]
            if users:
                yield node, users


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Turns that are gone or stand elsewhere, the calls between them, and the bytes of all turns before and after."""

    turns: tuple[str, ...]
    between: tuple[str, ...]
    before: int
    after: int


def cancel(work: Work, module: GraphModule, turns: Turns) -> list[Cancelled]:
    """Change the graph of `module` where transposes meet; what was done. Others may meet then: do it again."""
    if merged := list(_merged(work, turns)):
        return merged
    found: list[Cancelled] = []
    used: set[Node] = set()
    memory = Memory(module)
    for group in _groups(module):
        around = {*group.nodes, *group.entering(), *(user for _, users in group.leaving() for user in users)}
        order = _best(group, turns) if used.isdisjoint(around) else None
        if order is not None and not memory.is_written({*memory.dependents(group.nodes), *group.entering()}):
            loosen_behind(memory, group.nodes)
            used |= around
            names = tuple(node.name for node in module.graph.nodes if node in around and node in turns.orders)
            costs = _cost_now(group, turns)[0], _cost(group, turns, order)[0]
            found.append(Cancelled(names, tuple(node.name for node in group.nodes), *costs))
            _turn_group(work, group, order, turns)
    return found


def _merged(work: Work, turns: Turns) -> Iterator[Cancelled]:
    used: set[Node] = set()
    for node in turns.orders:
        first = node.all_input_nodes[0]
        if first in turns.orders and used.isdisjoint((first, node)) and (done := _merge(work, first, node, turns)):
            used |= {first, node}
            yield done


def _merge(work: Work, first: Node, second: Node, turns: Turns) -> Cancelled | None:
    """Two turns, one of the other's result, as one or none; None where the first would stay and nothing be gained."""
    order = _after(turns.orders[first], turns.orders[second])
    stays = len(first.users) > 1
    if stays and not _is_plain(order):
        return None
    one, two = turns.bytes(first), turns.bytes(second)
    done = Cancelled((first.name, second.name), (), one + two, one * stays + two * (not _is_plain(order)))
    source = first.all_input_nodes[0]
    made = source if _is_plain(order) else Writer(second, None).permuted(source, order)
    stand_in(work, second, made, is_new=made is not source)
    remove_unneeded([first, second])
    return done


def _groups(module: GraphModule) -> list[Group]:
    leaders: dict[Node, Node] = {}

    def leader(node: Node) -> Node:
        while leaders[node] is not node:
            node = leaders[node]
        return node

    for node in module.graph.nodes:
        if node.op == "call_function" and is_free(node) and (rank_of(node) or 0) > 1:
            leaders[node] = node
            for source in taken(node):
                if source in leaders and rank_of(source) == rank_of(node):
                    leaders[leader(source)] = node
    groups: dict[Node, list[Node]] = {}
    for node in leaders:
        groups.setdefault(leader(node), []).append(node)
    return [Group(nodes, rank_of(nodes[0]) or 0) for nodes in groups.values()]


# ---------------------------------------------------------------------- which order


def _best(group: Group, turns: Turns) -> Order | None:
    """The order of axes with the least cost, where that is less than what there is now."""
    turned = {node: order for node in group.entering() if (order := turns.of(node, group.rank)) is not None}
    if not group.inside.isdisjoint(node.all_input_nodes[0] for node in turned):
        return None  # a tensor of the group and a turn of it in one call
    leaving = [turns.orders[user] for _, users in group.leaving() for user in users if user in turns.orders]
    orders = dict.fromkeys([*map(_inverse, turned.values()), *leaving])
    allowed = [order for order in orders if not _is_plain(order) and all(allows(node, order) for node in group.nodes)]
    if not allowed:
        return None
    best = min(allowed, key=lambda order: _cost(group, turns, order))
    return best if _cost(group, turns, best) < _cost_now(group, turns) else None


def _cost_now(group: Group, turns: Turns) -> tuple[int, int]:
    held = {*group.entering(), *(user for _, users in group.leaving() for user in users)}
    now = [turns.bytes(node) for node in held if node in turns.orders]
    return sum(now), len(now)


def _cost(group: Group, turns: Turns, order: Order) -> tuple[int, int]:
    """The bytes of all turns around a group in another order, and how many they are."""
    costs = []
    for node in group.entering():
        own = turns.of(node, group.rank)
        if own is not None and any(user not in group.inside for user in node.users):
            costs.append(turns.bytes(node))
        if not _is_line(node) and (own is None or not _is_plain(_after(own, order))):
            costs.append(turns.bytes(node))
    for node, users in group.leaving():
        for user in users:
            if user in turns.orders and not _is_plain(_seen_from(order, turns.orders[user])):
                costs.append(turns.bytes(user))
        if any(user not in turns.orders for user in users):
            costs.append(turns.bytes(node))
    return sum(costs), len(costs)


def _is_line(node: Node) -> bool:
    """Whether a tensor has one axis that is longer than 1 at most: in any order of axes its elements lie as they do."""
    return sum(not (isinstance(length, int) and length == 1) for length in node.meta["val"].shape) <= 1


def _after(first: Order, second: Order) -> Order:
    """Both, one after the other, as one order of axes.

    >>> _after((0, 2, 3, 1), (0, 3, 1, 2))
    (0, 1, 2, 3)
    """
    return tuple(first[axis] for axis in second)


def _inverse(order: Order) -> Order:
    return tuple(order.index(axis) for axis in range(len(order)))


def _seen_from(order: Order, wanted: Order) -> Order:
    """What makes the order `wanted` of a tensor whose axes are in `order`."""
    return _after(_inverse(order), wanted)


def _is_plain(order: Order) -> bool:
    return order == tuple(range(len(order)))


# ---------------------------------------------------------------------- the change


def _turn_group(work: Work, group: Group, order: Order, turns: Turns) -> None:
    entering, leaving = group.entering(), list(group.leaving())
    was_in_order = {node: is_contiguous(node.meta["val"]) for node, _ in leaving if rank_of(node) == group.rank}
    made: dict[Node, Node] = {}
    for node in group.nodes:
        for source in taken(node):
            if source not in made and rank_of(source):
                made[source] = _entered(source, node, order, turns)
        result = turn(node, order, {source: made[source] for source in taken(node) if source in made})
        for user in [user for user in node.users if user.target is _SIZE]:
            _, axis = user.args
            assert isinstance(axis, int)
            user.args = (result, order.index(axis % group.rank))
        made[node] = result
    for node, users in leaving:
        _give(work, node, made[node], users, order, turns, lies_in_order=was_in_order[node])
    remove_unneeded(entering)


def _entered(source: Node, reader: Node, order: Order, turns: Turns) -> Node:
    """What goes into a group, with its axes in the order that is wanted there; those that it lacks are of length 1."""
    writer = Writer(reader, None)
    own = turns.of(source, len(order))
    if own is not None:
        whole = _after(own, order)
        before = source.all_input_nodes[0]
        return before if _is_plain(whole) else writer.permuted(before, whole)
    if _is_line(source):
        return writer.lying_along(source, order)
    x = source
    while (rank_of(x) or 0) < len(order):
        x = writer.call(_ATEN.unsqueeze.default, (x, 0), x.meta["val"].unsqueeze(0))
    return writer.permuted(x, order)


def _give(
    work: Work, node: Node, made: Node, users: Iterable[Node], order: Order, turns: Turns, *, lies_in_order: bool
) -> None:
    """Give those who read a tensor of a group theirs: turns what they make of it, others what it was before."""
    _give_back(work, node, made, [user for user in users if user not in turns.orders], order, lies_in_order)
    for user in users:
        if user in turns.orders:
            wanted = _seen_from(order, turns.orders[user])
            result = made if _is_plain(wanted) else Writer(user, None).permuted(made, wanted)
            stand_in(work, user, result, is_new=result is not made)
            remove_unneeded([user])


def _give_back(work: Work, node: Node, made: Node, users: list[Node], order: Order, lies_in_order: bool) -> None:
    if not users:
        return
    writer = Writer(made.next, None)
    back = writer.permuted(made, _inverse(order))
    is_given = any(user.op == "output" for user in users)
    if is_given and lies_in_order:
        back = writer.copied(back)
    for user in users:
        user.replace_input_with(node, back)
    if is_given and node.graph is work.module.graph:
        work.rename_output(node, back)
