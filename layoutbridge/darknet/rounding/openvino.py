"""A rounded network in OpenVINO's own files, in fewer layers and less text.

OpenVINO reads a pair of QuantizeLinear and DequantizeLinear as a FakeQuantize with five layers behind it, which undo
what it did: with the right range it does that by itself. Views whose shape is known, and the many layers that work it
out, are constants. Of the text is left what OpenVINO's reader asks for: it works out shapes and types by itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

_LEVELS = 256
_KEPT = ("Parameter", "Result")  # layers whose text programs read
_WINDOWS = {"auto_pad": "explicit", "dilations": "1, 1", "strides": "1, 1", "pads_begin": "0, 0", "pads_end": "0, 0"}
_BROADCAST = {"auto_broadcast": "numpy"}
_DEFAULTS = {  # settings that layers have without being told
    "Convolution": _WINDOWS, "GroupConvolution": _WINDOWS,
    "FakeQuantize": _BROADCAST, "Add": _BROADCAST, "Multiply": _BROADCAST,
}  # fmt: skip


def simplify(model: Any) -> None:
    """The same computed in fewer layers: an OpenVINO model as it reads it from ONNX, changed in place."""
    for node in model.get_ordered_ops():
        kind = node.get_type_name()
        if kind == "FakeQuantize":
            _join(node)
        elif kind == "Reshape" and node.get_output_partial_shape(0).is_static:
            _settle(node)
    _share_constants(model)
    model.validate_nodes_and_infer_types()


def shorten(path: str | os.PathLike[str]) -> None:
    """Rewrite the .xml at `path` without what OpenVINO's reader does not need; inner layers are called by numbers."""
    root = ElementTree.parse(path).getroot()
    layers, edges = root.find("layers"), root.find("edges")
    assert layers is not None and edges is not None
    results = {layer.get("id") for layer in layers if layer.get("type") == "Result"}
    given = {(edge.get("from-layer"), edge.get("from-port")) for edge in edges if edge.get("to-layer") in results}
    for element in root.iter():
        element.text, element.tail = (element.text or "").strip() or None, None
    for layer in layers:
        number, data = layer.get("id"), layer.find("data")
        assert number is not None
        if layer.get("type") not in _KEPT:
            layer.set("name", number)
            for port in layer.iter("port"):
                port[:] = []
                if (number, port.get("id")) not in given:
                    port.attrib.pop("names", None)
        for port in layer.findall("input/port"):
            port.attrib.pop("precision", None)
        if data is not None:
            by_itself = _DEFAULTS.get(layer.get("type", ""), {})
            told = {key: value for key, value in data.attrib.items() if by_itself.get(key) != value}
            data.attrib.clear()
            data.attrib.update({key: value.replace(", ", ",") for key, value in told.items()})
            if not told:
                layer.remove(data)
    text = ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")
    Path(path).write_text(f'<?xml version="1.0"?>{text}', encoding="utf-8", newline="\n")


def _join(node: Any) -> None:
    """A FakeQuantize to whole numbers, and the layers that turn these back, as one FakeQuantize."""
    import openvino.opset13 as operations

    back = _only_reader(_only_reader(node, "Convert"), "Convert")
    lessened = _only_reader(back, "Subtract")
    zero = 0.0 if lessened is None else _number(lessened.input_value(1).get_node())
    multiplied = _only_reader(back if lessened is None else lessened, "Multiply")
    scale = None if multiplied is None else _number(multiplied.input_value(1).get_node())
    if scale is None or zero is None or multiplied is None:
        return
    low, high = ((end - np.float32(zero)) * np.float32(scale) for end in (np.float32(0), np.float32(_LEVELS - 1)))
    ends = [operations.constant(np.float32(end)) for end in (low, high)]
    joined = operations.fake_quantize(node.input_value(0), *ends, *ends, _LEVELS)
    _replace(multiplied, joined)


def _settle(node: Any) -> None:
    """A view of a constant, or of whole weights with their scales, as a constant; another's shape as one."""
    import openvino.opset13 as operations

    shape = list(node.get_output_partial_shape(0).to_shape())
    viewed = node.input_value(0).get_node()
    values, parts = _values(viewed), _whole_weights(viewed)
    if values is not None:
        _replace(node, operations.constant(values.reshape(shape)))
    elif parts is not None and parts[1].size == shape[0] * shape[1]:  # of a convolution in groups
        weights, scales = parts
        whole = operations.convert(operations.constant(weights.reshape(shape)), "f32")
        each = (*shape[:2], *(1 for _ in shape[2:]))
        _replace(node, operations.multiply(whole, operations.constant(scales.reshape(each))))
    elif _values(node.input_value(1).get_node()) is None:
        node.input(1).replace_source_output(operations.constant(np.array(shape, np.int64)).output(0))


def _whole_weights(node: Any) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Weights and their scales, of what multiplies both."""
    if node.get_type_name() != "Multiply":
        return None
    turned, scales = (node.input_value(place).get_node() for place in (0, 1))
    weights = _values(turned.input_value(0).get_node()) if turned.get_type_name() == "Convert" else None
    factors = _values(scales)
    return None if weights is None or factors is None else (weights, factors)


def _share_constants(model: Any) -> None:
    """Constants of the same values once."""
    seen: dict[object, Any] = {}
    for node in model.get_ordered_ops():
        values = _values(node)
        if values is None:
            continue
        key = (str(node.get_element_type()), values.shape, values.tobytes())
        if key in seen:
            node.output(0).replace(seen[key].output(0))
        else:
            seen[key] = node


def _replace(node: Any, other: Any) -> None:
    """Have all that reads a node read another, which gets the node's names."""
    names = node.output(0).get_names()
    node.output(0).replace(other.output(0))
    other.output(0).set_names(names)


def _only_reader(node: Any, kind: str) -> Any:
    """What alone reads a node's output, if it is of this kind."""
    if node is None:
        return None
    readers = list(node.output(0).get_target_inputs())
    reader = readers[0].get_node() if len(readers) == 1 else None
    return reader if reader is not None and reader.get_type_name() == kind else None


def _values(node: Any) -> NDArray[Any] | None:
    """A constant's."""
    return np.asarray(node.get_data()) if node.get_type_name() == "Constant" else None


def _number(node: Any) -> float | None:
    """That of a constant of one number, turned into another type or not."""
    values = _values(node.input_value(0).get_node() if node.get_type_name() == "Convert" else node)
    return float(values.ravel()[0]) if values is not None and values.size == 1 else None
