"""`rewrite`: a model with other ops in its places, or shorter ones, each proven and tried before it is given back."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial, reduce
from pathlib import Path
from typing import Any

from layoutbridge.errors import ParameterError, UnsupportedError, counted
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.onnx.limits import read_limits
from layoutbridge.frameworks.onnx.programs.table import profile_of
from layoutbridge.inputs import PathLike
from layoutbridge.rewriting.applied import Applied, bytes_moved_in
from layoutbridge.rewriting.draft import Draft
from layoutbridge.rewriting.opening import opened, with_own_weights, write
from layoutbridge.rewriting.places.locating import Wishes, scene_of
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.outline import Step, outline
from layoutbridge.scanning.graphs.sizes import Shapes
from layoutbridge.scanning.models import is_one

_TURNS = 4  # until nothing changes any more
Stage = Callable[[Draft], Draft]  # gives back the draft itself where there is nothing to do


@dataclass(frozen=True)
class Rewrite:
    """A rewritten model, of the kind that was given, and what was done: nothing where it was as asked for.

    `deviation` is the largest difference between an output before and after, on one random input, as a share of the
    largest value; None where nothing was run. Of a module nodes are its modules, and bytes those that are moved in what
    was replaced. `whole` makes the model, `write` writes it to a path; `outlines` are the steps before and after.
    """

    passes: tuple[Applied, ...]
    nodes_before: int
    nodes_after: int
    bytes_moved_before: int
    bytes_moved_after: int
    deviation: float | None
    whole: Callable[[], Any] = field(repr=False, compare=False)
    write: Callable[[PathLike], None] = field(repr=False, compare=False)
    outlines: tuple[tuple[Step, ...], tuple[Step, ...]] = field(default=((), ()), repr=False, compare=False)

    def __str__(self) -> str:
        if not self.passes:
            return "nothing to rewrite"
        passes = ", ".join(dict.fromkeys(each.name for each in self.passes))
        return (
            f"{passes}: {self.nodes_before} -> {counted(self.nodes_after, 'node')}, "
            f"{self.bytes_moved_before:,} -> {counted(self.bytes_moved_after, 'byte', form=',')} moved"
        )

    @cached_property
    def model(self) -> Any:
        """The model: an `onnx.ModelProto`, with all its weights but those in other files, a program or a module."""
        return self.whole()

    @property
    def changed(self) -> bool:
        """Whether it is another model than before."""
        return bool(self.passes)

    def to_json(self) -> str:
        """What was done as JSON text, in the form of `layoutbridge rewrite --json`."""
        return json.dumps(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """The same before it is text."""
        return {
            "changed": self.changed, "passes": [each.as_json() for each in self.passes],
            "nodes_before": self.nodes_before, "nodes_after": self.nodes_after,
            "bytes_moved_before": self.bytes_moved_before, "bytes_moved_after": self.bytes_moved_after,
            "deviation": self.deviation,
        }  # fmt: skip

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to `path`, whole or not at all; data that it keeps in other files go to `<path>.data`.

        A module is not written: raises `UnsupportedError`.
        """
        self.write(path)


def rewrite(
    model: object,
    *,
    fix: Wishes | None = None,
    fix_weights: Wishes | None = None,
    native: bool = False,
    cancel: bool = False,
    layout: str | None = None,
    max_rank: int | None = None,
    without: Sequence[str] = (),
    runtime: str | None = None,
    shape: Shapes = None,
    check: bool = True,
) -> Rewrite:
    """A model with other ops in some of the places that `scan` finds; `model` itself stays as it is.

    `model` is a path or an `onnx.ModelProto`, the path of a .pt2 file or an `ExportedProgram`, or an `nn.Module`, and
    the answer has the like of it; `shape` as for `scan`. `fix` says by the number of a place, or the name of a node or
    a tensor of it, which entry of the catalogue is to stand there: at the parameters that the shapes give, else written
    as `"pixel_unshuffle(stride=2)"`; channels stay last where they are. In a module the dotted name of a submodule says
    where. With `fix_weights` the op stays, and the weights of the layers behind it are permuted so that they compute
    what they would with the other one.

    `native` writes every place in its cheapest form: the operator that there is for it, or none where nothing moves and
    where blocks of space can be folded into the convolutions behind them. `cancel` lets permutations of axes meet,
    cancel and fold into weights, so that the fewest bytes are moved; `layout`, "nchw" or "nhwc", does the same, and
    pictures go in and come out with their axes so. `max_rank` is the most axes that a tensor may have, `without` names
    ONNX operators that may not be there, `runtime` a program whose limits count, as for `emit`: places beyond them are
    written in the exact form that moves the fewest bytes.

    Every place is looked at again, at two sizes where some are open, and the checks of onnx or PyTorch must take the
    model. With `check` both models are run on one random input: what the places do not touch must be the same bit for
    bit, and what other weights give must be what the op gives, to 1e-5 of the largest value.

    Raises `UnknownNameError` for a place or an entry that is not there, `ShapeError` for one that does not fit,
    `UnsupportedError` where no weights can undo a difference, and for places that drop or repeat elements,
    `ParameterError`, `UnusableInputError` and `MissingFrameworkError`.

    >>> import layoutbridge as lb
    >>> port = lb.emit(lb.op("space_to_depth"), "onnx", shape=(None, 64, 26, 26))
    >>> done = rewrite(port, fix={0: "darknet_reorg"})
    >>> lb.scan(done.model).places[0].names, done.changed
    (('darknet_reorg',), True)
    """
    is_limited = bool(without) or max_rank is not None or runtime is not None
    if not (fix or fix_weights or native or cancel or layout is not None or is_limited):
        raise ParameterError(
            "nothing is asked for: say fix={0: 'darknet_reorg'}, --fix 0=darknet_reorg, or native=True, --native, "
            "cancel=True, --cancel"
        )
    if is_limited and (is_program(model) or is_one(model, "torch.nn", "Module")):
        raise UnsupportedError("max_rank, without and runtime are limits of ONNX models")
    if is_one(model, "torch.nn", "Module"):
        return _module(model, fix or {}, bool(fix_weights or native or cancel or layout), shape, check=check)
    if is_program(model):
        if layout is not None:
            raise UnsupportedError("layout, --nchw and --nhwc, is for ONNX models")
        return _program(model, fix or {}, bool(fix_weights), native=native, cancel=cancel, shape=shape, check=check)
    proto, source = opened(model)
    limits = read_limits(max_rank, without) | profile_of(runtime).limits
    begin = Draft(scene_of(proto, source.name, shape), source, shape, limits=limits)

    from layoutbridge.rewriting.checking import refuse_unsound
    from layoutbridge.rewriting.fixing import fixed
    from layoutbridge.rewriting.laying_out import cancelled, checked_layout, in_layout
    from layoutbridge.rewriting.limiting import within_limits
    from layoutbridge.rewriting.shortening import shortened

    stages: list[Stage] = [shortened] if native else []
    if layout is not None or cancel:
        laid_out = cancelled if layout is None else partial(in_layout, name=checked_layout(layout))
        turns = partial(_in_turns, one=shortened, two=cancelled)
        stages = (
            [partial(_the_cheaper, ways=((shortened, laid_out, turns), (laid_out, turns)))] if native else [laid_out]
        )
    if limits:
        stages.append(within_limits)
    before, deviation = fixed(begin, fix or {}, fix_weights or {}, check=check)
    done = _through(stages, before)
    if check and done is not before:
        done, deviation = _tried(stages, begin, before, done)
    made = done.scene.model
    if made is not proto:
        refuse_unsound(made, proto)
    counts = _counts(begin.scene.graph, done.scene.graph)
    outlines = outline(begin.scene.graph), outline(done.scene.graph)
    return Rewrite(
        done.passes, *counts, deviation, partial(with_own_weights, made, source), partial(write, made, source), outlines
    )


