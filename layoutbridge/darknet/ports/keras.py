"""A Darknet network in Keras 3: as a functional model, and as a .keras file, an older .h5 or a SavedModel.

The model takes [N, H, W, C] of RGB in 0..1 (or [N, K] where the network takes a vector), or [N, C, H, W] with
`data_format="channels_first"`, and gives pictures likewise. Its layers are Keras' own where Keras has them, and bear
Darknet's numbers and names, as in `27_reorg`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layoutbridge.darknet.meaning import Arrays, Context, Memory, Variant, check_kinds, write_layers
from layoutbridge.darknet.ports.outputs import INPUT, Output, check_head, check_steps, head_outputs, layer_output
from layoutbridge.darknet.ports.port import (
    Export,
    Port,
    Runner,
    States,
    first_step,
    next_state,
    over_steps,
    state_name,
)
from layoutbridge.darknet.ports.provenance import about, add_about
from layoutbridge.darknet.ports.readers import ultralytics
from layoutbridge.darknet.ports.records.winograd import WinogradUse, tiles_by_name, use_of
from layoutbridge.darknet.structure.heads import Region
from layoutbridge.darknet.structure.kinds import Convolutional
from layoutbridge.darknet.structure.model import Layer, Network, Shape, is_statistic
from layoutbridge.darknet.structure.settings import Settings
from layoutbridge.errors import ParameterError
from layoutbridge.files import whole_file
from layoutbridge.frameworks.base import ABOUT, check_count
from layoutbridge.frameworks.primitives import LazyArray
from layoutbridge.frameworks.tensorflow.data_formats import check_data_format
from layoutbridge.frameworks.tensorflow.files import KERAS, export_saved_model
from layoutbridge.frameworks.tensorflow.hdf5.designs import HDF5
from layoutbridge.frameworks.tensorflow.hdf5.files import save_hdf5
from layoutbridge.frameworks.tensorflow.start_up import load_keras, require_h5py
from layoutbridge.frameworks.winograd import Tile

if TYPE_CHECKING:
    import keras

    from layoutbridge.frameworks.tensorflow.target import KerasTarget
    from layoutbridge.frameworks.tensorflow.values import KerasValue


@dataclass(frozen=True, slots=True)
class Transposed:
    """A layer of a Keras model that moves elements, and why it must."""

    layer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KerasExport(Export):
    """What was written, the outputs' shapes as the model has them, and its transposes."""

    transposes: tuple[Transposed, ...]

    @property
    def leading(self) -> tuple[int | None, ...]:
        """The lengths in front of an output's shape: the batch, and the steps, where there are some."""
        return (self.batch,) if self.steps is None else (self.batch, self.steps)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Where the model moves elements, and why."""
        told = tuple(f"transposed at {remaining.layer}: {remaining.reason}" for remaining in self.transposes)
        return told or ("no transpose in it, from the input to the outputs",)


@dataclass(frozen=True, slots=True)
class KerasOutput:
    """An output of the model: Darknet's shape of it, and whether its tensor is [N, H, W, C] of that [C, H, W]."""

    name: str
    shape: Shape
    turned: bool


@dataclass(frozen=True, slots=True)
class KerasNetwork:
    """A network as a model, and its outputs in order, those of recurrent layers' next states last.

    `states` are the names of the states, inputs in this order behind the first; `steps` those of whole sequences;
    `winograd` what is in that form, where it was asked for.
    """

    model: keras.Model
    outputs: tuple[KerasOutput, ...]
    states: tuple[str, ...] = ()
    steps: int | None = None
    winograd: WinogradUse | None = None

    @property
    def shapes(self) -> dict[str, Shape]:
        """The outputs' names with the shapes of one picture as the model has them; without the next states."""
        tensors = self.model.outputs
        leading = 1 if self.steps is None else 2
        told = {
            output.name: tuple(tensor.shape[leading:]) for output, tensor in zip(self.outputs, tensors, strict=True)
        }
        return {name: shape for name, shape in told.items() if name not in map(next_state, self.states)}

    @property
    def state_shapes(self) -> dict[str, Shape]:
        """The states' names with the shapes of one picture as the model has them."""
        return {name: tuple(x.shape[1:]) for name, x in zip(self.states, self.model.inputs[1:], strict=True)}


