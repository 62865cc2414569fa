"""From a model's outputs to Darknet's rows of boxes, whichever head it was exported with.

What is read, and how it is told apart:

| outputs | read as |
|---|---|
| `boxes`, `yolov5`, `yolov8` of our own files | the heads of `meaning.boxes` |
| those of our own files for DeepStream | corners, score and class: each box's best one alone |
| layers, or what goes into them, of our own files | `boxes.decode`, with the network in the cfg |
| [N, boxes, 5 + classes], [N, 4 + classes, boxes] of the number of places that YOLOv5 and YOLOv8 have | as theirs |
| [N, boxes, 6] of a model whose metadata say `end2end` or `nms` | corners, score and class: suppressed already |

Definitions: `export.py` and `ultralytics/engine/exporter.py` of Ultralytics for what is written into their files.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detection.boxes import HeadRules, Rows, decode, head_layers, head_rules
from layoutbridge.darknet.detection.fitting import Fit
from layoutbridge.darknet.detectors.opened import Opened, Outputs
from layoutbridge.darknet.ports.outputs import output_name
from layoutbridge.darknet.ports.provenance import BOX_UNIT, IN_SHARES
from layoutbridge.darknet.reference import forward_layer
from layoutbridge.darknet.structure.heads import Region
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import UnsupportedError, UnusableInputError, shown, visible
from layoutbridge.inputs import read_json

_BOX = 5  # numbers of a row before its scores
_LARGEST_NAMES, _LARGEST_LITERAL = 8 << 20, 1 << 20  # bytes
_HEADS = ("boxes", "yolov5", "yolov8")
_STRIDES = ((8, 16, 32), (8, 16, 32, 64), (16, 32), (4, 8, 16, 32))
_ANCHORS = 3  # of a place of YOLOv5's

Read = Callable[[Outputs], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a model's outputs are read: `read` gives rows [N, boxes, 5 + classes], shares of the input, as `decode` does.

    `names` are the classes' where the file has them; `fits` is how its pictures are fitted where it is not Darknet's.
    `best_only` leaves each box its best class alone, `suppressed` says that the model has suppressed them itself.
    """

    read: Read
    rules: HeadRules
    names: tuple[str, ...] | None = None
    fits: Fit | None = None
    best_only: bool = False
    suppressed: bool = False


def answer_of(model: Opened, network: Network | None, classes: int | None = None) -> Answer:
    """How the outputs of `model` are read; `network` is that of the cfg, `classes` their number, where it was given.

    Raises `UnusableInputError` for metadata that are damaged or say too little, with what to give; `UnsupportedError`
    for networks without detection layers.
    """
    told = model.metadata
    if network is not None:
        if network.in_shape != model.in_shape:
            raise UnusableInputError(
                f"'{model.source}' takes {list(model.in_shape)}, and {network.source} {list(network.in_shape)}: give "
                "the cfg that it comes from, or the size that it was read at"
            )
        flavor = told.get("flavor", network.flavor) if "head" in told else network.flavor
        if flavor != network.flavor:
            raise UnusableInputError(
                f"'{model.source}' is of the flavor {shown(flavor)}, and {network.source} is read as "
                f"{network.flavor}, by whose rules its numbers are other boxes: give flavor {shown(flavor)}"
            )
        return Answer(_reader(model, network, told.get("head")), head_rules(network), names_in(model))
    if "head" in told:
        return _ours(model)
    return _others(model, classes)


# ---------------------------------------------------------------------- our own files


def _ours(model: Opened) -> Answer:
    told, source = model.metadata, model.source
    head = told["head"]
    if "head_rules" not in told:
        raise UnsupportedError(
            f"'{source}' comes from a network without detection layers, so it finds no objects: classify "
            "says what pictures show, where it is a classifier"
        )
    if told.get("input_range", "0..1") != "0..1" or told.get("input_color_order", "RGB") != "RGB":
        raise UnsupportedError(f"'{source}' does not take RGB in 0..1, as Darknet's pictures are")
    try:
        rules = HeadRules.from_json(told["head_rules"])
    except ValueError as error:
        raise UnusableInputError(f"'{source}': its metadata head_rules cannot be read ({error})") from None
    if head == "deepstream":
        return Answer(_corners(model, rules.classes), rules, names_in(model))
    if head not in _HEADS:
        raise UnusableInputError(
            f"'{source}' was exported with the head '{visible(head[:40])}', whose anchors are in the cfg: give that, "
            "too, or export it with the head boxes"
        )
    return Answer(_joined(model, head, rules.classes), rules, names_in(model))


