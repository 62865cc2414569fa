"""What a SavedModel folder says of its model: the graph, what it takes and what it gives. Nothing is loaded or run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layoutbridge.errors import UnusableInputError
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.tensorflow.start_up import EXTRA
from layoutbridge.inputs import PathLike, read_bytes
from layoutbridge.scanning.graphs.sizes import OpenShape
from layoutbridge.scanning.readers.tensorflow.flattening import Functions

_SAVED = "saved_model.pb"
_LARGEST = (1 << 31) - 1  # bytes, of what protobuf reads
_SERVING = "serving_default"
_CALLED = ("__call__", "serve")  # of a model without signatures


@dataclass(frozen=True, slots=True)
class Saved:
    """A graph by its `nodes` and functions; the nodes of its inputs and their shapes by the inputs' names."""

    nodes: Mapping[str, Any]
    library: Functions
    inputs: Mapping[str, str]
    shapes: Mapping[str, OpenShape]
    outputs: list[str]


def read_saved(path: PathLike) -> Saved:
    """The SavedModel in the folder at `path`: by its signature "serving_default", its only one, or how it is called.

    Raises `UnusableInputError` for what is no SavedModel, and where what it takes is not clear.
    """
    content = read_bytes(Path(path) / _SAVED, "SavedModel", most=_LARGEST)
    require("tensorflow", "TensorFlow", EXTRA)
    message = require("google.protobuf.message", "TensorFlow", EXTRA)
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    told = os.fspath(path)
    try:
        saved = SavedModel.FromString(content)
    except message.DecodeError:
        raise UnusableInputError(f"'{told}' is no whole SavedModel: write it again") from None
    if not saved.meta_graphs:
        raise UnusableInputError(f"'{told}' holds no graph: write it again")
    meta = saved.meta_graphs[0]
    usable = {name: held for name, held in meta.signature_def.items() if held.inputs and held.outputs}
    if _SERVING in usable or len(usable) == 1:
        return _of_signature(meta, usable.get(_SERVING) or next(iter(usable.values())), told)
    if usable:
        raise UnusableInputError(
            f"'{told}' has {len(usable)} signatures, none called {_SERVING}: save it with that one"
        )
    return _of_call(meta, told)


def _of_signature(meta: Any, signature: Any, told: str) -> Saved:
    inputs = sorted(signature.inputs.items())
    return Saved(
        {node.name: node for node in meta.graph_def.node},
        Functions(meta.graph_def.library.function),
        {name: held.name.partition(":")[0] for name, held in inputs},
        {name: _declared(held.tensor_shape, name, told) for name, held in inputs},
        [held.name for _, held in sorted(signature.outputs.items())],
    )


def _of_call(meta: Any, told: str) -> Saved:
    """The graph of one call of the function that the model is called by."""
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    objects, library = meta.object_graph_def, Functions(meta.graph_def.library.function)
    name = _called(objects)
    if name is None:
        raise UnusableInputError(f"'{told}' has no signature, and is not called in one way: save it with one")
    function = library[name]
    bound = list(objects.concrete_functions[name].bound_inputs)
    arguments = list(function.signature.input_arg)
    taken = arguments[: len(arguments) - len(bound)]
    nodes, shapes = {}, {}
    call = NodeDef(name="call", op="StatefulPartitionedCall", input=[each.name for each in arguments])
    call.attr["f"].func.name = name
    for place, argument in enumerate(arguments):
        node = nodes[argument.name] = NodeDef(name=argument.name, op="Placeholder")
        node.attr["dtype"].type = argument.type
        if place < len(taken):
            known = function.arg_attr[place].attr["_output_shapes"].list.shape
            shapes[argument.name] = _declared(known[0] if known else None, argument.name, told)
        else:
            _bind(node, objects.nodes[bound[place - len(taken)]])
    outputs = [f"call:{place}" for place in range(len(function.signature.output_arg))]
    inputs = {argument.name: argument.name for argument in taken}
    return Saved({**nodes, "call": call}, library, inputs, shapes, outputs)


def _called(objects: Any) -> str | None:
    """The function that the model is called by, where it has one form."""
    children = {child.local_name: child.node_id for child in objects.nodes[0].children} if objects.nodes else {}
    for name in _CALLED:
        functions = list(objects.nodes[children[name]].function.concrete_functions) if name in children else []
        if len(functions) == 1:
            return str(functions[0])
    return None


def _bind(node: Any, held: Any) -> None:
    """Say of what a function is given beside its arguments which variable it is."""
    if held.WhichOneof("kind") == "variable":
        node.op = "VarHandleOp"
        node.attr["dtype"].type = held.variable.dtype
        node.attr["shape"].shape.CopyFrom(held.variable.shape)
    else:
        node.attr["shape"].shape.unknown_rank = True


def _declared(shape: Any, name: str, told: str) -> OpenShape:
    if shape is None or shape.unknown_rank:
        raise UnusableInputError(f"'{told}' takes {name} with any number of axes: save it with an input of some shape")
    return tuple(None if length.size < 0 else int(length.size) for length in shape.dim)
