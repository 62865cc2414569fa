"""ncnn's .param files as graphs: no weights are needed, no ncnn either.

ncnn knows no batch: a blob is [C, H, W], [H, W] or [W] (or [C, D, H, W]).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from layoutbridge.errors import ShapeError, UnusableInputError, counted, shown, visible
from layoutbridge.inputs import PathLike
from layoutbridge.scanning.graphs.graph import Graph, Node, Tensor
from layoutbridge.scanning.graphs.sizes import OpenShape, Shapes, filled_shapes
from layoutbridge.scanning.readers.ncnn_moves import MOVES, Move
from layoutbridge.scanning.readers.ncnn_param import Layer, MisfitError, read_layers
from layoutbridge.scanning.readers.ncnn_shapes import SHAPES, declared_shape, hinted_shapes

Shape = tuple[int, ...]
_CONVOLUTIONS = ("Convolution", "ConvolutionDepthWise")
_PICTURE: OpenShape = (3, None, None)
_MOST_ELEMENTS = 1 << 31  # what ncnn counts in 32 bits
_MOST_TOLD = 3
_ENOUGH = {
    "SDPA": 3,
    "MultiHeadAttention": 1,
    "RotaryEmbed": 1,
}  # inputs that say the result's shape; others may be open


def read(path: PathLike, shapes: Shapes = None) -> Graph:
    """The network of a .param file; `shapes` are [C, H, W] by the inputs' names, or the one of the only input.

    A 1 for a batch may stand in front. Shapes that the file tells of its inputs count where none are given: ncnn itself
    takes any. Where it tells none, the channels are those of the convolution that reads the input, else a picture's, if
    all layers can be at that. Raises `UnusableInputError` with the line for a file that ncnn would not read, and
    `ShapeError` where shapes do not fit or cannot be found.

    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp()) / "net.param"
    >>> _ = file.write_text("7767517\\n2 2\\nInput in 0 1 x 0=4 1=4 2=8\\nReorg moved 1 1 x y 0=2\\n")
    >>> graph = read(file)
    >>> graph.nodes[0].operator, graph.tensors["y"].shape
    ('Reorg', (32, 2, 2))
    """
    layers, left = read_layers(path)
    declared = {name: _declared(path, layer) for layer in layers if layer.kind == "Input" for name in layer.outputs}
    graph = _best(path, layers, declared, shapes)
    if left:
        told = f"ncnn does not read the last {left} lines: line 2 says {counted(len(layers), 'layer')}"
        graph = replace(graph, notes=(told, *graph.notes))
    return graph


def _declared(path: PathLike, layer: Layer) -> Shape:
    try:
        return declared_shape(layer)
    except MisfitError as error:
        raise UnusableInputError(f"'{os.fspath(path)}', line {layer.line}: Input {layer.name}: {error}") from None


def _best(path: PathLike, layers: Sequence[Layer], declared: Mapping[str, Shape], given: Shapes) -> Graph:
    """The graph at the first sizes that no layer contradicts, else at those where fewest do."""
    open_shapes, guessed = _open_shapes(layers, declared, given)
    best: _Walk | None = None
    for filled in filled_shapes(open_shapes, None):
        walk = _walked(layers, filled, has_hints=all(filled.get(name) == shape for name, shape in declared.items()))
        if best is None or len(walk.misfits) < len(best.misfits):
            best = walk
        if not walk.misfits:
            break
    if best is None:
        raise AssertionError("there is always a choice of sizes")
    if guessed and best.doubt:
        told = f"{guessed[0]}=3,224,224" if len(declared) > 1 else "3,224,224"
        raise ShapeError(
            f"'{os.fspath(path)}' does not say the shape of its input {shown(guessed[0])}, and {best.doubt}: "
            f"give --shape, as in --shape {told}"
        )
    return _graph(path, layers, best, open_shapes)


# ---------------------------------------------------------------------- inputs


def _open_shapes(
    layers: Sequence[Layer], declared: Mapping[str, Shape], given: Shapes
) -> tuple[dict[str, OpenShape], list[str]]:
    """The inputs' shapes, and the names of those that are guessed; where some are given, others are not guessed."""
    asked = _given_shapes(declared, given)
    shapes: dict[str, OpenShape] = {}
    guessed = []
    for name, shape in declared.items():
        known: OpenShape = tuple(length if length > 0 else None for length in shape)
        known = known or _read_by_convolution(layers, name)
        if name in asked:
            shapes[name] = _overlaid(name, known or _PICTURE, asked[name], bool(shape))
        elif known:
            shapes[name] = known
        elif not asked:
            shapes[name] = _PICTURE
            guessed.append(name)
    return shapes, guessed


