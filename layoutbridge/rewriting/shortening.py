"""The stage `native`: what moves elements is written as shortly as can be, and each change is looked at again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from layoutbridge.errors import visible
from layoutbridge.rewriting.applied import Applied, bytes_moved
from layoutbridge.rewriting.choosing import Choice, Drop, Permuted, choices
from layoutbridge.rewriting.draft import Draft
from layoutbridge.rewriting.opening import as_ir, as_proto
from layoutbridge.rewriting.passes.drop import DropPass
from layoutbridge.rewriting.passes.fix import FixPass, ir_graphs, visible_value
from layoutbridge.rewriting.passes.fix_weights import permute_behind
from layoutbridge.rewriting.passes.fold import Convolution, Fold, FoldPass, convolutions_behind
from layoutbridge.rewriting.passes.join import JoinPass
from layoutbridge.rewriting.places.locating import Located, Scene, graphs_at_sizes
from layoutbridge.rewriting.places.wanted import Fix
from layoutbridge.rewriting.proving import proven
from layoutbridge.scanning.graphs.graph import Node
from layoutbridge.scanning.tables import table_of

_NAME = "native"
_SHOWN = 80  # characters of a name
_TOLERANCE = 1e-9  # of sums in float64
Numbers = Mapping[tuple[int, str], int]  # places by graph and output
Convolutions = Mapping[int, Sequence[Convolution]]  # by the place that is folded into them


def shortened(draft: Draft) -> Draft:
    """The model with every place in its cheapest form, and joins at once; the draft itself where that is what it has.

    A place may reach farther once what stood beside it is gone, so all are looked at until nothing is left to do. They
    go by their numbers in the draft that was given.
    """
    numbers = {(each.inside, each.region.output): each.number for each in draft.scene.places}
    made = draft
    while (again := _once(made, numbers)) is not made:
        made = again
    return _joined(made)


def _joined(draft: Draft) -> Draft:
    """The model with joins of joins as one, looked at again."""
    if draft.scene.model.functions:  # whose graphs are not in the file
        return draft
    before = [graph for graph, _ in graphs_at_sizes(draft.scene)]
    model = as_ir(draft.scene.model, draft.source)
    work = JoinPass([{each.output: each.order[0] for each in graph.nodes if each.kind == "join"} for graph in before])
    if not work(model).modified:
        return draft
    made = draft.with_model(as_proto(model, draft.scene.model))
    passes = []
    for one, two, gone in zip(before, (graph for graph, _ in graphs_at_sizes(made.scene)), work.gone, strict=True):
        joins = {each.output: each for each in one.nodes if each.kind == "join"}
        for node in two.nodes:
            was = joins.get(node.output)
            if was is None or not gone.intersection(was.inputs):
                continue
            parts = _parts(was, joins, gone)
            if node.kind != "join" or node.order != was.order or node.inputs != parts:
                raise AssertionError(f"'{visible(node.output[:_SHOWN])}' is not joined of what it was")
            told = f"read again, {len(parts)} parts lie one behind the other along axis {was.order[0]} as they did"
            steps = [joins[each] for each in gone & {*_within(was, joins, gone)}]
            passes.append(Applied(_NAME, (), told, bytes_moved(one, [was, *steps]), bytes_moved(two, [node])))
    return made.with_passes(tuple(passes))


def _parts(join: Node, joins: Mapping[str, Node], gone: Set[str]) -> tuple[str, ...]:
    """What a join takes once those within it are gone."""
    return tuple(
        part for name in join.inputs for part in (_parts(joins[name], joins, gone) if name in gone else (name,))
    )


def _within(join: Node, joins: Mapping[str, Node], gone: Set[str]) -> Iterator[str]:
    for name in gone & {*join.inputs}:
        yield name
        yield from _within(joins[name], joins, gone)


def _once(draft: Draft, numbers: Numbers) -> Draft:
    scene = draft.scene
    model = as_ir(scene.model, draft.source)
    chosen = _apart(choices(scene, model, draft.limits, only_exact=draft.only_exact))
    if not chosen:
        return draft
    graphs = list(ir_graphs(model.graph))
    folds = [each for each in chosen if isinstance(each, Fold)]
    permuted = [each for each in chosen if isinstance(each, Permuted)]
    folded = {each.located.number: convolutions_behind(graphs[each.located.inside], each) for each in folds}
    DropPass([each.located for each in chosen if isinstance(each, Drop)])(model)
    FixPass([*(each for each in chosen if isinstance(each, Fix)), *(each.fix for each in permuted)], draft.limits)(
        model
    )
    for each in permuted:
        graph = graphs[each.located.inside]
        permute_behind(model, graph, visible_value(graph, each.located.region.output), each.permutation)
    FoldPass(folds)(model)
    made = draft.with_model(as_proto(model, scene.model))
    passes = (replace(_applied(each, made.scene, folded), places=(_number(each.located, numbers),)) for each in chosen)
    return made.with_passes(tuple(passes), is_exact=not folds and not permuted)


def _apart(chosen: Sequence[Choice]) -> Sequence[Choice]:
    """What can be done at once: places that are taken out alone, for others may read what they give."""
    dropped = {each.located.region.output: each for each in chosen if isinstance(each, Drop)}
    if not dropped:
        return chosen
    return [each for each in dropped.values() if each.located.region.sources[0] not in dropped]


def _number(located: Located, numbers: Numbers) -> int:
    return numbers.get((located.inside, located.region.output), located.number)


# ---------------------------------------------------------------------- what was done


def _applied(choice: Choice, after: Scene, folded: Convolutions) -> Applied:
    located = choice.located
    if isinstance(choice, Fold):
        return _folded(choice, folded[located.number])
    if isinstance(choice, Drop):
        told = f"read at {_shapes_told(located)}, nothing moves, and nothing is left"
        return Applied(_NAME, (), told, bytes_moved(located.graph, located.region.nodes), 0)
    wanted = choice.fix.wanted if isinstance(choice, Permuted) else choice.wanted
    label = wanted.label if wanted.operation.name else f"'{located.place.pattern}'"
    made = proven(_NAME, located, after, wanted.on_all_axes, label)
    if isinstance(choice, Permuted):
        return replace(made, proof=f"{made.proof}, and the weights behind it have taken its order of channels")
    return made


def _folded(fold: Fold, convolutions: Sequence[Convolution]) -> Applied:
    """What was done, each convolution tried on random numbers; an `AssertionError` where it gives something else."""
    located, blocks = fold.located, fold.blocks
    for each in convolutions:
        if not _gives_the_same(fold, each):
            raise AssertionError(f"{located.told} was not folded into {_named(each)}")
    sizes = "×".join(map(str, blocks.sizes))
    names = " and ".join(map(_named, convolutions))
    told = f"read at {_shapes_told(located)}, blocks of {sizes} become channels, which the larger kernels of {names} do"
    left = 0 if blocks.is_channels_first else located.graph.tensors[located.region.output].bytes
    return Applied(_NAME, (), told, bytes_moved(located.graph, located.region.nodes), left)


def _gives_the_same(fold: Fold, convolution: Convolution) -> bool:
    """Whether the first window of a random picture gives the same: cut into blocks as the place does, and as it is."""
    graph, region, blocks = fold.located.graph, fold.located.region, fold.blocks
    shape = graph.tensors[region.sources[0]].shape
    picture = np.random.default_rng(0).standard_normal(shape)
    held = convolution.node.inputs[1]
    made = None if held is None else ir.convenience.get_const_tensor(held)
    assert made is not None
    weights = [each.astype(np.float64) for each in (convolution.weight, made.numpy())]
    inputs = picture.reshape(-1)[table_of(graph, region)][0], picture.transpose(blocks.order)[0]
    one, two = (_first_window(x, weight) for x, weight in zip(inputs, weights, strict=True))
    return bool(np.abs(one - two).max() <= _TOLERANCE * np.abs(one).max())


def _first_window(x: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """The outputs at the first place of a convolution of [channels, *space], zeros behind it where it is too small."""
    short = [(0, max(length - own, 0)) for length, own in zip(weight.shape[1:], x.shape, strict=True)]
    window = np.pad(x, short)[tuple(slice(length) for length in weight.shape[1:])]
    return np.tensordot(weight, window, x.ndim)


def _named(convolution: Convolution) -> str:
    name = convolution.node.name or convolution.node.outputs[0].name or "?"
    return visible(name[:_SHOWN])


def _shapes_told(located: Located) -> str:
    return " and ".join(str(list(before)) for before, _ in located.seen_at)
