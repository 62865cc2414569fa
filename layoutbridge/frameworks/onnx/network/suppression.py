"""Non-maximum suppression by another overlap than the plain one, in standard ONNX operators.

NonMaxSuppression knows the intersection over the union alone. Here each candidate, a box with a score over the
threshold for a class, is a row of one list, sorted by picture, class and score. A Loop goes over it: in each round the
first candidate that is left of every class of every picture is kept, and takes out those of its class and picture that
overlap it too much. There are as many rounds as the fullest class keeps boxes, and a round's memory is that of a few
lists, not of pairs.
"""

from __future__ import annotations

from collections.abc import Sequence

from onnx import GraphProto, TensorProto, ValueInfoProto, helper

from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.onnx.network.graph import Graph
from layoutbridge.frameworks.onnx.network.operators import reduce_sum, split, squeeze, unsqueeze
from layoutbridge.frameworks.primitives import LazyArray, Shape

PICTURE_SHARE = "picture_share"
_Kind = tuple[int, list[str | int | None]]  # an element type and lengths
_TABLE = (2, 2, 2, 1)  # columns of a candidate: least corner, largest corner, centre, area


def non_max_suppression(
    graph: Graph,
    boxes: str,
    scores: str,
    objectness: str | None,
    shape: Shape,
    *,
    overlap: float,
    threshold: float,
    exponent: float | None,
) -> tuple[str, str | None]:
    """The kept boxes as `greedy_suppression`; and the input that tells pictures' shares, where distances count.

    `shape` is that of the scores, (classes, K); those of boxes with an objectness [N, 1, K] not over the threshold do
    not count. Without an `exponent` it is NonMaxSuppression, whose overlap is the plain one. Raises `UnsupportedError`
    at opsets that have not the operators.
    """
    add = graph.add
    needed, since = ("NonMaxSuppression", 10) if exponent is None else ("CumSum", 11)
    if graph.opset < since:
        raise UnsupportedError(f"nms needs {needed}, which ONNX has from opset {since} on: opset is {graph.opset}")
    ranks = scores
    if objectness is not None:
        sure = add("Greater", [objectness, graph.number(threshold)])
        ranks = add("Where", [sure, ranks, graph.number(0.0)])
    if exponent is None:
        kept = (LazyArray.of(f"constants/nms_{float(value)}", [value]) for value in (overlap, threshold))
        limits = [graph.integers([shape[1]]), *map(graph.parameter, kept)]
        return add("NonMaxSuppression", [boxes, ranks, *limits], center_point_box=1), None
    share = graph.parameter(LazyArray.of(PICTURE_SHARE, [[1.0, 1.0]]))
    spread = unsqueeze(graph, add("Concat", [share, share], axis=1), 1)
    placed = add("Div", [boxes, spread])
    found = greedy_suppression(graph, placed, ranks, shape[0], overlap=overlap, threshold=threshold, exponent=exponent)
    return found, share


def greedy_suppression(
    graph: Graph, boxes: str, scores: str, classes: int, *, overlap: float, threshold: float, exponent: float
) -> str:
    """The tensor of kept boxes, int64 [kept, 3]: picture, class, box, in this order, the best of a class first.

    `boxes` [N, K, 4] are x, y (of the centre), w, h, `scores` [N, `classes`, K]. A score over `threshold` is a
    candidate; the overlap that may not be over `overlap` is the intersection over the union, less (distance of the
    centres / diagonal of the box around both)² to the power `exponent`. Of equal scores the box of the lower number
    goes first.
    """
    add = graph.add
    over = add("Greater", [scores, graph.number(threshold)])
    places = add("Transpose", [add("NonZero", [over])], perm=[1, 0])  # by picture, class, box
    ranks = add("GatherND", [scores, places])
    places = add("Gather", [places, _order(graph, ranks, largest=1)])
    picture, label = (add("Gather", [places, graph.integers([column])], axis=1) for column in (0, 1))
    group = add("Add", [add("Mul", [picture, graph.integers([classes])]), label])
    group = squeeze(graph, group, 1)
    count = add("Shape", [group])
    rank = _running(graph, add("Expand", [graph.integers([1]), count]))
    by_group = _order(graph, add("Add", [add("Mul", [group, count]), rank]), largest=0)
    places, group = add("Gather", [places, by_group]), add("Gather", [group, by_group])
    start = _starts(graph, group)
    placed = add("GatherND", [boxes, add("Gather", [places, graph.integers([0, 2])], axis=1)])
    alive = add("Greater", [add("Add", [group, graph.integers([1])]), graph.integers([0])])  # all
    kept = add("Not", [alive])
    going = _any(graph, alive)
    rounds = graph.add_several(
        "Loop",
        ["", going, alive, kept, _table(graph, placed), start],
        4,
        body=_round(graph.opset, f"{graph.where}/round", overlap, exponent),
    )
    return add("Gather", [places, _set(graph, rounds[1])])