def _given_shapes(declared: Mapping[str, Shape], given: Shapes) -> Mapping[str, Sequence[int | str | None]]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        if len(declared) != 1:
            told = ", ".join(f"{name}=…" for name in declared)
            raise ShapeError(f"the model has {len(declared)} inputs: give each a shape by its name, {told}")
        return {next(iter(declared)): given}
    for name in given:
        if name not in declared:
            raise ShapeError(f"the model has no input called {shown(name)}; it has {', '.join(declared)}")
    return given


def _overlaid(name: str, known: OpenShape, asked: Sequence[int | str | None], is_told: bool) -> OpenShape:
    """What is asked, without a batch of 1, and what the file tells where nothing is asked."""
    lengths = tuple(asked)
    if len(lengths) == (len(known) + 1 if is_told else 4) and lengths[0] in (1, None):
        lengths = lengths[1:]
    if not 1 <= len(lengths) <= 4 or (is_told and len(lengths) != len(known)):
        wanted = counted(len(known), "axis", "axes") if is_told else "1 to 4 axes"
        raise ShapeError(f"input {name} has {wanted}, without a batch, and shape {shown(list(asked))} {len(asked)}")
    numbers = [length for length in lengths if isinstance(length, int)]
    if any(length < 1 for length in numbers) or prod(numbers) >= _MOST_ELEMENTS:
        raise ShapeError(f"input {name} cannot have the shape {shown(list(asked))}: lengths are 1 at least")
    held = known if len(known) == len(lengths) else (None,) * len(lengths)
    return tuple(length if isinstance(length, int) else old for length, old in zip(lengths, held, strict=True))


def _read_by_convolution(layers: Sequence[Layer], name: str) -> OpenShape:
    """[C, H, W] with the channels that a convolution of the input has weights for; empty where none reads it."""
    names = {name}
    for layer in layers:
        if not names.intersection(layer.inputs):
            continue
        if layer.kind == "Split":
            names.update(layer.outputs)
        if layer.kind in _CONVOLUTIONS:
            channels = _channels_of(layer)
            if channels:
                return (channels, None, None)
    return ()


def _channels_of(layer: Layer) -> int:
    """The channels that a convolution has weights for; 0 where its numbers do not say."""
    try:
        across = layer.whole(1)
        area = layer.whole(0) * across * layer.whole(11, across)
        held = layer.whole(6) * (layer.whole(7, 1) if layer.kind == "ConvolutionDepthWise" else 1)
    except MisfitError:
        return 0
    return held // area if area > 0 and held > 0 and held % area == 0 else 0


# ---------------------------------------------------------------------- layers


@dataclass(slots=True)
class _Walk:
    """What was found on the way through the layers: shapes by blob, and why some are not known."""

    shapes: dict[str, Shape]
    has_hints: bool  # whether the shapes that the file notes are those at these sizes
    constants: set[str] = field(default_factory=set)
    nodes: list[Node] = field(default_factory=list)
    used_elsewhere: list[str] = field(default_factory=list)  # blobs that a passed-over layer reads
    misfits: list[str] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    behind: int = 0  # layers whose inputs are not known

    @property
    def doubt(self) -> str:
        """What speaks against the sizes, empty where nothing does."""
        if self.misfits:
            return self.misfits[0]
        return f"nothing is known of {self.unknown.most_common(1)[0][0]}" if self.unknown else ""


def _walked(layers: Sequence[Layer], inputs: Mapping[str, Shape], *, has_hints: bool) -> _Walk:
    walk = _Walk(dict(inputs), has_hints)
    for layer in layers:
        if layer.kind == "Input":
            continue
        if layer.kind == "MemoryData":
            _keep_constant(walk, layer)
            continue
        made = list(_nodes(walk, layer))
        if len(made) < len(layer.outputs) or not layer.outputs:
            walk.used_elsewhere += layer.inputs
        walk.nodes += made
    return walk


def _keep_constant(walk: _Walk, layer: Layer) -> None:
    try:
        shape = declared_shape(layer)
    except MisfitError as error:
        walk.misfits.append(f"MemoryData {layer.name} (line {layer.line}) cannot be: {error}")
        return
    if layer.outputs and shape and all(length > 0 for length in shape) and prod(shape) < _MOST_ELEMENTS:
        walk.shapes[layer.outputs[0]] = shape
        walk.constants.add(layer.outputs[0])


