"""Keras' models and TensorFlow's SavedModels, run as the flat graph that the reader makes of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from layoutbridge.comparing.running.feeding import fed, in_shares, wanted
from layoutbridge.errors import LayoutBridgeError, UnusableInputError, class_and_first_line, first_line
from layoutbridge.frameworks.tensorflow.files import load_keras_file
from layoutbridge.frameworks.tensorflow.hdf5.designs import is_design, load_keras_design
from layoutbridge.frameworks.tensorflow.start_up import load_keras
from layoutbridge.inputs import PathLike
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.readers.tensorflow.bounds import BARRIER
from layoutbridge.scanning.readers.tensorflow.building import placeholder
from layoutbridge.scanning.readers.tensorflow.flattening import Flat, Functions
from layoutbridge.scanning.readers.tensorflow.saved_models import Saved, read_saved

Fetch = Callable[[Sequence[str]], Sequence[NDArray[Any]]]  # tensors of the flat graph, by their names there
_HANDLES = ("resource", "variant")
_INSIDE = "flat"  # the scope of the flat graph where it is run
_HEADING = "Graph execution error:"  # above what TensorFlow says of a run
_CALL = "call"  # the node that the reader makes of a model without signatures
_CALLED = ("__call__", "serve")  # how such a model is called


def values_of_keras(
    source: PathLike | Any, graph: Graph, given: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors of a .keras or .h5 file, or of a live model or layer of Keras, read as `graph`, for `given` inputs.

    A live one is left as it is. Raises `UnusableInputError` for a file that is not read, a layer without weights yet,
    and for what TensorFlow cannot run, `ShapeError` for inputs that do not fit, and `MissingFrameworkError`.

    >>> import keras
    >>> from layoutbridge.scanning.readers.tensorflow.reading import read_keras
    >>> taken = keras.Input((2, 2, 1), name="picture")
    >>> model = keras.Model(taken, keras.layers.Permute((3, 1, 2), name="turn")(taken))
    >>> graph = read_keras(model, (1, 2, 2, 1))
    >>> [(name, made.shape) for name, made in values_of_keras(model, graph, {"picture": np.zeros((1, 2, 2, 1))})]
    [('turn/transpose', (1, 1, 2, 2))]
    """
    keras = load_keras()
    model = _loaded(source) if isinstance(source, str | os.PathLike) else source
    taken = fed(graph, given)
    with _refusals_of(graph.name):
        concrete = _traced(keras, model, taken)
    traced = concrete.graph
    definition = traced.as_graph_def()
    nodes = {node.name: node for node in definition.node}
    flat = Flat(Functions(definition.library.function), graph.name)
    inner = [tensor.op.name for tensor in traced.inputs[: len(taken)]]
    outputs = [_before_identity(tensor) for tensor in _flattened(traced.outputs)]
    ends = _filled(flat, nodes, dict(zip(inner, taken.values(), strict=True)), outputs)
    captured = {inside.op.name: outside for outside, inside in traced.captures}
    yield from _given(flat, graph, _in_function(flat, captured, ends))


def values_of_saved_model(
    path: PathLike, graph: Graph, given: Mapping[str, NDArray[Any]]
) -> Iterator[tuple[str, NDArray[Any]]]:
    """The tensors of the SavedModel folder at `path`, read as `graph`, for `given` inputs.

    TensorFlow loads the folder and runs what is in it, which is whatever TensorFlow can do: for folders that you trust.
    The rest is as for `values_of_keras`.

    >>> values_of_saved_model("folder", Graph("net", "TensorFlow", (), {}, (), (), 0), {}).__next__()
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: there is no SavedModel 'folder/saved_model.pb'
    """
    saved = read_saved(path)
    taken = fed(graph, given)
    flat = Flat(saved.library, graph.name)
    nodes = {name: _with_own_name(node) for name, node in saved.nodes.items()}
    ends = _filled(flat, nodes, {saved.inputs[name]: x for name, x in taken.items()}, saved.outputs)
    if all(output.startswith(f"{_CALL}:") for output in saved.outputs):
        with _refusals_of(graph.name):
            fetch = _in_function(flat, _bound(path, saved), ends)
        yield from _given(flat, graph, fetch)
        return
    with closing(_session(path, flat, graph.name)) as session:
        feeds = {f"{_INSIDE}/{end}": x for end, x in ends.items()}
        yield from _given(flat, graph, lambda names: session.run([f"{_INSIDE}/{name}" for name in names], feeds))