def _reader(model: Opened, network: Network, head: str | None) -> Read:
    """With the network at hand: one tensor of boxes, or the outputs of layers, found by their names."""
    rules = head_rules(network)
    if head == "deepstream":
        return _corners(model, rules.classes)

    def read(outputs: Outputs) -> NDArray[np.float32]:
        joined = head if head in _HEADS else next((name for name in _HEADS if name in outputs), None)
        if joined is not None:
            return _joined(model, joined, rules.classes)(outputs)
        return _decoded(model, network, outputs)

    return read


def _decoded(model: Opened, network: Network, outputs: Outputs) -> NDArray[np.float32]:
    held: dict[int, NDArray[np.float32]] = {}
    for layer in head_layers(network):
        if layer.name in outputs:
            own = isinstance(layer.settings, Region) and layer.settings.channels_last
            held[layer.index] = output_map(outputs[layer.name], layer.out_shape, model, in_own_order=own)
            continue
        name = output_name(network, layer.inputs[0])
        if name not in outputs:
            raise UnusableInputError(
                f"'{model.source}' gives {', '.join(list(outputs)[:6])[:120]}, and neither {layer.name} nor {name}: "
                "it is another network's, or has another head"
            )
        given = output_map(outputs[name], layer.in_shape, model)
        held[layer.index] = forward_layer(layer, {}, [given], network.flavor, len(given), np.float32)
    return decode(network, held)


def output_map(
    output: NDArray[np.float32], shape: tuple[int, ...], model: Opened, *, in_own_order: bool = False
) -> NDArray[np.float32]:
    """An output as Darknet holds it: channels first, but for a head whose numbers stand `in_own_order` already."""
    if len(shape) == 3 and output.ndim == 4 and model.channels_last and not in_own_order:
        output = output.transpose(0, 3, 1, 2)
    if prod(output.shape[1:]) != prod(shape):
        raise UnusableInputError(f"'{model.source}' gives {list(output.shape)} where the cfg has {list(shape)}")
    return np.ascontiguousarray(output).reshape(len(output), *shape)


def _joined(model: Opened, head: str, classes: int) -> Read:
    """The tensor of boxes called `head`, else the first one; in pixels, or shares as all that .tflite files have."""
    _, height, width = model.in_shape
    shares = model.metadata.get(BOX_UNIT) == IN_SHARES if "head" in model.metadata else model.framework == "tflite"
    sides = np.array([1.0] * 4 if shares else [width, height, width, height], np.float32)

    def read(outputs: Outputs) -> NDArray[np.float32]:
        values = np.asarray(outputs[head] if head in outputs else next(iter(outputs.values())), np.float32)
        wanted = 4 + classes if head == "yolov8" else _BOX + classes
        if values.ndim != 3 or values.shape[1 if head == "yolov8" else 2] != wanted:
            told = f"[{wanted}, boxes]" if head == "yolov8" else f"[boxes, 5 + {classes} classes]"
            raise UnusableInputError(f"'{model.source}' gives {list(values.shape[1:])}, not {told}")
        if head == "boxes":
            return values
        return _from_yolov5(values, sides) if head == "yolov5" else _from_yolov8(values, sides)

    return read


