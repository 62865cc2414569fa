"""The first stage: other ops in places, or permuted weights behind them, as the user asked."""

from __future__ import annotations

from layoutbridge.errors import ParameterError, shown
from layoutbridge.rewriting.applied import Applied, bytes_moved
from layoutbridge.rewriting.checking import Trial, compare_close, compare_fixed
from layoutbridge.rewriting.draft import Draft
from layoutbridge.rewriting.opening import as_ir, as_proto
from layoutbridge.rewriting.passes.fix import Fix, FixPass, refuse_unmovable
from layoutbridge.rewriting.passes.fix_weights import FixWeightsPass
from layoutbridge.rewriting.places.locating import Scene, Wishes, refuse_functions
from layoutbridge.rewriting.places.wanted import is_same_map, present_at, wanted_at
from layoutbridge.rewriting.proving import proven, region_of


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
    passes = (
        *(proven("fix", each.located, made.scene, each.wanted.on_all_axes, each.wanted.label) for each in fixes),
        *(_carried(each) for each in by_weights),
    )
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
            seen = (graph for graph in graphs if graph is not None)
            if not all(is_same_map(graph, region_of(graph, located), wanted.on_all_axes) for graph in seen):
                own.append(Fix(located, wanted))
    return made


def _checked(wish: object) -> str | int:
    if isinstance(wish, bool) or not isinstance(wish, str | int):
        raise ParameterError(f"a place is told by its number or by a name, not {shown(wish)}")
    return wish


# ---------------------------------------------------------------------- what was done


def _carried(fix: Fix) -> Applied:
    moved = bytes_moved(fix.located.graph, fix.located.region.nodes)
    present = present_at(fix.located).label
    proof = f"{fix.wanted.label} against {present} is an order of channels alone, which the weights have taken"
    return Applied("fix-weights", (fix.located.number,), proof, moved, moved)