def _order(graph: Graph, values: str, largest: int) -> str:
    """The places of `values` [M] sorted; of equal ones the first goes first."""
    return graph.add_several("TopK", [values, graph.add("Shape", [values])], 2, axis=0, largest=largest)[1]


def _starts(graph: Graph, group: str) -> str:
    """For each candidate, sorted by its group, where its group begins."""
    before = graph.add("Concat", [graph.integers([-1]), group], axis=0)
    before = graph.add("Slice", [before, graph.integers([0]), graph.integers([-1])])
    first = graph.add("Not", [graph.add("Equal", [group, before])])
    number = graph.add("Sub", [_running(graph, _whole(graph, first)), graph.integers([1])])
    return graph.add("Gather", [_set(graph, first), number])


def _table(graph: Graph, boxes: str) -> str:
    """[M, 7] of boxes [M, 4]: what `_TABLE` says, in Darknet's arithmetic."""
    centre, size = split(graph, boxes, (2, 2), 1)
    half = graph.add("Mul", [size, graph.number(0.5)])
    corners = [graph.add(operator, [centre, half]) for operator in ("Sub", "Add")]
    return graph.add("Concat", [*corners, centre, _joined(graph, "Mul", size)], axis=1)


def _round(opset: int, scope: str, overlap: float, exponent: float) -> GraphProto:
    """One round as a Loop's body; what the rounds leave as it is goes through, so that it reads nothing from outside.

    Its tensors are alive and kept, bool [M], the table of the candidates, and where each one's group begins.
    """
    body = Graph(opset, body=True)
    with body.scope(scope):
        add = body.add
        alive, kept, table, start = (f"{scope}/{name}" for name in ("alive", "kept", "table", "start"))
        ones = _whole(body, alive)
        earlier = add("Sub", [_running(body, ones), ones])
        none_earlier = add("Equal", [earlier, add("Gather", [earlier, start])])
        leads = add("And", [alive, none_earlier])
        number = add("Sub", [_running(body, _whole(body, leads)), body.integers([1])])
        leaders = _set(body, leads)
        best = add("Gather", [table, add("Gather", [leaders, number])])
        low, high, centre, area = split(body, table, _TABLE, 1)
        low_, high_, centre_, area_ = split(body, best, _TABLE, 1)
        zero = body.number(0.0)

        def ratio(above: str, below: str) -> str:
            return add("Where", [add("Equal", [below, zero]), zero, add("Div", [above, below])])

        reach = add("Relu", [add("Sub", [add("Min", [high, high_]), add("Max", [low, low_])])])
        shared = _joined(body, "Mul", reach)
        covered = ratio(shared, add("Sub", [add("Add", [area, area_]), shared]))
        spans = [add("Sub", [add("Max", [high, high_]), add("Min", [low, low_])]), add("Sub", [centre, centre_])]
        diagonal, distance = (_joined(body, "Add", add("Mul", [span, span])) for span in spans)
        apart = add("Pow", [ratio(distance, diagonal), body.number(exponent)])
        beaten = add("Greater", [add("Sub", [covered, apart]), body.number(overlap)])
        gone = add("Or", [leads, squeeze(body, beaten, 1)])
        left = add("And", [alive, add("Not", [gone])])
        outputs = [_any(body, left), left, add("Or", [kept, leads])]
        outputs += [add("Identity", [name]) for name in (table, start)]
    many: list[str | int | None] = ["candidates"]
    flags, numbers = (TensorProto.BOOL, many), (TensorProto.INT64, many)
    carried = [(TensorProto.BOOL, []), flags, flags, (TensorProto.FLOAT, [*many, sum(_TABLE)]), numbers]
    taken = [f"{scope}/number", f"{scope}/going", alive, kept, table, start]
    nodes, _ = body.needed_for(outputs)
    return helper.make_graph(
        nodes,
        scope,
        _described(taken, [(TensorProto.INT64, []), *carried]),
        _described(outputs, carried),
    )


def _described(names: Sequence[str], kinds: Sequence[_Kind]) -> list[ValueInfoProto]:
    return [helper.make_tensor_value_info(name, *kind) for name, kind in zip(names, kinds, strict=True)]


def _joined(graph: Graph, operator: str, pairs: str) -> str:
    """[M, 2] to [M, 1]: both columns added or multiplied."""
    return graph.add(operator, split(graph, pairs, (1, 1), 1))


def _whole(graph: Graph, flags: str) -> str:
    return graph.add("Cast", [flags], to=TensorProto.INT64)


def _running(graph: Graph, numbers: str) -> str:
    """The sums up to each place."""
    return graph.add("CumSum", [numbers, graph.integer(0)])


def _set(graph: Graph, flags: str) -> str:
    """The places of the flags that are set."""
    return squeeze(graph, graph.add("NonZero", [flags]), 0)


def _any(graph: Graph, flags: str) -> str:
    """bool without axes: whether any of the flags is set; of none, no."""
    count = reduce_sum(graph, _whole(graph, flags), 0, keepdims=False)
    return graph.add("Cast", [count], to=TensorProto.BOOL)
