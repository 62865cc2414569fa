"""The first stage: other ops in places, or permuted weights behind them, as the user asked."""

from __future__ import annotations

from functools import partial

from layoutbridge.rewriting.applied import Applied, bytes_moved
from layoutbridge.rewriting.asking import fixes_asked
from layoutbridge.rewriting.checking import Trial, compare_close, compare_fixed
from layoutbridge.rewriting.draft import Draft
from layoutbridge.rewriting.opening import as_ir, as_proto
from layoutbridge.rewriting.passes.fix import FixPass
from layoutbridge.rewriting.passes.fix_weights import FixWeightsPass
from layoutbridge.rewriting.places.locating import Wishes, refuse_functions
from layoutbridge.rewriting.places.wanted import Fix, present_at
from layoutbridge.rewriting.proving import proven


def fixed(draft: Draft, fix: Wishes, fix_weights: Wishes, *, check: bool) -> tuple[Draft, float | None]:
    """The model with what is wished for in its places, and how far its outputs moved, where it is run to `check`.

    Each place is looked at again in the model that was made. Raises as `rewrite` does.
    """
    scene, source = draft.scene, draft.source
    fixes, by_weights = fixes_asked(scene, (fix, fix_weights), partial(refuse_functions, scene))
    if not fixes and not by_weights:
        return draft, 0.0 if check else None
    rewritten = as_ir(scene.model, source)
    FixPass(fixes, draft.limits)(rewritten)
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


# ---------------------------------------------------------------------- what was done


def _carried(fix: Fix) -> Applied:
    moved = bytes_moved(fix.located.graph, fix.located.region.nodes)
    present = present_at(fix.located).label
    proof = f"{fix.wanted.label} against {present} is an order of channels alone, which the weights have taken"
    return Applied("fix-weights", (fix.located.number,), proof, moved, moved)
