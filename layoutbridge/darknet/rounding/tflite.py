"""A .tflite file in int8, by Google's own quantizer for such files, over ranges measured in LiteRT.

What it has no whole numbers for (leaky, mish, swish) is computed in float32 between two of its steps, as are heads.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.rounding.options import Int8
from layoutbridge.darknet.rounding.tflite_file import compacted
from layoutbridge.darknet.rounding.tflite_weights import Shape, as_matrices
from layoutbridge.darknet.structure.model import Layer, Network
from layoutbridge.errors import UnsupportedError, first_line
from layoutbridge.frameworks.base import require
from layoutbridge.frameworks.rounding import Follows, Range, Sample, leaky, swish

EXTRA = "int8"
_PRODUCTS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "CONV_2D_TRANSPOSE")
_OTHERS = (
    "ADD", "CONCATENATION", "MAX_POOL_2D", "RESIZE_NEAREST_NEIGHBOR", "PAD", "RESHAPE", "TRANSPOSE", "SLICE",
    "STRIDED_SLICE", "SPLIT", "SPACE_TO_DEPTH", "RELU",
)  # fmt: skip
_BITS = 8
_IN_ONE = ("linear", "relu", "leaky", "revleaky", "relie", "logistic", "tanh", "relu6")  # activations of one operator
_TENSOR_INDEX = 6  # of a TensorMap in the schema: where its place stands in the table
_FOLLOWING = {"leaky": leaky(0.1), "swish": swish, "mish": swish, "relu": leaky(0.0)}


def int8_content(network: Network, content: bytes, int8: Int8, *, channels_last: bool) -> bytes:
    """The file `content` in int8. Raises `UnsupportedError` where the quantizer cannot take it, as `Int8.check` does,
    and `MissingFrameworkError` without it or LiteRT.
    """
    int8.check(network)
    recipe = _recipe(network, int8)
    key = ("tflite", len(content))
    if key not in int8.measured:
        int8.measured[key] = _measured(network, content, int8.pictures, channels_last)
    ranges: dict[str, Range] = int8.measured[key]
    told = {name: {"min": _told(one.low), "max": _told(one.high)} for name, one in ranges.items()}
    made, shapes = _rounded(content, recipe, told, network.source)
    return compacted(_with_outputs(content, made), shapes)


def _recipe(network: Network, int8: Int8) -> Any:
    """What of each layer is rounded."""
    names = require("ai_edge_quantizer.qtyping", "ai-edge-quantizer", EXTRA).TFLOperationName
    recipe = require("ai_edge_quantizer.recipe_manager", "ai-edge-quantizer", EXTRA).RecipeManager()
    for layer in network.layers:
        scope = _scope(layer)
        if layer.settings.in_float32 or layer.index in int8.in_float:
            for product in _PRODUCTS:
                recipe.add_weight_only_config(scope, names[product], _BITS)
        else:
            for operation in _PRODUCTS if _has_own_steps(layer) else (*_PRODUCTS, *_OTHERS):
                recipe.add_static_config(scope, names[operation], _BITS, _BITS)
    return recipe


def _rounded(
    content: bytes, recipe: Any, told: Mapping[str, Any], source: str
) -> tuple[bytes, tuple[Shape | None, ...]]:
    """The file in whole numbers, weights of convolutions as matrices, and the shapes that these are to have.

    The parts of the quantizer are called, not the whole: that loads the file into LiteRT, which takes no matrices.
    """
    from ai_edge_quantizer import model_modifier, params_generator
    from ai_edge_quantizer.utils import tfl_flatbuffer_utils

    model = tfl_flatbuffer_utils.read_model(content)
    shapes = as_matrices(model)
    try:
        generator = params_generator.ParamsGenerator(model)
        params = generator.generate_quantization_parameters(recipe, told, enable_progress_bar=False)
        made = model_modifier.ModelModifier(model).modify_model(params, enable_progress_bar=False)
    except (ValueError, RuntimeError, KeyError, NotImplementedError) as error:
        raise UnsupportedError(f"{source} cannot be rounded for LiteRT: {first_line(error)}") from None
    return bytes(made), shapes


def _has_own_steps(layer: Layer) -> bool:
    """Whether its activation is made of sums and products, whose parts have ranges that no 8 bits hold."""
    return getattr(layer.settings, "activation", "linear") not in _IN_ONE


def _with_outputs(content: bytes, rounded: bytes) -> bytes:
    """The rounded file with the outputs of its signature where those of the graph are.

    The quantizer leaves them at the whole numbers of tensors that other operators read, too.
    """
    from ai_edge_litert import schema_py_generated as schema

    made = bytearray(rounded)
    before, after = (schema.Model.GetRootAs(each) for each in (content, made))
    places = {int(index): place for place, index in enumerate(before.Subgraphs(0).OutputsAsNumpy())}
    indices = after.Subgraphs(0).OutputsAsNumpy().tolist()
    theirs, ours = before.SignatureDefs(0), after.SignatureDefs(0)
    for place in range(theirs.OutputsLength()):
        right, told = indices[places[theirs.Outputs(place).TensorIndex()]], ours.Outputs(place)
        if told.TensorIndex() != right:  # weights may lie behind the graph by their places: nothing is moved
            start = told._tab.Pos + told._tab.Offset(_TENSOR_INDEX)
            struct.pack_into("<I", made, start, right)
    return bytes(made)


def _scope(layer: Layer) -> str:
    """What the names of a layer's tensors match."""
    return rf"(^|[/;]){re.escape(layer.name)}(_|/|;|$)"


def _told(value: float) -> NDArray[np.float32]:
    return np.array([[[[value]]]], np.float32)


def _measured(network: Network, content: bytes, pictures: NDArray[np.float32], channels_last: bool) -> dict[str, Range]:
    """The range of each tensor, by name, over the pictures one after another."""
    litert = require("ai_edge_litert.interpreter", "LiteRT", "litert")
    interpreter = litert.Interpreter(
        model_content=content,
        num_threads=2,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]
    computed = {given["index"], *_computed(content)}
    tensors = [
        one for one in interpreter.get_tensor_details() if one["index"] in computed and one["dtype"] is np.float32
    ]
    samples = {one["name"]: Sample(len(pictures)) for one in tensors}
    for picture in pictures:
        x = np.repeat(picture[None], given["shape"][0], axis=0)
        interpreter.set_tensor(given["index"], np.ascontiguousarray(x.transpose(0, 2, 3, 1) if channels_last else x))
        interpreter.invoke()
        for one in tensors:
            samples[one["name"]].see(interpreter.get_tensor(one["index"]))
    activations = [
        (re.compile(_scope(layer)), getattr(layer.settings, "activation", "linear")) for layer in network.layers
    ]
    return {
        name: sample.fitting_range(_follows(name, activations)) for name, sample in samples.items() if sample.finite
    }


def _computed(content: bytes) -> set[int]:
    """The tensors that operators give: the others are constants."""
    from ai_edge_litert import schema_py_generated as schema

    graph = schema.Model.GetRootAs(content).Subgraphs(0)
    return {int(index) for k in range(graph.OperatorsLength()) for index in graph.Operators(k).OutputsAsNumpy()}


def _follows(name: str, activations: Sequence[tuple[re.Pattern[str], str]]) -> Follows | None:
    """What a tensor goes through next: of the sums of a layer its activation."""
    if "BiasAdd" not in name:
        return None
    return next((_FOLLOWING.get(activation) for scope, activation in activations if scope.search(name)), None)
