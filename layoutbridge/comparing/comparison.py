"""`compare`: where a port parts from its original, why, and what to change."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.alignment import Pair, align
from layoutbridge.comparing.causes import Cause
from layoutbridge.comparing.decoded import Verdict, judged
from layoutbridge.comparing.fingerprints import distance, fingerprint
from layoutbridge.comparing.graph_causes import input_changes, moved_causes
from layoutbridge.comparing.inputs import Input, match_inputs, read_reference
from layoutbridge.comparing.opening import Opened, opened_model
from layoutbridge.comparing.relations import Relation
from layoutbridge.comparing.repairing import find_causes, parting, strange_outputs, weighted
from layoutbridge.comparing.running.store import stored
from layoutbridge.comparing.tolerances import tolerance_for
from layoutbridge.comparing.tracing import Trace
from layoutbridge.displays import as_html
from layoutbridge.errors import ParameterError, UnusableInputError
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.outline import Step, outline
from layoutbridge.scanning.graphs.sizes import Shapes

_MOST_FAULTS = 8
_FICKLE = 1e-3  # of a tensor's largest value: threads that add in another order make less
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """A tensor of the reference and its partner, None where it has none; how the two are related, and how far apart.

    The `deviation` is the largest difference as a share of the reference's largest value, None where there is no
    partner. `healed` is on where what differs is only another way: something behind it is the same again.
    """

    reference: str
    candidate: str | None
    relation: Relation
    deviation: float | None
    healed: bool


@dataclass(frozen=True)
class Comparison:
    """Two models on one input: whether they are `equal`, a row for each tensor of the reference, and the `first` apart.

    `causes` are the faults that were found, in order; each makes the difference at its place vanish. `outlines` are the
    steps of both models, by whose outputs the rows name tensors.
    """

    reference: str
    candidate: str
    equal: bool
    rows: tuple[Row, ...]
    first: Row | None
    causes: tuple[Cause, ...]
    tolerance: float
    notes: tuple[str, ...] = ()
    outlines: tuple[tuple[Step, ...], tuple[Step, ...]] = field(default=((), ()), repr=False, compare=False)

    _repr_html_ = as_html

    def __str__(self) -> str:
        if self.equal:
            return f"{self.candidate} is equal to {self.reference}, within {self.tolerance:g}"
        causes = "; ".join(f"{cause.cause} at {cause.at}" for cause in self.causes)
        parts = f" from {self.first.reference} on" if self.first else ""
        return f"{self.candidate} differs from {self.reference}{parts}: {causes or 'no cause was found'}"

    def as_json(self) -> dict[str, Any]:
        """The comparison as it stands in `layoutbridge compare --json`."""
        return {
            "reference": self.reference, "candidate": self.candidate, "equal": self.equal,
            "tolerance": self.tolerance, "rows": [_as_json(row) for row in self.rows],
            "first": None if self.first is None else _as_json(self.first),
            "causes": [asdict(cause) | {"everywhere": list(cause.everywhere)} for cause in self.causes],
            "notes": list(self.notes),
        }  # fmt: skip

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.as_json())


def _as_json(row: Row) -> dict[str, Any]:
    return asdict(row)


def compare(
    reference: object,
    candidate: object,
    x: NDArray[Any] | Mapping[str, NDArray[Any]] | None = None,
    *,
    flavor: str = "alexey",
    shape: Shapes = None,
    tolerance: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Run two models on one input, and find the first place where they part, with its cause.

    Each is a path of a model's file, a live model, a `DarknetNetwork`, or a pair (cfg, weights) of paths. `x` is the
    input in the reference's layout, or arrays by the names of its inputs; without it random values from 0 to 1 by
    `seed`. The candidate's names and layouts do not matter. Causes are looked for where the reference is Darknet's.
    What differs by more than `tolerance`, a share of a tensor's largest value, is apart: by default 5e-5, and more for
    a model that computes in half precision or in whole numbers, as the notes say then.

    Raises `UnusableInputError` for models that cannot be read, run or fed alike, and for outputs that are no numbers or
    change from run to run; `ShapeError` for an `x` that does not fit.

    >>> import layoutbridge as lb
    >>> net = lb.darknet.load("fixtures/nets/pjreddie/passthrough/net.cfg",
    ...     "fixtures/nets/pjreddie/passthrough/net.weights", flavor="pjreddie")
    >>> compare(net, net).equal
    True
    """
    return compared(
        reference, candidate, x, flavor=flavor, shape=shape, tolerance=tolerance, seed=seed, progress=progress
    )