# ---------------------------------------------------------------------- the flat graph


def _filled(
    flat: Flat, nodes: dict[str, Any], inputs: Mapping[str, NDArray[Any]], outputs: Sequence[str]
) -> dict[str, NDArray[Any]]:
    """Put into `flat` what the reader puts there of a graph, with `inputs` by nodes; these by their tensors there."""
    for name, x in inputs.items():
        nodes[name] = placeholder(nodes[name], x.shape)
    ends = flat.add(nodes, list(inputs))
    flat.add(nodes, list(outputs), {name: f"{name}:0" for name in inputs})
    flat.graph.library.function.extend(flat.library.values())
    return dict(zip(ends, inputs.values(), strict=True))


def _given(flat: Flat, graph: Graph, fetch: Fetch) -> Iterator[tuple[str, NDArray[Any]]]:
    places = _places(flat, graph)
    names = [name for name in wanted(graph) if graph.tensors[name].dtype != "object"]  # of texts
    for share in in_shares(names, graph):
        with _refusals_of(graph.name):
            made = fetch([places[name] for name in share])
        yield from zip(share, map(np.asarray, made), strict=True)


def _places(flat: Flat, graph: Graph) -> dict[str, str]:
    """The tensors of the flat graph by what `graph` calls them: the reader has them in the order of the operations."""
    import tensorflow as tf

    whole = tf.Graph()
    with whole.as_default():
        tf.import_graph_def(flat.graph, name="")
    tensors = [
        (op.type, tensor.name)
        for op in whole.get_operations()
        if op.type != BARRIER
        for tensor in op.outputs
        if tensor.dtype.name not in _HANDLES
    ]
    made = dict(zip(graph.tensors, tensors, strict=False))
    if len(tensors) != len(graph.tensors) or any(made[each.output][0] != each.operator for each in graph.nodes):
        raise UnusableInputError(f"'{graph.name}' is not the model that was read: read it again")
    return {name: tensor for name, (_, tensor) in made.items()}


def _in_function(flat: Flat, captured: Mapping[str, Any], ends: Mapping[str, NDArray[Any]]) -> Fetch:
    """Run the flat graph with the tensors of variables in the place of nodes."""
    import tensorflow as tf

    definition = _with_own_functions(flat.graph)
    there = {node.name for node in definition.node}
    handles = {name: tensor for name, tensor in captured.items() if name in there}

    def put_in() -> None:
        graph = tf.compat.v1.get_default_graph()
        mapped = {f"{name}:0": graph.capture(tensor) for name, tensor in handles.items()}
        tf.import_graph_def(definition, name=_INSIDE, input_map=mapped)

    wrapped = tf.compat.v1.wrap_function(put_in, [])
    feeds = [wrapped.graph.get_tensor_by_name(f"{_INSIDE}/{end}") for end in ends]
    inputs = [tf.constant(x) for x in ends.values()]

    def fetch(names: Sequence[str]) -> list[NDArray[Any]]:
        fetches = [wrapped.graph.get_tensor_by_name(f"{_INSIDE}/{name}") for name in names]
        return [made.numpy() for made in wrapped.prune(feeds, fetches)(*inputs)]

    return fetch


def _with_own_functions(graph: Any) -> Any:
    """The same with other names for its functions: TensorFlow may know others of these already."""
    made = type(graph)()
    made.CopyFrom(graph)
    functions = made.library.function
    mark = uuid4().hex
    names = {function.signature.name: f"{function.signature.name}_{mark}" for function in functions}
    for node in chain(made.node, *(function.node_def for function in functions)):
        node.op = names.get(node.op, node.op)
        for value in node.attr.values():
            for called in [value.func] if value.WhichOneof("value") == "func" else value.list.func:
                called.name = names.get(called.name, called.name)
    for function in functions:
        function.signature.name = names[function.signature.name]
    return made