def to_model(
    network: Network,
    parameters: Arrays,
    *,
    data_format: str = "channels_last",
    head: str = "darknet",
    every_layer: bool = False,
    steps: int | None = None,
) -> keras.Model:
    """`network` with copies of its weights as a functional Keras model; one output is a tensor, several a list.

    `head` is one of `heads.HEADS`; with `every_layer` all layers' outputs follow, in order, each once. Weights,
    biases and batch norm's scales and shifts can be trained; its means and variances stay as they are, in training
    too. Pictures are [N, H, W, C], or [N, C, H, W] with "channels_first"; what is no picture is [N, ...] in Darknet's
    order. What the main fork's [region] gives lies channels last in Darknet already: with "channels_last" it is
    [N, H, W, C] without any move. Of a recurrent network the model is one step: its states before it, as
    `state_0_lstm_cell`, follow the first input, those behind it, as `state_0_lstm_cell_next`, the outputs; pictures lie
    as all others. With `steps` T it takes whole sequences [N, T, ...] instead, from states of zeros, and gives
    [N, T, ...].

    Raises `UnsupportedError` for a layer that cannot be expressed, with the cfg's line, `UnknownNameError` for a head,
    `ParameterError` for a data format or steps, and `MissingFrameworkError`.
    """
    check_head(head)
    return build_model(
        network, parameters, data_format=data_format, head=head, every_layer=every_layer, steps=steps
    ).model


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
    if network.states:
        run = partial(run_keras_sequence, data_format=data_format)
        return first_step(run, network, parameters, x, every_layer)
    layers = range(len(network.layers)) if every_layer else [len(network.layers) - 1]
    built = build_model(network, parameters, data_format=data_format, layers=layers)
    results = built.model(as_taken(x, data_format), training=False)
    tensors = results if isinstance(results, list) else [results]
    return [as_darknets(tensor.numpy(), output) for tensor, output in zip(tensors, built.outputs, strict=True)]