def compared(
    reference: object,
    candidate: object,
    x: NDArray[Any] | Mapping[str, NDArray[Any]] | None = None,
    *,
    flavor: str = "alexey",
    shape: Shapes = None,
    tolerance: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    with_causes: bool = True,
) -> Comparison:
    """As `compare`; without `with_causes` it is only told where the two part, which takes far less."""
    if tolerance is not None and not 0 < tolerance < 1:
        raise ParameterError(
            f"the tolerance is a share of a tensor's largest value, over 0 and under 1, not {tolerance}"
        )
    told = progress or (lambda _: None)
    one, other = opened_model(reference, flavor=flavor), opened_model(candidate, flavor=flavor)
    graph, given = read_reference(one, other, x, shape, seed)
    candidate_graph, inputs = match_inputs(graph, given, other)
    one, other = one.read_already(), other.read_already()
    notes: tuple[str, ...] = ()
    if tolerance is None:
        tolerance, notes = tolerance_for(graph, candidate_graph)
    with stored() as values, stored() as candidate_values:
        told(one.name)
        first_run = one.trace(graph, given, values)
        told(other.name)
        taken = {each.candidate: each.for_candidate() for each in inputs}
        second_run = other.trace(candidate_graph, taken, candidate_values)
        _refuse_unusable(one, first_run)
        _refuse_unusable(other, second_run)
        told("aligning")
        alignment = align(first_run, second_run, tolerance)
        has_weights = frozenset[str]() if one.net is None else weighted(one.net)
        by_layers = first = parting(alignment, first_run, second_run, tolerance, has_weights)
        verdict = Verdict(first)
        if one.net is not None:
            strange = strange_outputs(alignment, first_run, second_run, tolerance)
            verdict = judged(one.net, first_run, second_run, alignment, first, strange, tolerance)
        first = verdict.first
        if first is not None:
            _refuse_fickle(one, graph, given, first_run)
            _refuse_fickle(other, candidate_graph, taken, second_run)
        causes: tuple[Cause, ...] = ()
        if first is not None and with_causes and by_layers is None:
            causes = verdict.causes
        elif first is not None and with_causes and one.net is not None:
            first, causes = find_causes(
                one, given, first_run, second_run, alignment, first, tolerance, told, verdict.causes
            )
        elif first is not None and with_causes:
            causes = tuple(moved_causes(first_run, second_run, first, tolerance))
            if not causes and set(first_run.parents[first.reference]) <= set(first_run.inputs):
                causes = _of_input(first_run, other, candidate_graph, inputs, first, tolerance, told)
    if second_run.chosen:
        told_of = ", ".join(second_run.labels.get(name, name) for name in second_run.chosen)
        notes = (*notes, f"{told_of}: boxes that the model chooses; how is not judged, but what it chooses from")
    notes = (*notes, *verdict.notes, *([verdict.unknown] if verdict.unknown and not causes else []))
    rows = tuple(_row(pair, first_run, second_run) for pair in alignment.pairs)
    apart = None if first is None else _row(first, first_run, second_run)
    outlines = outline(graph), outline(candidate_graph)
    return Comparison(one.name, other.name, first is None, rows, apart, causes, tolerance, notes, outlines)


def _row(pair: Pair, reference: Trace, candidate: Trace) -> Row:
    deviation = pair.related.deviation
    return Row(
        reference.labels.get(pair.reference, pair.reference) if reference.graph is None else pair.reference,
        pair.candidate, pair.related.relation, deviation if np.isfinite(deviation) else None, pair.healed,
    )  # fmt: skip


def _refuse_unusable(opened: Opened, trace: Trace) -> None:
    """Raise `UnusableInputError` where it gives nothing or no numbers; within it a maximum may be over infinities."""
    given = [name for name in trace.outputs if name in trace.prints]
    if not given and not opened.is_recorded:
        raise UnusableInputError(f"'{opened.name}' gives no tensor that depends on its input: is it the whole model?")
    if not all(trace.prints[name].is_finite for name in given):
        first = next(name for name in trace.names if not trace.prints[name].is_finite)
        raise UnusableInputError(
            f"'{opened.name}' gives what is no finite number from '{trace.labels[first]}' on: "
            "try another input (--seed), or look at its weights"
        )


def _refuse_fickle(opened: Opened, graph: Graph, given: Mapping[str, NDArray[Any]], trace: Trace) -> None:
    """Raise `UnusableInputError` where another run gives something else; Darknet's reference and recordings do not."""
    if opened.net is not None or opened.is_recorded:
        return
    itself = () if opened.outputs is None else opened.outputs(graph, given)
    for name, values in chain(opened.values(graph, given), itself):
        if name in trace.prints and distance(trace.prints[name], fingerprint(values)) > _FICKLE:
            raise UnusableInputError(
                f"'{opened.name}' gives something else in each run, from '{trace.labels[name]}' on: "
                "take what is random out of it, dropout in training for one"
            )


def _of_input(
    reference: Trace,
    opened: Opened,
    graph: Graph,
    inputs: tuple[Input, ...],
    first: Pair,
    tolerance: float,
    told: Progress,
) -> tuple[Cause, ...]:
    """What the candidate expects of its input: it runs again on each, until it gives what the reference does."""
    for change in input_changes({each.reference: each.values for each in inputs}):
        told(f"looking whether the input is {change.found}")
        taken = {each.candidate: each.for_candidate(change.change(each.values)) for each in inputs}
        with stored() as values:
            again = align(reference, opened.trace(graph, taken, values), tolerance)
            pair = again.by_reference[first.reference]
            if pair.related.relation == "same":
                return (
                    Cause(
                        change.cause, first.reference, change.found, change.expected, first.related.deviation,
                        pair.related.deviation, change.explanation, change.fix,
                    ),
                )  # fmt: skip
    return ()
