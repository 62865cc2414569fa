"""LiteRT's .tflite files as graphs. A node is called by its number in the file, as LiteRT's own tools tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from layoutbridge.errors import UnusableInputError
from layoutbridge.inputs import PathLike
from layoutbridge.scanning.graphs.graph import Graph, Node, Tensor
from layoutbridge.scanning.graphs.shape_readers import GIVEN_BACK, ShapeReaders
from layoutbridge.scanning.graphs.sizes import Shapes, filled_shapes
from layoutbridge.scanning.readers.tflite.arithmetic import Known, known_at, settled
from layoutbridge.scanning.readers.tflite.model import Model, Operator, Subgraph
from layoutbridge.scanning.readers.tflite.movements import moved_by

FORMAT = "LiteRT"
_INNER = ("thenSubgraphIndex", "elseSubgraphIndex", "condSubgraphIndex", "bodySubgraphIndex")
_DEEPEST = 16


def read(path: PathLike, shapes: Shapes = None) -> Graph:
    """The model in the .tflite file at `path`. LiteRT plans it, and does not run it.

    Open sizes are those of `shapes`, else numbers that are made up. Raises
    `UnusableInputError` for what is no readable model or cannot be planned at these shapes, `ShapeError` where they do
    not fit, `MissingFrameworkError`.

    >>> read("net.tflite")
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: there is no .tflite file 'net.tflite'
    """
    model = Model(path)
    graph = model.subgraphs[0]
    open_shapes = {graph.names[number]: graph.open_shape(number) for number in graph.inputs}
    numbers = {graph.names[number]: number for number in graph.inputs}
    reasons: list[UnusableInputError] = []
    for filled in filled_shapes(open_shapes, shapes):
        try:
            known = known_at(model, {numbers[name]: shape for name, shape in filled.items()})
        except UnusableInputError as error:
            reasons.append(error)
            model = Model(path)
            continue
        made_up = [name for name, shape in open_shapes.items() if None in shape]
        told = ", ".join(f"{name} {list(filled[name])}" for name in made_up)
        return _graph(model, graph, model.path, known, [f"open sizes are filled in: {told}"] if told else [])
    if shapes is not None:
        raise reasons[0]
    notes = [f"the shapes are those that the file says: {reasons[0]}"]
    known, pending = settled(graph, graph.file_shapes(), set())
    return _graph(model, graph, model.path, known if not pending else Known(known.shapes, known.values), notes)


def _graph(model: Model, graph: Subgraph, name: str, known: Known, notes: Sequence[str], depth: int = 0) -> Graph:
    nodes: list[Node] = []
    inner: list[Graph] = []
    constant = graph.constants | known.computed
    custom: dict[str, None] = {}
    for place, operator in enumerate(graph.operators):
        if known.computed.issuperset(operator.outputs):
            continue
        if operator.inputs and constant.issuperset(number for number in operator.inputs if number >= 0):
            constant = constant | set(operator.outputs)
        if operator.custom:
            custom[operator.name] = None
        nodes += _nodes(operator, place, graph, known)
        inner += _inner(model, operator, place, depth)
    used = {number for each in graph.operators for number in (*each.inputs, *each.outputs) if number >= 0}
    told = [*notes]
    if custom:
        told.append(f"custom operators were passed over: {', '.join(custom)}")
    if known.unknown:
        told.append("lengths that depend on values are not known, and what has them is passed over")
    return Graph(
        name=name,
        format=FORMAT,
        nodes=tuple(nodes),
        tensors={
            graph.names[number]: Tensor(
                graph.names[number],
                known.shapes[number],
                graph.dtypes[number],
                graph.open_shape(number),
                number in constant,
            )
            for number in sorted(used.union(graph.inputs, graph.outputs))
        },
        inputs=tuple(graph.names[number] for number in graph.inputs),
        outputs=tuple(graph.names[number] for number in graph.outputs),
        node_count=len(graph.operators),
        inner=tuple(inner),
        notes=tuple(told),
        shape_readers=_shape_readers(graph, known),
    )


def _shape_readers(graph: Subgraph, known: Known) -> Mapping[str, frozenset[str]]:
    readers = ShapeReaders()
    for operator in graph.operators:
        taken = [graph.names[number] for number in operator.inputs if number >= 0]
        given = [graph.names[number] for number in operator.outputs]
        is_known = known.computed.issuperset(operator.outputs)
        note = readers.use if not is_known else readers.ask if operator.name == "SHAPE" else readers.work_out
        note(taken, given)
    readers.use((graph.names[number] for number in graph.outputs), [GIVEN_BACK])
    return readers.by_tensor()


def _nodes(operator: Operator, place: int, graph: Subgraph, known: Known) -> list[Node]:
    given = [number for number in operator.inputs if number >= 0]
    is_known = not known.unknown.intersection((*given, *operator.outputs))
    moved = moved_by(operator, known.shapes, known.values) if is_known else None
    sources = tuple(graph.names[number] for number in (given if moved is None else moved.sources))
    return [
        Node(str(place), operator.name, sources, graph.names[number], *(() if moved is None else moved.moves[position]))
        for position, number in enumerate(operator.outputs)
    ]


def _inner(model: Model, operator: Operator, place: int, depth: int) -> list[Graph]:
    """The graphs within a branch or a loop, at the shapes that the file says."""
    options: Mapping[str, int] = operator.options
    made = []
    for option in _INNER if depth < _DEEPEST else ():
        if 0 <= options.get(option, -1) < len(model.subgraphs):
            graph = model.subgraphs[options[option]]
            known, _ = settled(graph, graph.file_shapes(), set())
            known.unknown.update(k for k in range(len(graph.tensors)) if None in graph.open_shape(k))
            made.append(_graph(model, graph, str(place), known, (), depth + 1))
    return made