def _through(stages: Sequence[Stage], draft: Draft) -> Draft:
    return reduce(lambda made, stage: stage(made), stages, draft)


def _the_cheaper(draft: Draft, ways: Sequence[Sequence[Stage]]) -> Draft:
    """What moves the fewest bytes of what several ways make: what is done first may be in the way of what follows."""
    return min((_through(way, draft) for way in ways), key=lambda made: bytes_moved_in(made.scene.graph))


def _in_turns(draft: Draft, one: Stage, two: Stage) -> Draft:
    """Both again, as one may leave more to the other, until there is nothing left to do for one and the other."""
    for _ in range(_TURNS):
        made = one(draft)
        draft = draft if made is draft else two(made)
        if draft is made:
            break
    return draft


def _tried(stages: Sequence[Stage], begin: Draft, before: Draft, done: Draft) -> tuple[Draft, float]:
    """What the stages made, and how far outputs moved: without what adds up in another order where that is too far.

    Raises `UnsupportedError` where outputs move and nothing can be done without.
    """
    from layoutbridge.rewriting.checking import NotCloseError, compare_stages

    try:
        return done, compare_stages(begin, before, done)
    except NotCloseError as error:
        exact = _through(stages, replace(before, only_exact=True))
        made = exact.passes[len(before.passes) :]
        if not made:
            raise
        told = f"{made[-1].proof}; what adds up in another order was left out, as {error}"
        exact = replace(exact, passes=(*exact.passes[:-1], replace(made[-1], proof=told)))
        return exact, compare_stages(begin, before, exact)


def is_program(model: object) -> bool:
    """Whether it is an exported program of PyTorch, or the path of one.

    >>> is_program("net.pt2"), is_program("net.onnx")
    (True, False)
    """
    if isinstance(model, str | os.PathLike):
        return Path(model).suffix.lower() == ".pt2"
    return is_one(model, "torch.export", "ExportedProgram")


def _program(
    model: Any, fix: Wishes, weights: bool, *, native: bool, cancel: bool, shape: Shapes, check: bool
) -> Rewrite:
    if weights:
        raise UnsupportedError("fix_weights, --fix-weights, is for ONNX models: fix, --fix, puts the other op there")
    require("torch", "PyTorch", "torch")
    from layoutbridge.rewriting.programs import rewritten
    from layoutbridge.rewriting.torch.loading import load, save

    is_path = isinstance(model, str | os.PathLike)
    program, extra = load(model) if is_path else (model, {})
    name = os.fspath(model) if is_path else "program"
    begin, done, deviation = rewritten(program, name, fix, native=native, cancel=cancel, shape=shape, check=check)
    counts = _counts(begin.scene.graph, done.scene.graph)
    made = done.program
    outlines = outline(begin.scene.graph), outline(done.scene.graph)
    return Rewrite(done.passes, *counts, deviation, lambda: made, partial(save, made, extra), outlines)


def _module(model: Any, fix: Wishes, more: bool, shape: Shapes, *, check: bool) -> Rewrite:
    from layoutbridge.rewriting.modules import refuse_saving, rewritten
    from layoutbridge.rewriting.torch.parts import EXPORT

    if more:
        raise UnsupportedError(f"of a module submodules are fixed, and nothing else: {EXPORT}")
    done = rewritten(model, fix, shape=shape, check=check)
    return Rewrite(done.passes, *done.counts, done.deviation, lambda: done.module, refuse_saving)


def _counts(before: Graph, after: Graph) -> tuple[int, int, int, int]:
    """Nodes, and bytes that are moved, before and after."""
    return before.node_count, after.node_count, bytes_moved_in(before), bytes_moved_in(after)
