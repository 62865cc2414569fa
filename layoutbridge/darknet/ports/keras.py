"""A Darknet network in Keras 3: as a functional model, and as .keras file, SavedModel or .tflite file.

The model takes [N, H, W, C] of RGB in 0..1 (or [N, K] where the network takes a vector), or [N, C, H, W] with
`data_format="channels_first"`, and gives pictures likewise. Its layers are Keras' own where Keras has them, and bear
Darknet's numbers and names, as in `27_reorg`.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layoutbridge.darknet.meaning import Arrays, Context, Options, check_kinds, write_layers
from layoutbridge.darknet.meaning.boxes import HEAD_LAYOUTS, append_head
from layoutbridge.darknet.ports.outputs import INPUT, check_head, output_layers, output_name
from layoutbridge.darknet.structure.model import STATISTICS, Network, Shape
from layoutbridge.errors import ParameterError, ShapeError, UnsupportedError, UnusableInputError, first_line
from layoutbridge.files import whole_file
from layoutbridge.frameworks.base import check_count, require
from layoutbridge.frameworks.primitives import LazyArray
from layoutbridge.frameworks.tensorflow.data_formats import check_data_format
from layoutbridge.frameworks.tensorflow.files import KERAS, export_saved_model
from layoutbridge.frameworks.tensorflow.start_up import load_keras, quiet_stderr, require_h5py

if TYPE_CHECKING:
    import keras

    from layoutbridge.frameworks.tensorflow.target import KerasTarget
    from layoutbridge.frameworks.tensorflow.values import KerasValue

TFLITE = ".tflite"


@dataclass(frozen=True, slots=True)
class Transposed:
    """A layer of a Keras model that moves elements, and why it must."""

    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class KerasExport:
    """What was written, the outputs in order with the shapes of one picture as the model has them, its transposes."""

    path: Path
    outputs: Mapping[str, Shape]
    transposes: tuple[Transposed, ...]


@dataclass(frozen=True, slots=True)
class _Output:
    """An output of the model: Darknet's shape of it, and whether its tensor is [N, H, W, C] of that [C, H, W]."""

    name: str
    shape: Shape
    turned: bool


@dataclass(frozen=True, slots=True)
class _Built:
    model: keras.Model
    outputs: tuple[_Output, ...]


def to_model(
    network: Network,
    parameters: Arrays,
    *,
    data_format: str = "channels_last",
    head: str = "darknet",
    every_layer: bool = False,
) -> keras.Model:
    """`network` with copies of its weights as a functional Keras model; one output is a tensor, several a list.

    `head` is one of `outputs.HEADS`; with `every_layer` all layers' outputs follow, in order, each once. Weights,
    biases and batch norm's scales and shifts can be trained; its means and variances stay as they are, in training
    too. Pictures are [N, H, W, C], or [N, C, H, W] with "channels_first"; what is no picture is [N, ...] in Darknet's
    order. What the main fork's [region] gives lies channels last in Darknet already: with "channels_last" it is
    [N, H, W, C] without any move.

    Raises `UnsupportedError` for a layer that cannot be expressed, with the cfg's line, `UnknownNameError` for a head,
    `ParameterError` for a data format, and `MissingFrameworkError`.
    """
    check_head(head)
    return _build(network, parameters, data_format=data_format, head=head, every_layer=every_layer).model


def run_keras(
    network: Network,
    parameters: Arrays,
    x: NDArray[Any],
    every_layer: bool = False,
    data_format: str = "channels_last",
) -> list[NDArray[np.float32]]:
    """The outputs of all layers for x [N, C, H, W] (or [N, K]) in Keras; of the last layer alone by default.

    Arrays are float32 [N, C, H, W], or [N, K] where Darknet's layer is flat. Raises as `to_model` does.
    """
    layers = range(len(network.layers)) if every_layer else [len(network.layers) - 1]
    built = _build(network, parameters, data_format=data_format, layers=layers)
    results = built.model(_as_taken(x, data_format), training=False)
    tensors = results if isinstance(results, list) else [results]
    return [_as_darknets(tensor.numpy(), output) for tensor, output in zip(tensors, built.outputs, strict=True)]