def run_keras_sequence(
    network: Network,
    parameters: Arrays,
    x: NDArray[Any],
    every_layer: bool = False,
    data_format: str = "channels_last",
) -> list[NDArray[np.float32]]:
    """The outputs [T, N, ...] of a recurrent network for x [T, N, ...] in Keras, step after step from zeros.

    The rest is as for `run_keras`.
    """
    layers = range(len(network.layers)) if every_layer else [len(network.layers) - 1]
    built = build_model(network, parameters, data_format=data_format, layers=layers)

    def run(inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
        return [tensor.numpy() for tensor in built.model(inputs, training=False)]

    return over_steps(network, x, partial(model_step, built, data_format, run))


def model_step(
    built: KerasNetwork,
    data_format: str,
    run: Callable[[list[NDArray[Any]]], list[NDArray[Any]]],
    x: NDArray[Any],
    before: States,
) -> tuple[list[NDArray[Any]], States]:
    """One step of a model of one step that `run` runs: from its inputs to its outputs, both in the model's order."""
    results = run([as_taken(given, data_format) for given in (x, *(before[name] for name in built.states))])
    made = {o.name: as_darknets(result, o) for o, result in zip(built.outputs, results, strict=True)}
    after = {name: made.pop(next_state(name)) for name in built.states}
    return list(made.values()), after


def write_keras(
    network: Network,
    parameters: Arrays,
    path: str | os.PathLike[str],
    *,
    data_format: str = "channels_last",
    head: str = "darknet",
    batch: int | None = None,
    every_layer: bool = False,
    steps: int | None = None,
    names: Sequence[str] | None = None,
) -> KerasExport:
    """Write `network` to `path`, whole or not at all: a .keras file, an older .h5, or without an ending a SavedModel.

    Model and options are those of `to_model`; `batch` None leaves it open, `names` are the classes'. The outputs of a
    SavedModel's signature are called by the layers' names. Where it comes from and how its outputs are read stands in
    `layoutbridge.json` within either.

    Raises as `to_model` does, `UnsupportedError` for what no .h5 can hold, `ParameterError` for another ending or an
    unusable batch, and `UnusableInputError` where the file cannot be written.
    """
    target = Path(path)
    if target.suffix not in ("", KERAS, *HDF5):
        raise ParameterError(
            f"'{target}' must end in {KERAS} or {HDF5[0]}, or be a SavedModel folder, whose name has no ending"
        )
    check_head(head)
    told = about(network, head, names, input_layout="NHWC" if data_format == "channels_last" else "NCHW", batch=batch)
    if target.suffix:
        load_keras()
        require_h5py()
    built = build_model(
        network,
        parameters,
        data_format=data_format,
        head=head,
        every_layer=every_layer,
        batch=batch,
        steps=steps,
    )
    outputs = [output.name for output in built.outputs]
    with whole_file(path) as temporary:
        if target.suffix in HDF5:
            save_hdf5(built.model, temporary, json.dumps(told | {"outputs": json.dumps(outputs)}, ensure_ascii=False))
        elif target.suffix:
            built.model.save(temporary)
            add_about(temporary, told | {"outputs": json.dumps(outputs)})
        else:
            export_saved_model(built.model, temporary, outputs)
            (Path(temporary) / ABOUT).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
            (Path(temporary) / ultralytics.YAML).write_text(ultralytics.as_yaml(told), encoding="utf-8")
    return KerasExport(
        path=target,
        outputs=built.shapes,
        batch=batch,
        states=built.state_shapes,
        steps=steps,
        transposes=transposes(built.model),
    )


def transposes(model: keras.Model) -> tuple[Transposed, ...]:
    """The layers of a model of `to_model` that transpose their input, in order, and why; also of a loaded one."""
    load_keras()
    from layoutbridge.frameworks.tensorflow.values import why_moved

    found = ((layer.name, why_moved(layer)) for layer in model.layers)
    return tuple(Transposed(name, reason) for name, reason in found if reason is not None)


# ---------------------------------------------------------------------- the model


def build_model(
    network: Network,
    parameters: Arrays,
    *,
    data_format: str = "channels_last",
    head: str | None = None,
    every_layer: bool = False,
    layers: Sequence[int] = (),
    batch: int | None = None,
    keep_batch_norm: bool = True,
    steps: int | None = None,
    in_shares: bool = False,
    longest_sum: int | None = None,
    winograd: bool | Mapping[int, Tile] = False,
) -> KerasNetwork:
    """The model of a `head`'s outputs, or without one of these `layers`' own; boxes of any head `in_shares`.

    `longest_sum` and `winograd`, by the layers' numbers, are those of `KerasTarget`.
    """
    check_data_format(data_format)
    check_count("the batch", batch, may_be_open=True)
    check_steps(network, steps)
    check_kinds(network)
    keras = load_keras()
    from layoutbridge.frameworks.tensorflow.target import KerasTarget

    tiles = tiles_by_name(network, winograd)
    target = KerasTarget(network.in_shape, data_format, batch, steps, longest_sum=longest_sum, winograd=tiles)
    memory: Memory[KerasValue] = Memory(1 if steps is None else steps)
    carried = network.states if steps is None else ()
    memory.before = {
        (layer.index, state.name): target.state(state_name(layer, state), state.shape) for layer, state in carried
    }
    values = write_layers(
        target,
        network,
        parameters,
        target.input,
        variant=Variant(keep_batch_norm=keep_batch_norm),
        context=_TrainedContext if keep_batch_norm else Context,
        memory=memory,
    )

    used = use_of(network, tiles, target.in_winograd, stored=True) if tiles else None

    def of_layer(index: int) -> Output[KerasValue]:
        return layer_output(network, target.input, values, index)

    if head is None:
        chosen = [of_layer(index) for index in layers]
    else:
        chosen = head_outputs(target, network, target.input, values, head, in_shares=in_shares)
    if every_layer:
        chosen = [*(o for o in chosen if o.layer in (None, INPUT)), *map(of_layer, range(len(network.layers)))]
    made: dict[str, tuple[Any, KerasOutput]] = {}
    for output in chosen:
        with target.scope(output.name):
            made[output.name] = _output(target, network, output, data_format)
    for layer, state in carried:
        name, value = next_state(state_name(layer, state)), memory.after[layer.index, state.name]
        turned = len(state.shape) == 3 and data_format == "channels_last"
        with target.scope(name):
            lying = target.output(value, as_picture=turned)
            # Keras calls outputs by their layers
            named = target.apply(keras.layers.Identity(name=target.name()), lying)
            made[name] = named, KerasOutput(name, state.shape, turned)
    target.name_last_layers()
    tensors, outputs = zip(*made.values(), strict=True)
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(network.source).stem) or "darknet"
    given = [value.tensor for value in (target.given, *target.states)]
    model = keras.Model(
        given if target.states else given[0], tensors[0] if len(tensors) == 1 else list(tensors), name=name
    )
    states = tuple(state_name(layer, state) for layer, state in carried)
    return KerasNetwork(model, outputs, states, steps, used)


