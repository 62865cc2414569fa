"""Keras' models and TensorFlow's SavedModels as graphs.

A node is called as TensorFlow calls it, its layers by their own names in Keras: "focus/Reshape". Inputs are called as
the model has them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from layoutbridge.errors import LayoutBridgeError, ShapeError, UnusableInputError, class_and_first_line
from layoutbridge.frameworks.tensorflow.files import load_keras_file
from layoutbridge.frameworks.tensorflow.hdf5.designs import is_design, load_keras_design
from layoutbridge.frameworks.tensorflow.start_up import load_keras
from layoutbridge.inputs import PathLike
from layoutbridge.scanning.graphs.graph import Graph
from layoutbridge.scanning.graphs.sizes import OpenShape, Shapes, filled_shapes
from layoutbridge.scanning.readers.tensorflow.building import Misfit, Source, graph_of
from layoutbridge.scanning.readers.tensorflow.flattening import Functions
from layoutbridge.scanning.readers.tensorflow.layer_names import LayerNames
from layoutbridge.scanning.readers.tensorflow.saved_models import Saved, read_saved


def read_keras(source: PathLike | Any, shapes: Shapes = None) -> Graph:
    """The .keras or .h5 file at a path, or a live model or layer of Keras, which is left as it is.

    Open sizes are those of `shapes`, else numbers that are made up. A layer does not say what it takes: there `shapes`
    must. Raises `UnusableInputError` as `load_keras_file` does for files, and where the model has no meaning at these
    shapes, `ShapeError` where shapes are missing or do not fit, `MissingFrameworkError`.

    >>> import keras
    >>> taken = keras.Input((4, 4, 3), name="picture")
    >>> graph = read_keras(keras.Model(taken, keras.layers.Permute((3, 1, 2), name="turn")(taken)))
    >>> [(node.name, node.order) for node in graph.nodes]
    [('turn/transpose', (0, 3, 1, 2))]
    """
    if not isinstance(source, str | os.PathLike):
        return _read_live(source, f"{source.name}", shapes)
    if is_design(source):
        return _read_live(load_keras_design(source), os.fspath(source), shapes)
    return _read_live(load_keras_file(source), os.fspath(source), shapes)


def read_saved_model(path: PathLike, shapes: Shapes = None) -> Graph:
    """The SavedModel folder at `path`, by its signature "serving_default", its only one, or its `__call__`.

    Its graph is read, and nothing is run or loaded. The rest is as for `read_keras`.

    >>> read_saved_model("folder")
    Traceback (most recent call last):
    ...
    layoutbridge.errors.UnusableInputError: there is no SavedModel 'folder/saved_model.pb'
    """
    saved, told = _whole(path), os.fspath(path)

    def built(filled: Mapping[str, tuple[int, ...]], notes: tuple[str, ...]) -> Graph:
        given = {saved.inputs[name]: shape for name, shape in filled.items()}
        called = {node: name for name, node in saved.inputs.items()}
        source = Source(told, saved.nodes, saved.library, given, saved.outputs, saved.shapes, called)
        return graph_of(source, str, notes)

    return _at_some_sizes(built, saved.shapes, shapes, told)


def _whole(path: PathLike) -> Saved:
    try:
        return read_saved(path)
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, LayoutBridgeError):
            raise
        raise UnusableInputError(
            f"'{os.fspath(path)}' is no whole SavedModel ({class_and_first_line(error)}): write it again"
        ) from None


def _at_some_sizes(built: Any, open_shapes: Mapping[str, OpenShape], shapes: Shapes, told: str) -> Graph:
    """What `built` makes at the first sizes that fit."""
    reason: LayoutBridgeError | None = None
    for filled in filled_shapes(open_shapes, shapes):
        made_up = [f"{name} {list(filled[name])}" for name, shape in open_shapes.items() if not _is_fixed(shape)]
        notes = (f"open sizes are filled in: {', '.join(made_up)}",) if made_up else ()
        try:
            made: Graph = built(filled, notes)
            return made
        except Misfit as error:
            reason = reason or error
        except LayoutBridgeError:
            raise
        except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
            raise UnusableInputError(
                f"'{told}' is no graph that is understood ({class_and_first_line(error)}): write it again"
            ) from None
    assert reason is not None  # there is a choice of sizes always
    raise reason


def _is_fixed(shape: OpenShape) -> bool:
    return all(isinstance(length, int) for length in shape)


# ---------------------------------------------------------------------- live models


def _read_live(model: Any, told: str, shapes: Shapes) -> Graph:
    keras = load_keras()
    taken = getattr(model, "inputs", None)
    if taken:
        open_shapes: dict[str, OpenShape] = {each.name: tuple(each.shape) for each in taken}
        dtypes = {each.name: each.dtype for each in taken}
    else:
        open_shapes = _given(model, shapes)
        shapes = None
        dtypes = dict.fromkeys(open_shapes, model.compute_dtype)
        model = _twin(keras, model)

    def built(filled: Mapping[str, tuple[int, ...]], notes: tuple[str, ...]) -> Graph:
        source, names = _traced(keras, model, told, filled, dtypes, open_shapes)
        return graph_of(source, names, notes)

    return _at_some_sizes(built, open_shapes, shapes, told)


def _given(layer: Any, shapes: Shapes) -> dict[str, OpenShape]:
    if shapes is None:
        raise ShapeError(
            f"layer {layer.name} does not say what it takes: give the shape of its input (--shape 1,640,640,3)"
        )
    if isinstance(shapes, Mapping):
        return {name: tuple(shape) for name, shape in shapes.items()}
    return {"input": tuple(shapes)}


def _twin(keras: Any, layer: Any) -> Any:
    """A layer of the same settings where `layer` would make its weights when it is called, which may not stay."""
    if layer.built:
        return layer
    try:
        return type(layer).from_config(layer.get_config())
    except Exception as error:  # somebody else's class
        raise UnusableInputError(
            f"layer {layer.name} has no weights yet, and is not copied ({class_and_first_line(error)}): build it first"
        ) from None


def _traced(
    keras: Any,
    model: Any,
    told: str,
    filled: Mapping[str, tuple[int, ...]],
    dtypes: Mapping[str, str],
    open_shapes: Mapping[str, OpenShape],
) -> tuple[Source, LayerNames]:
    """What `model` computes for inputs of these shapes, as a graph."""
    import tensorflow as tf

    specs = [tf.TensorSpec(shape, dtypes[name]) for name, shape in filled.items()]
    is_model = isinstance(model, keras.Model)

    def run(*given: Any) -> Any:
        structure = getattr(model, "_inputs_struct", None)
        values = given[0] if len(given) == 1 else list(given)
        if structure is not None:
            values = keras.tree.pack_sequence_as(structure, list(given))
        return model(values, training=False) if is_model else model(values)

    try:
        concrete = tf.function(run, autograph=False).get_concrete_function(*specs)
    except Exception as error:  # somebody else's layer, or what TensorFlow says of it
        sizes = ", ".join(f"{name} {list(shape)}" for name, shape in filled.items())
        raise Misfit(f"Keras cannot run '{told}' at {sizes}: {class_and_first_line(error)}") from None
    graph = concrete.graph
    definition = graph.as_graph_def()
    nodes = {node.name: node for node in definition.node}
    for outside, inside in graph.captures:
        _stand_in(nodes, outside, inside)
    library = Functions(definition.library.function)
    inner = list(graph.inputs[: len(filled)])
    given = dict(zip((tensor.op.name for tensor in inner), filled.values(), strict=True))
    called = dict(zip((tensor.op.name for tensor in inner), filled, strict=True))
    outputs = [_before_identity(tensor) for tensor in tf.nest.flatten(graph.outputs)]
    source = Source(told, nodes, library, given, outputs, open_shapes, called)
    return source, LayerNames(model, [node.name for node in definition.node])


def _before_identity(tensor: Any) -> str:
    """The tensor that a function returns, without the step by which it is returned."""
    is_added = tensor.op.type == "Identity" and tensor.op.name.partition("_")[0] == "Identity"
    return str(tensor.op.inputs[0].name if is_added else tensor.name)


def _stand_in(nodes: dict[str, Any], outside: Any, inside: Any) -> None:
    """Put a variable's own node in the place of what is given from outside: it knows the variable's shape."""
    from tensorflow.python.ops.handle_data_util import get_resource_handle_data

    held = nodes[inside.op.name]
    if outside.dtype.name != "resource":
        held.attr["shape"].shape.CopyFrom(outside.shape.as_proto())
        held.op = "Placeholder"
        return
    data = get_resource_handle_data(inside)
    if data.is_set and len(data.shape_and_type) == 1:
        held.op = "VarHandleOp"
        held.attr["dtype"].type = data.shape_and_type[0].dtype
        held.attr["shape"].shape.CopyFrom(data.shape_and_type[0].shape)
