"""The layers with a state: rnn, gru, lstm, crnn, conv_lstm, history.

Definition: rnn_layer.c, gru_layer.c, lstm_layer.c, crnn_layer.c and conv_lstm_layer.c of both forks; the order of their
parts' parameters: parser.c (load_weights_upto).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import NamedTuple

from layoutbridge.darknet.reading.options import Options
from layoutbridge.darknet.reading.parametric import normalization_parameters, stored_parameter
from layoutbridge.darknet.reading.place import Place, describe, reads
from layoutbridge.darknet.structure.kinds import Connected, Convolutional
from layoutbridge.darknet.structure.model import Layer, Parameter, Shape, State
from layoutbridge.darknet.structure.recurrent import ConvLstm, Crnn, Gru, History, Lstm, Rnn
from layoutbridge.darknet.structure.settings import Settings

_CONSTRAINT = 32  # of a cell, for each step of a pass: Darknet's default, and a pass has one step outside training


@reads(Rnn)
def rnn(place: Place) -> Layer:
    """[rnn]: the parts input, self and output; the original has no `hidden` and takes `output` for it."""
    options = place.options
    inputs, output = prod(place.in_shape), options.integer("output", 1, least=1)
    hidden = output if place.original else options.integer("hidden", 1, least=1)
    settings = _simple(Rnn, options, hidden, output)
    activation, normalized = settings.activation, settings.batch_normalize
    logistic = 0 if place.original else options.integer("logistic", 0)
    own = {1: "logistic", 2: "loggy"}.get(logistic, activation)
    parts = (
        _connected(place, "input", inputs, hidden, activation, normalized),
        _connected(place, "self", hidden, hidden, own, normalized),
        _connected(place, "output", hidden, output, activation, normalized),
    )
    return _recurrent(place, _vector(place, output), settings, parts, (State("hidden", (hidden,)),))


@reads(Gru)
def gru(place: Place) -> Layer:
    """[gru]: uz, ur, uh of the input and wz, wr, wh of the state, which stand first in the original's files."""
    options = place.options
    inputs, output = prod(place.in_shape), options.integer("output", 1, least=1)
    normalized = options.flag("batch_normalize")
    of_input = tuple(_connected(place, f"u{gate}", inputs, output, "linear", normalized) for gate in "zrh")
    of_state = tuple(_connected(place, f"w{gate}", output, output, "linear", normalized) for gate in "zrh")
    tanh = place.original and options.flag("tanh")
    settings = Gru(output=output, batch_normalize=normalized, candidate_activation="tanh" if tanh else "logistic")
    parts = (*of_state, *of_input) if place.original else (*of_input, *of_state)
    return _recurrent(place, (output,), settings, parts, (State("hidden", (output,)),))


@reads(Lstm)
def lstm(place: Place) -> Layer:
    """[lstm]: w of the state and u of the input for each gate, in an order of gates of each fork's own."""
    options = place.options
    inputs, output = prod(place.in_shape), options.integer("output", 1, least=1)
    normalized = options.flag("batch_normalize")
    gates = "ifog" if place.original else "figo"
    parts = (
        *(_connected(place, f"w{gate}", output, output, "linear", normalized) for gate in gates),
        *(_connected(place, f"u{gate}", inputs, output, "linear", normalized) for gate in gates),
    )
    settings = Lstm(output=output, batch_normalize=normalized)
    states = (State("hidden", (output,)), State("cell", (output,)))
    return _recurrent(place, _vector(place, output), settings, parts, states)


@reads(Crnn)
def crnn(place: Place) -> Layer:
    """[crnn]: the parts input, self and output; the original takes the height for the width, and the other way."""
    options = place.options
    channels, height, width = place.image()
    suffix = "_filters" if place.original else ""
    output, hidden = (options.integer(f"{name}{suffix}", 1, least=1) for name in ("output", "hidden"))
    settings = _simple(Crnn, options, hidden, output)
    window = _Window(3, 1, 1, 1) if place.original else _window(place)
    if place.original:
        height, width = width, height
    convolution = _filters(hidden, window, settings.batch_normalize, settings.activation)
    parts = (
        _convolutional(place, "input", (channels, height, width), convolution),
        _convolutional(place, "self", (hidden, height, width), convolution),
        _convolutional(place, "output", (hidden, height, width), replace(convolution, filters=output)),
    )
    return _recurrent(place, (output, height, width), settings, parts, (State("hidden", (hidden, height, width)),))


@reads(ConvLstm)
def conv_lstm(place: Place) -> Layer:
    """[conv_lstm]: v of the cell with `peephole`, w of the state and u of the input for each gate."""
    options = place.options
    channels, height, width = place.image()
    output = options.integer("output", 1, least=1)
    activation = options.activation("linear")
    normalized, peephole = options.flag("batch_normalize"), options.flag("peephole")
    window = _window(place)
    if options.flag("bottleneck"):
        raise place.error("bottleneck=1 cannot be run: Darknet itself stops at it (an assertion)", "bottleneck")
    convolution = _filters(output, window, normalized, activation)
    shape = (output, height, width)
    of_state = (*(f"v{gate}" for gate in "fio" if peephole), *(f"w{gate}" for gate in "figo"))
    parts = (
        *(_convolutional(place, name, shape, convolution) for name in of_state),
        *(_convolutional(place, f"u{gate}", (channels, height, width), convolution) for gate in "figo"),
    )
    state_activation = options.activation("tanh", key="lstm_activation")
    if state_activation != "tanh":
        options.warn(
            f"Darknet computes lstm_activation={state_activation} on GPUs alone, and tanh on CPUs", "lstm_activation"
        )
    settings = ConvLstm(
        output=output,
        size=window.size,
        groups=window.groups,
        batch_normalize=normalized,
        activation=activation,
        peephole=peephole,
        state_activation=state_activation,
        state_constrain=options.integer("state_constrain", _CONSTRAINT),
    )
    return _recurrent(place, shape, settings, parts, (State("hidden", shape), State("cell", shape)))