@contextmanager
def _refusals_of(name: str) -> Iterator[None]:
    """`UnusableInputError` with TensorFlow's own words for what it raises: classes without a common base."""
    try:
        yield
    except LayoutBridgeError:
        raise
    except Exception as error:
        told = first_line(RuntimeError(str(error).removeprefix(_HEADING)))
        raise UnusableInputError(f"TensorFlow cannot run '{name}': {type(error).__name__}: {told}") from None


# ---------------------------------------------------------------------- Keras


def _loaded(path: PathLike) -> Any:
    if not is_design(path):
        return load_keras_file(path)
    model = load_keras_design(path)
    try:
        model.load_weights(path)
    except Exception as error:  # weights of other layers than the file describes
        raise UnusableInputError(
            f"Keras cannot read the weights of '{os.fspath(path)}': {class_and_first_line(error)}"
        ) from None
    return model


def _traced(keras: Any, model: Any, taken: Mapping[str, NDArray[Any]]) -> Any:
    """What `model` computes for inputs of these shapes, traced as the reader traces it."""
    import tensorflow as tf

    is_twin = not getattr(model, "inputs", None) and not model.built
    model = type(model).from_config(model.get_config()) if is_twin else model
    is_model = isinstance(model, keras.Model)

    def run(*given: Any) -> Any:
        structure = getattr(model, "_inputs_struct", None)
        values = given[0] if len(given) == 1 else list(given)
        if structure is not None:
            values = keras.tree.pack_sequence_as(structure, list(given))
        return model(values, training=False) if is_model else model(values)

    specs = [tf.TensorSpec(x.shape, x.dtype) for x in taken.values()]
    concrete = tf.function(run, autograph=False).get_concrete_function(*specs)
    if is_twin and model.weights:
        raise UnusableInputError(f"layer {model.name} has no weights yet: build it first")
    return concrete


def _flattened(outputs: Any) -> list[Any]:
    import tensorflow as tf

    return list(tf.nest.flatten(outputs))


def _before_identity(tensor: Any) -> str:
    """The tensor that a function returns, without the step by which it is returned."""
    is_added = tensor.op.type == "Identity" and tensor.op.name.partition("_")[0] == "Identity"
    return str(tensor.op.inputs[0].name if is_added else tensor.name)


# ---------------------------------------------------------------------- SavedModels


def _with_own_name(node: Any) -> Any:
    """The node with the name that its variable is shared by, which would be the node's own where it says none."""
    if "shared_name" not in node.attr or node.attr["shared_name"].s:
        return node
    named = type(node)()
    named.CopyFrom(node)
    named.attr["shared_name"].s = node.name.encode()
    return named


def _session(path: PathLike, flat: Flat, told: str) -> Any:
    """A session with the folder's variables, and the flat graph that shares them."""
    import tensorflow as tf
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow.python.saved_model.loader_impl import SavedModelLoader

    saved = SavedModel.FromString(Path(path, "saved_model.pb").read_bytes())
    graph = tf.Graph()
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True  # it fuses steps that are asked for
    session = tf.compat.v1.Session(graph=graph, config=config)
    try:
        with _refusals_of(told), graph.as_default():
            SavedModelLoader(os.fspath(path)).load(session, list(saved.meta_graphs[0].meta_info_def.tags))
            tf.import_graph_def(flat.graph, name=_INSIDE)
    except LayoutBridgeError:
        session.close()
        raise
    return session


def _bound(path: PathLike, saved: Saved) -> dict[str, Any]:
    """What the function that a model is called by is given beside its arguments, by the nodes that stand for it."""
    import tensorflow as tf

    loaded = tf.saved_model.load(os.fspath(path))
    functions: list[Any] = [getattr(getattr(loaded, name, None), "concrete_functions", ()) for name in _CALLED]
    function = next(each[0] for each in functions if len(each) == 1)
    places = [name for name in saved.nodes if name != _CALL and name not in saved.inputs]
    return dict(zip(places, function.captured_inputs, strict=True))