def _output(
    target: KerasTarget, network: Network, output: Output[KerasValue], data_format: str
) -> tuple[Any, KerasOutput]:
    tensor, made = _lying(target, network, output, data_format)
    return (tensor if target.steps is None else target.as_steps(tensor, target.steps)), made


def _lying(
    target: KerasTarget, network: Network, output: Output[KerasValue], data_format: str
) -> tuple[Any, KerasOutput]:
    """The tensor of an output as a batch, in the model's order."""
    name, value, shape = output.name, output.value, output.value.shape
    if output.layer is None or data_format == "channels_first" or len(shape) != 3:
        return target.output(value, as_picture=False), KerasOutput(name, shape, False)
    settings = None if output.layer == INPUT else network.layers[output.layer].settings
    if isinstance(settings, Region) and settings.channels_last:  # Darknet's own order is that of [H, W, C]
        lying = target.reshape(value, (*shape[1:], shape[0]))
        return target.output(lying, as_picture=False), KerasOutput(name, shape, False)
    return target.output(value, as_picture=True), KerasOutput(name, shape, True)


class _TrainedContext(Context["KerasValue"]):
    """A layer whose parameters the model holds: what is computed from them is recorded, not done once."""

    __slots__ = ()

    def array(self, name: str) -> Any:
        """The parameter `name`, to be computed with as with an array; statistics are not trained, and are one."""
        from layoutbridge.frameworks.tensorflow.derived import Derived

        values = self.arrays[self.layer.index, self.layer.key(name)]
        if is_statistic(name):
            return values
        target: Any = self.target
        return Derived(target.parameter(self.lazy(name), repeated=False), values)

    def lazy(self, name: str) -> LazyArray:
        """The parameter `name` as the model will hold it."""
        from layoutbridge.frameworks.tensorflow.values import Held

        plain = Context.lazy(self, name)
        if is_statistic(name):
            return plain
        held = Held(plain.name, plain.shape, plain.rows)
        if not _shared_unlike(self.network, self.layer):
            return held
        target: Any = self.target
        return replace(held, tensor=target.parameter(held, repeated=False))

    def constant(self, name: str, values: ArrayLike) -> LazyArray:
        """A constant of the layer's own, or what was computed from a parameter."""
        from layoutbridge.frameworks.tensorflow.derived import Derived

        return values.held(name) if isinstance(values, Derived) else Context.constant(self, name, values)


def _shared_unlike(network: Network, layer: Layer) -> bool:
    """Whether a layer's parameters are used by another one in another way: Keras shares whole layers alone."""
    owner = next((p.shared_with for p in layer.parameters if p.shared_with is not None), layer.index)
    users = [other for other in network.layers if any(p.shared_with == owner for p in other.parameters)]
    return any(_use(other) != _use(network.layers[owner]) for other in users)


def _use(layer: Layer) -> tuple[Shape, Settings]:
    """What a layer does with its parameters, without what comes behind."""
    settings = layer.settings
    assert isinstance(settings, Convolutional)
    return layer.in_shape, replace(settings, activation="linear", antialiasing=None, shared_with=None)


def as_taken(x: NDArray[Any], data_format: str) -> NDArray[np.float32]:
    """x [N, C, H, W] as the model takes it."""
    turned = np.ndim(x) == 4 and data_format == "channels_last"
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1) if turned else x, np.float32)


def as_darknets(result: NDArray[np.float32], output: KerasOutput) -> NDArray[np.float32]:
    """A result of the model in Darknet's order and shape."""
    if output.turned:
        return np.ascontiguousarray(result.transpose(0, 3, 1, 2))
    return result.reshape(len(result), *output.shape)


# ---------------------------------------------------------------------- the record

PORT = Port("keras", "Keras", (KERAS, "", *HDF5), write_keras, Runner(run_keras, run_keras_sequence, "keras"))