def _nodes(walk: _Walk, layer: Layer) -> Iterator[Node]:
    """A node for each output whose shape is known."""
    wanted = layer.inputs[: _ENOUGH.get(layer.kind)]
    known = [walk.shapes[name] for name in wanted if name in walk.shapes]
    results: Sequence[Move | Shape | None] = ()
    if known and len(known) == len(wanted):
        try:
            results = _results(walk, layer, known)
        except MisfitError as error:
            walk.misfits.append(f"{layer.kind} {layer.name} (line {layer.line}) cannot be: {error}")
    else:
        walk.behind += 1
    hints = _hints(layer) if walk.has_hints else [None] * len(layer.outputs)
    for place, name in enumerate(layer.outputs):
        found = results[place] if place < len(results) else None
        found = hints[place] if found is None else found
        if found is None:
            continue
        node, shape = _node(layer, name, found, walk.shapes)
        walk.shapes[name] = shape
        yield node


def _results(walk: _Walk, layer: Layer, known: Sequence[Shape]) -> Sequence[Move | Shape | None]:
    moves = MOVES[layer.kind](layer, known) if layer.kind in MOVES else None
    results: Sequence[Move | Shape] | None = moves
    if results is None and layer.kind in SHAPES:
        results = SHAPES[layer.kind](layer, known)
    if results is None:
        walk.unknown[layer.kind] += 1
        return ()
    for result in results:
        shape = result.shape if isinstance(result, Move) else result
        if any(length < 1 for length in shape) or prod(shape) >= _MOST_ELEMENTS:
            raise MisfitError(f"it would give {list(shape)}")
    return results


def _hints(layer: Layer) -> list[Shape | None]:
    if layer.kind.endswith("DetectionOutput"):  # how many there are depends on the picture
        return [None] * len(layer.outputs)
    try:
        return hinted_shapes(layer)
    except MisfitError:
        return [None] * len(layer.outputs)


def _node(layer: Layer, output: str, found: Move | Shape, shapes: Mapping[str, Shape]) -> tuple[Node, Shape]:
    if isinstance(found, Move):
        inputs = tuple(layer.inputs[place] for place in found.reads)
        return Node(layer.name, layer.kind, inputs, output, found.movement, found.kind, found.order), found.shape
    return Node(layer.name, layer.kind, tuple(name for name in layer.inputs if name in shapes), output), found


# ---------------------------------------------------------------------- the whole


def _graph(path: PathLike, layers: Sequence[Layer], walk: _Walk, open_shapes: Mapping[str, OpenShape]) -> Graph:
    read_by = {name for layer in layers for name in layer.inputs}
    ends = [name for layer in layers for name in layer.outputs if name not in read_by]
    tensors = {
        name: Tensor(name, shape, open_shape=open_shapes.get(name), is_constant=name in walk.constants)
        for name, shape in walk.shapes.items()
    }
    # What a passed-over layer reads counts as given back, so that no region goes past it.
    outputs = [name for name in dict.fromkeys([*ends, *walk.used_elsewhere]) if name in tensors]
    return Graph(
        name=os.path.basename(os.fspath(path)),
        format="ncnn",
        nodes=tuple(walk.nodes),
        tensors=tensors,
        inputs=tuple(open_shapes),
        outputs=tuple(outputs),
        node_count=len(layers),
        notes=tuple(map(visible, _notes(layers, walk, open_shapes))),
    )


def _notes(layers: Sequence[Layer], walk: _Walk, open_shapes: Mapping[str, OpenShape]) -> Iterator[str]:
    for name, shape in open_shapes.items():
        if None in shape:
            yield f"the file leaves sizes of input {name} open: it was read at {list(walk.shapes[name])}"
    for layer in layers:
        if layer.kind == "Reshape" and layer.values.get(3) == 1:
            yield f"Reshape {layer.name} has channels last within (3=1), which newer versions of ncnn ignore"
    if walk.unknown:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in walk.unknown.most_common(10))
        yield f"passed over, since the shapes that they give are not known: {kinds}"
    yield from walk.misfits[:_MOST_TOLD]
    if len(walk.misfits) > _MOST_TOLD:
        yield f"{len(walk.misfits) - _MOST_TOLD} more layers cannot be at these sizes"
    if walk.behind:
        yield f"{walk.behind} layers behind those were passed over"
