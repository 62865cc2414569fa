"""The first stage: other ops in places, or permuted weights behind them, as the user asked."""

from __future__ import annotations

from layoutbridge.errors import ParameterError, shown
from layoutbridge.rewriting.applied import Applied, bytes_moved
from layoutbridge.rewriting.checking import Trial, compare_close, compare_fixed
from layoutbridge.rewriting.draft import Draft
from layoutbridge.rewriting.opening import as_ir, as_proto
from layoutbridge.rewriting.passes.fix import Fix, FixPass, refuse_unmovable
from layoutbridge.rewriting.passes.fix_weights import FixWeightsPass
from layoutbridge.rewriting.places.locating import Located, Scene, Wishes, graphs_at_sizes, refuse_functions
from layoutbridge.rewriting.places.wanted import is_same_map, present_at, wanted_at
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.links import Region
from layoutbridge.scanning.regions import find_regions


def fixed(draft: Draft, fix: Wishes, fix_weights: Wishes, *, check: bool) -> tuple[Draft, float | None]:
    """The model with what is wished for in its places, and how far its outputs moved, where it is run to `check`.

    Each place is looked at again in the model that was made. Raises as `rewrite` does.
    """
    scene, source = draft.scene, draft.source
    fixes, by_weights = _fixes(scene, fix, fix_weights)
    if not fixes and not by_weights:
        return draft, 0.0 if check else None
    rewritten = as_ir(scene.model, source)
    FixPass(fixes)(rewritten)
    FixWeightsPass(by_weights)(rewritten)
    made = draft.with_model(as_proto(rewritten, scene.model))
    passes = (*(_proven(made.scene, each) for each in fixes), *(_carried(each) for each in by_weights))
    deviation = None
    if check:
        trial, reference = Trial(scene, source.folder), made.scene.model
        if by_weights:
            everywhere = as_ir(scene.model, source)
            FixPass((*fixes, *by_weights))(everywhere)
            reference = as_proto(everywhere, scene.model)
        deviation = compare_fixed(trial, scene, reference, (*fixes, *by_weights))
        if by_weights:
            compare_close(trial.run(reference), trial.run(made.scene.model))
    return made.with_passes(passes), deviation


# ---------------------------------------------------------------------- what is asked for


def _fixes(scene: Scene, fix: Wishes, fix_weights: Wishes) -> tuple[list[Fix], list[Fix]]:
    """What is to be done by each pass; what is as asked for already is left out."""
    asked: dict[int, str] = {}
    made: tuple[list[Fix], list[Fix]] = ([], [])
    for wishes, own in zip((fix, fix_weights), made, strict=True):
        for wish, name in wishes.items():
            located = scene.called(_checked(wish))
            if not isinstance(name, str):
                raise ParameterError(f"{located.told} is to be an entry's name, not {shown(name)}")
            if located.number in asked:
                raise ParameterError(
                    f"{located.told} is asked for twice, as {asked[located.number][:80]} and {name[:80]}"
                )
            asked[located.number] = name
            refuse_unmovable(located)
            refuse_functions(scene, located)
            wanted = wanted_at(located, name)
            graphs = (located.graph, *((located.second,) if len(located.seen_at) > 1 else ()))
            regions = (_region(graph, located) for graph in graphs if graph is not None)
            if not all(is_same_map(*each, wanted.on_all_axes) for each in regions):
                own.append(Fix(located, wanted))
    return made


def _checked(wish: object) -> str | int:
    if isinstance(wish, bool) or not isinstance(wish, str | int):
        raise ParameterError(f"a place is told by its number or by a name, not {shown(wish)}")
    return wish


def _region(graph: Graph, located: Located) -> tuple[Graph, Region]:
    """The region that gives the place's tensor in a graph."""
    return graph, next(each for each in find_regions(graph) if each.output == located.region.output)


# ---------------------------------------------------------------------- what was done


def _proven(after: Scene, fix: Fix) -> Applied:
    """What was done at a place, looked at in the model that was made; an `AssertionError` where it is not that."""
    located = fix.located
    graphs = graphs_at_sizes(after)[located.inside]
    graph, region = _region(graphs[0], located)
    seen = [graph, *(again for again in graphs[1:] if again is not None and located.region.output in again.tensors)]
    shapes = []
    for each in seen:
        again = _region(each, located)[1]
        if again.sources != located.region.sources or not is_same_map(each, again, fix.wanted.on_all_axes):
            raise AssertionError(f"{located.told} did not become {fix.wanted.label}")
        shapes.append(str(list(each.tensors[again.sources[0]].shape)))
    proof = f"read again at {' and '.join(shapes)}, every element comes from where {fix.wanted.label} has it"
    return Applied(
        "fix",
        (located.number,),
        proof,
        bytes_moved(located.graph, located.region.nodes),
        bytes_moved(graph, region.nodes),
    )


def _carried(fix: Fix) -> Applied:
    moved = bytes_moved(fix.located.graph, fix.located.region.nodes)
    present = present_at(fix.located).label
    proof = f"{fix.wanted.label} against {present} is an order of channels alone, which the weights have taken"
    return Applied("fix-weights", (fix.located.number,), proof, moved, moved)