@reads(History)
def history(place: Place) -> Layer:
    """[history]: room for `history_size` steps, of which a pass of one step fills the first."""
    channels, height, width = place.image()
    size = place.options.integer("history_size", 4, least=1)
    place.options.warn(
        "keeps nothing from call to call, as in Darknet: earlier steps are zeros unless they are in the same pass"
    )
    return place.layer((channels * size, height, width), History(steps=size))


# ---------------------------------------------------------------------- parts


def _simple(kind: type[Rnn], options: Options, hidden: int, output: int) -> Rnn:
    """What the settings of [rnn] and [crnn] have in common, which is all of them."""
    return kind(
        hidden=hidden,
        output=output,
        shortcut=options.flag("shortcut"),
        batch_normalize=options.flag("batch_normalize"),
        activation=options.activation("logistic"),
    )


def _recurrent(
    place: Place, out_shape: Shape, settings: Settings, parts: Sequence[Layer], states: tuple[State, ...]
) -> Layer:
    """The finished layer: its parameters are those of its parts, one part after another."""
    parts = [replace(part, part_of=settings.kind) for part in parts]
    parameters = [replace(parameter, name=part.key(parameter.name)) for part in parts for parameter in part.parameters]
    return replace(place.layer(out_shape, settings, parameters), states=states, parts=tuple(parts))


def _vector(place: Place, length: int) -> Shape:
    """The label of a vector: the main fork calls it a picture of 1 × 1."""
    return (length,) if place.original else (length, 1, 1)


def _connected(place: Place, name: str, inputs: int, outputs: int, activation: str, normalized: bool) -> Layer:
    loads = not place.options.flag("dontload")
    weights = replace(stored_parameter("weights", (outputs, inputs), loads), may_be_flipped=True)
    parameters = [stored_parameter("biases", (outputs,), loads), weights]
    parameters += normalization_parameters(outputs, loads) if normalized else []
    settings = Connected(output=outputs, batch_normalize=normalized, activation=activation)
    return _part(place, name, (inputs,), (outputs,), settings, parameters)


def _convolutional(place: Place, name: str, in_shape: Shape, settings: Convolutional) -> Layer:
    filters, groups = settings.filters, settings.groups
    for what, count in (("input channels", in_shape[0]), ("filters", filters)):
        if count % groups:
            raise place.error(f"{what} {count} of its part {name} cannot be split into groups={groups}", "groups")
    loads = not place.options.flag("dontload")
    parameters = [stored_parameter("biases", (filters,), loads)]
    parameters += normalization_parameters(filters, loads) if settings.batch_normalize else []
    parameters.append(
        stored_parameter("weights", (filters, in_shape[0] // groups, settings.size, settings.size), loads)
    )
    return _part(place, name, in_shape, (filters, *in_shape[1:]), settings, parameters)


def _part(
    place: Place, name: str, in_shape: Shape, out_shape: Shape, settings: Settings, parameters: Sequence[Parameter]
) -> Layer:
    return Layer(
        index=place.index,
        line=place.options.section.line,
        inputs=(),
        in_shapes=(in_shape,),
        out_shape=out_shape,
        settings=settings,
        parameters=tuple(parameters),
        part=name,
    )


class _Window(NamedTuple):
    """How the convolutions of a layer look at the picture."""

    size: int
    padding: int
    dilation: int
    groups: int


def _filters(filters: int, window: _Window, normalized: bool, activation: str) -> Convolutional:
    return Convolutional(
        filters=filters,
        size=window.size,
        stride_x=1,
        stride_y=1,
        padding=window.padding * window.dilation,
        dilation=window.dilation,
        groups=window.groups,
        antialiasing=None,
        batch_normalize=normalized,
        activation=activation,
    )


def _window(place: Place) -> _Window:
    """The window of convolutions that keep the picture's size; an error where they do not."""
    options = place.options
    size = options.integer("size", 3, least=1)
    stride = options.integer("stride", 1, least=1)
    dilation = options.integer("dilation", 1, least=1)
    pad, padding = options.flag("pad"), options.integer("padding", 0, least=0)
    groups = max(options.integer("groups", 1), 1)
    padding = size // 2 if pad else padding
    if stride != 1:
        raise place.error(
            f"stride={stride} cannot be run: Darknet itself stops there or reads past its memory", "stride"
        )
    if options.integer("xnor", 0):
        raise place.error("xnor=1 cannot be run here: Darknet itself reads past its memory", "xnor")
    if 2 * padding != size - 1:
        of_original = next((f"{key}_filters" for key in ("output", "hidden") if options.has(f"{key}_filters")), None)
        advice = "give pad=1 and an odd size"
        if of_original is not None and options.section.kind == Crnn.kind:  # the original knows no other
            advice = f"{of_original} is the original Darknet's: read the cfg with flavor 'pjreddie'"
        raise place.error(
            f"padding {padding} at size={size} changes the size {describe(place.in_shape)} of the picture from step to "
            f"step, and Darknet itself stops there: {advice}",
            "padding",
        )
    place.check_padded(2 * padding * dilation, 2 * padding * dilation)
    return _Window(size, padding, dilation, groups)