def _from_yolov5(values: NDArray[np.float32], sides: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = values.copy()
    rows[..., :4] /= sides
    rows[..., _BOX:] *= rows[..., 4:5]
    return rows


def _from_yolov8(values: NDArray[np.float32], sides: NDArray[np.float32]) -> NDArray[np.float32]:
    turned = values.transpose(0, 2, 1)
    best = turned[..., 4:].max(axis=-1, keepdims=True)  # there is no objectness: what counts has a score
    return np.concatenate([turned[..., :4] / sides, best, turned[..., 4:]], axis=-1)


# ---------------------------------------------------------------------- other people's files


def _others(model: Opened, classes: int | None) -> Answer:
    """YOLOv5's, YOLOv8's and those after them, by what they say or by the number of their places."""
    shape = _shape_of_output(model)
    names = names_in(model)
    if len(shape) == 3 and shape[2] == 6 and _is_suppressed(model):
        classes = classes or len(names or ())
        if not classes:
            raise UnusableInputError(f"'{model.source}' has no names of its classes in its metadata: give names")
        return Answer(_corners(model, classes), _plain(classes), names, "ultralytics", suppressed=True)
    _, height, width = model.in_shape
    counts = {sum((height // stride) * (width // stride) for stride in strides) for strides in _STRIDES}
    if len(shape) == 3 and shape[1] in {_ANCHORS * count for count in counts} and shape[2] > _BOX:
        head, classes = "yolov5", shape[2] - _BOX
    elif len(shape) == 3 and shape[2] in counts and shape[1] > 4:
        head, classes = "yolov8", shape[1] - 4
    else:
        raise UnusableInputError(
            f"'{model.source}' was not exported by layoutbridge: its metadata says nothing of its head, and it gives "
            f"{list(shape)[:6]}, which is neither YOLOv5's nor YOLOv8's: give its cfg, if it is a Darknet network's"
        )
    if names is not None and len(names) != classes:
        names = None
    return Answer(_joined(model, head, classes), _plain(classes), names, "ultralytics", best_only=True)


def _shape_of_output(model: Opened) -> tuple[int, ...]:
    """That of the first output, as one run gives it: files often leave it open."""
    outputs = model.outputs(np.zeros((1, *model.in_shape), np.float32))
    return np.shape(next(iter(outputs.values())))


def _corners(model: Opened, classes: int) -> Read:
    _, height, width = model.in_shape
    sides = np.array([width, height, width, height], np.float32)

    def read(outputs: Outputs) -> NDArray[np.float32]:
        values = np.asarray(next(iter(outputs.values())), np.float32)
        low, high = values[..., :2], values[..., 2:4]
        boxes = np.concatenate([(low + high) / 2, high - low], axis=-1) / sides
        scores = np.zeros((*values.shape[:2], classes), np.float32)
        labels = np.clip(values[..., 5].astype(np.intp), 0, classes - 1)
        np.put_along_axis(scores, labels[..., None], values[..., 4:5], axis=-1)
        return np.concatenate([boxes, values[..., 4:5], scores], axis=-1)

    return read


def best_class_only(rows: Rows) -> Rows:
    """Rows [boxes, 5 + classes] with every score but each box's best set to 0, as YOLOv5 and YOLOv8 predict."""
    kept = rows.copy()
    scores = kept[:, _BOX:]
    best = scores.argmax(axis=1)[:, None]
    values = np.take_along_axis(scores, best, axis=1)
    scores[:] = 0
    np.put_along_axis(scores, best, values, axis=1)
    return kept


def _plain(classes: int) -> HeadRules:
    return HeadRules("alexey", classes, letterbox=True)


def _is_suppressed(model: Opened) -> bool:
    """Whether Ultralytics' metadata say that its outputs are suppressed."""
    told = model.metadata
    return told.get("end2end", "").lower() == "true" or "'nms': True" in told.get("args", "")


# ---------------------------------------------------------------------- the classes' names


def names_in(model: Opened) -> tuple[str, ...] | None:
    """Those in the metadata: a JSON list of ours, or Python's text of a dict or list, as Ultralytics writes it."""
    text = model.metadata.get("names")
    if text is None:
        return None
    held = _read(text)
    if isinstance(held, Mapping) and all(isinstance(key, int) or str(key).isdigit() for key in held):
        held = [held[key] for key in sorted(held, key=int)]
    if not isinstance(held, list) or not all(isinstance(name, str | int | float) for name in held):
        raise UnusableInputError(f"'{model.source}': its metadata names is no list of names")
    return tuple(str(name) for name in held)


def _read(text: str) -> object:
    held: object = read_json(text, longest=_LARGEST_NAMES)
    if held is None and len(text) <= _LARGEST_LITERAL:
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            held = ast.literal_eval(text)
    return held