def write_keras(
    network: Network,
    parameters: Arrays,
    path: str | os.PathLike[str],
    *,
    data_format: str = "channels_last",
    head: str = "darknet",
    batch: int | None = None,
    every_layer: bool = False,
    half: bool = False,
) -> KerasExport:
    """Write `network` to `path`, whole or not at all: a .keras file, a .tflite file, or without an ending a SavedModel.

    Model and options are those of `to_model`. `batch` None leaves it open, but for .tflite, where it is 1. Batch norm
    is folded into the weights of a .tflite, in float64; `half` stores them in float16 there, as TensorFlow's converter
    does it. It needs none but LiteRT's own operations. The outputs of its signature, and of a SavedModel's, are called
    by the layers' names.

    Raises as `to_model` does, `ParameterError` for another ending or an unusable batch, `UnsupportedError` where LiteRT
    lacks an operation, and `UnusableInputError` where the file cannot be written.
    """
    target = Path(path)
    if target.suffix not in ("", KERAS, TFLITE):
        raise ParameterError(
            f"'{target}' must end in {KERAS} or {TFLITE}, or be a SavedModel folder, whose name has no ending"
        )
    check_head(head)
    lite = target.suffix == TFLITE
    if half and not lite:
        raise ParameterError(f"half is for .tflite files, and '{target}' is none")
    if lite and batch is None:
        batch = 1
    if target.suffix == KERAS:
        load_keras()
        require_h5py()
    built = _build(
        network,
        parameters,
        data_format=data_format,
        head=head,
        every_layer=every_layer,
        batch=batch,
        keep_batch_norm=not lite,
    )
    with whole_file(path) as temporary:
        if lite:
            temporary.write_bytes(_converted(built, half))
        elif target.suffix:
            built.model.save(temporary)
        else:
            export_saved_model(built.model, temporary, [output.name for output in built.outputs])
    shapes = {
        output.name: tuple(tensor.shape[1:]) for output, tensor in zip(built.outputs, built.model.outputs, strict=True)
    }
    return KerasExport(target, shapes, transposes(built.model))


def run_litert(
    network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool = False, *, half: bool = False
) -> list[NDArray[np.float32]]:
    """What `run_keras` returns, computed by LiteRT from the .tflite file, picture after picture.

    Raises as `write_keras` and `run_tflite` do.
    """
    layers = range(len(network.layers)) if every_layer else [len(network.layers) - 1]
    _require_litert()
    built = _build(network, parameters, layers=layers, batch=1, keep_batch_norm=False)
    with tempfile.TemporaryDirectory(prefix="layoutbridge-") as folder:
        path = Path(folder) / "net.tflite"
        path.write_bytes(_converted(built, half))
        results = run_tflite(path, x)
    return [_as_darknets(results[output.name], output) for output in built.outputs]


def run_tflite(
    path: str | os.PathLike[str], x: NDArray[Any], threads: int = 2, data_format: str = "channels_last"
) -> dict[str, NDArray[np.float32]]:
    """The outputs by name of a .tflite file of `write_keras` for x [N, C, H, W] (or [N, K]), as the file gives them.

    `data_format` is that of the file, which runs as often as its own batch goes into N. Raises `ShapeError` for an
    `x` that does not fit, `ParameterError` for an unusable number of threads, `UnusableInputError` where LiteRT does
    not load or run the file, and `MissingFrameworkError` without LiteRT.
    """
    interpreter_of = _require_litert()
    check_count("threads", threads)
    given = _as_taken(x, data_format)
    with quiet_stderr():
        try:
            interpreter = interpreter_of(model_path=os.fspath(path), num_threads=threads)
            interpreter.allocate_tensors()
            runner = interpreter.get_signature_runner()
        except (ValueError, RuntimeError, OSError) as error:
            raise UnusableInputError(f"LiteRT cannot load '{os.fspath(path)}': {first_line(error)}") from None
    ((name, taken),) = runner.get_input_details().items()
    batch, *rest = (int(length) for length in taken["shape"])
    if list(given.shape[1:]) != rest or len(given) < 1 or len(given) % batch:
        raise ShapeError(f"the file takes [{batch}, {', '.join(map(str, rest))}], not {list(given.shape)}")
    try:
        made = [runner(**{name: given[k : k + batch]}) for k in range(0, len(given), batch)]
    except (ValueError, RuntimeError) as error:
        raise UnusableInputError(f"LiteRT cannot run '{os.fspath(path)}': {first_line(error)}") from None
    names = sorted(made[0], key=lambda output: (int(output.split("_")[0]) if output[0].isdigit() else -1, output))
    return {output: np.concatenate([part[output] for part in made]) for output in names}


def transposes(model: keras.Model) -> tuple[Transposed, ...]:
    """The layers of a model of `to_model` that transpose their input, in order, and why; also of a loaded one."""
    load_keras()
    from layoutbridge.frameworks.tensorflow.values import why_moved

    found = ((layer.name, why_moved(layer)) for layer in model.layers)
    return tuple(Transposed(name, reason) for name, reason in found if reason is not None)


# ---------------------------------------------------------------------- the model


def _build(
    network: Network,
    parameters: Arrays,
    *,
    data_format: str = "channels_last",
    head: str | None = None,
    every_layer: bool = False,
    layers: Sequence[int] = (),
    batch: int | None = None,
    keep_batch_norm: bool = True,
) -> _Built:
    """The model of a `head`'s outputs, or without one of these `layers`' own."""
    check_data_format(data_format)
    check_count("the batch", batch, may_be_open=True)
    check_kinds(network.layers, network.source)
    keras = load_keras()
    from layoutbridge.frameworks.tensorflow.target import KerasTarget

    target = KerasTarget(network.in_shape, data_format, batch)
    values = write_layers(
        target,
        network,
        parameters,
        target.input,
        options=Options(keep_batch_norm=keep_batch_norm),
        context=_TrainedContext if keep_batch_norm else Context,
    )
    made: dict[str, tuple[Any, _Output]] = {}
    if head in HEAD_LAYOUTS:
        boxes, _ = append_head(target, network, values, head)
        with target.scope(head):
            made[head] = target.output(boxes, as_picture=False), _Output(head, boxes.shape, False)
        layers = ()
    elif head is not None:
        layers = output_layers(network, head)
    if every_layer:
        layers = [*(index for index in layers if index == INPUT), *range(len(network.layers))]
    for index in layers:
        name = output_name(network, index)
        with target.scope(name):
            made[name] = _output(target, network, index, values, data_format)
    target.name_last_layers()
    tensors, outputs = zip(*made.values(), strict=True)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(network.source).stem) or "darknet"
    model = keras.Model(target.input.tensor, tensors[0] if len(tensors) == 1 else list(tensors), name=name)
    return _Built(model, outputs)


def _output(
    target: KerasTarget, network: Network, index: int, values: Sequence[KerasValue], data_format: str
) -> tuple[Any, _Output]:
    value = target.input if index == INPUT else values[index]
    name, shape = output_name(network, index), value.shape
    if data_format == "channels_first" or len(shape) != 3:
        return target.output(value, as_picture=False), _Output(name, shape, False)
    layer = network.layers[index]
    if layer.kind == "region" and layer.settings["channels_last"]:  # Darknet's own order is that of [H, W, C]
        lying = target.reshape(value, (*shape[1:], shape[0]))
        return target.output(lying, as_picture=False), _Output(name, shape, False)
    return target.output(value, as_picture=True), _Output(name, shape, True)


class _TrainedContext(Context["KerasValue"]):
    """A layer whose parameters the model holds: what is computed from them is recorded, not done once."""

    __slots__ = ()

    def array(self, name: str) -> Any:
        """The parameter `name`, to be computed with as with an array; statistics are not trained, and are one."""
        from layoutbridge.frameworks.tensorflow.derived import Derived

        values = self.arrays[self.layer.index, name]
        if name in STATISTICS:
            return values
        target: Any = self.target
        return Derived(target.parameter(self.lazy(name), repeated=False), values)

    def lazy(self, name: str) -> LazyArray:
        """The parameter `name` as the model will hold it."""
        from layoutbridge.frameworks.tensorflow.values import Held

        plain = Context.lazy(self, name)
        return plain if name in STATISTICS else Held(plain.name, plain.shape, plain.rows)

    def constant(self, name: str, values: ArrayLike) -> LazyArray:
        """A constant of the layer's own, or what was computed from a parameter."""
        from layoutbridge.frameworks.tensorflow.derived import Derived

        return values.held(name) if isinstance(values, Derived) else Context.constant(self, name, values)


def _as_taken(x: NDArray[Any], data_format: str) -> NDArray[np.float32]:
    """x [N, C, H, W] as the model takes it."""
    turned = np.ndim(x) == 4 and data_format == "channels_last"
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1) if turned else x, np.float32)


def _as_darknets(result: NDArray[np.float32], output: _Output) -> NDArray[np.float32]:
    """A result of the model in Darknet's order and shape."""
    if output.turned:
        return np.ascontiguousarray(result.transpose(0, 3, 1, 2))
    return result.reshape(len(result), *output.shape)


# ---------------------------------------------------------------------- LiteRT


def _converted(built: _Built, half: bool) -> bytes:
    """The model as a .tflite file."""
    import tensorflow as tf

    model = built.model
    holder = tf.Module()  # tells the converter which variables to turn into constants
    holder.variables_held = [variable.value for variable in model.variables]

    def run(x: Any) -> dict[str, Any]:
        results = model(x, training=False)
        tensors = results if isinstance(results, list) else [results]
        return {output.name: tensor for output, tensor in zip(built.outputs, tensors, strict=True)}

    taken = tf.TensorSpec(model.inputs[0].shape, tf.float32, name="input")
    with quiet_stderr():
        function = tf.function(run, autograph=False).get_concrete_function(taken)
        converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        try:
            return bytes(converter.convert())
        except Exception as error:  # the converter's own class is not public
            raise UnsupportedError(_why_not_converted(str(error), built)) from None


def _why_not_converted(text: str, built: _Built) -> str:
    """One line of the many that LiteRT's converter writes, without its places in programs."""
    batch = built.model.inputs[0].shape[0]
    advice = "; batch 1 may work" if batch > 1 else ""
    lacking = dict.fromkeys(re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", text))
    if lacking:
        return (
            f"LiteRT has no operation for TensorFlow's {' and '.join(lacking)} as {built.model.name} needs it{advice}"
        )
    said = text.strip().split("\n")[0].split("error: ")[-1]
    said = re.sub(r"\S*[/\\]\S*(:\d+)+:?\s*", "", said)[:300]
    return f"LiteRT's converter cannot take {built.model.name}: {said or 'it does not say why'}{advice}"


def _require_litert() -> Any:
    with quiet_stderr():
        return require("ai_edge_litert.interpreter", "LiteRT", "litert").Interpreter
