"""The layers that take other layers' outputs: route, shortcut, scale_channels, sam; and implicit, which takes none.

Definition: route_layer.c, shortcut_layer.c, blas.c (shortcut_cpu, shortcut_multilayer_cpu), scale_channels_layer.c,
sam_layer.c, representation_layer.c. `second_order` is ours: SORT, y = a + b + sqrt(relu(a)·relu(b) + ε).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from layoutbridge.darknet.reading.place import Place, describe, reads
from layoutbridge.darknet.structure.kinds import (
    Convolutional,
    Implicit,
    Maxpool,
    Route,
    Sam,
    ScaleChannels,
    ScaledSum,
    SecondOrderSum,
    Shortcut,
    Sum,
    WeightsNormalization,
    WeightsType,
)
from layoutbridge.darknet.structure.model import Layer, Parameter, Shape

_WEIGHTS: Mapping[str, WeightsType] = {
    "none": "none",
    "per_feature": "per_feature",
    "per_layer": "per_feature",
    "per_channel": "per_channel",
}
_NORMALIZATIONS: Mapping[str, WeightsNormalization] = {
    "none": "none",
    "relu": "relu",
    "avg_relu": "relu",
    "softmax": "softmax",
}
_MISSPELLED = "weights_normalizion"


@reads(Route)
def route(place: Place) -> Layer:
    """[route]: outputs side by side; of each, one of `groups` parts where the fork's cfg asks for it."""
    options = place.options
    groups, group_id = 1, 0
    if not place.original:
        groups = options.integer("groups", 1, least=1)
        group_id = options.integer("group_id", 0, least=0)
    layers = _references(place, "layers")
    if group_id >= groups:
        raise place.error(f"group_id={group_id} is not below groups={groups}", "group_id")
    shapes = [place.shape_of(layer) for layer in layers]
    for layer, shape in zip(layers, shapes, strict=True):
        if shape[0] % groups:
            raise place.error(
                f"the {shape[0]} channels of layer {layer} cannot be split into groups={groups}", "groups"
            )
    if all(len(shape) == 3 and shape[1:] == shapes[0][1:] for shape in shapes):
        out_shape: Shape = (sum(shape[0] for shape in shapes) // groups, *shapes[0][1:])
    elif groups > 1 and any(len(shape) != 3 for shape in shapes):
        raise place.error(f"groups={groups} needs pictures, and an input is flat", "groups")
    else:
        out_shape = (sum(prod(shape) for shape in shapes) // groups,)
        if len(shapes) > 1 and any(len(shape) == 3 for shape in shapes):
            options.warn(f"inputs of different sizes, {' and '.join(map(describe, shapes))}, are joined flat")
    return place.layer(out_shape, Route(groups=groups, group_id=group_id), inputs=layers)


@reads(Shortcut)
def shortcut(place: Place) -> Layer:
    """[shortcut]: the fork's sum of several layers, weighted where asked for; the original's scaled sum of two."""
    options = place.options
    place.image()
    activation = options.activation("linear")
    second_order = options.flag("second_order")
    others = _references(place, "from", one=place.original and not second_order)
    if second_order:
        return _second_order(place, others, activation)
    return _scaled(place, others[0], activation) if place.original else _summed(place, others, activation)


def _second_order(place: Place, others: tuple[int, ...], activation: str) -> Layer:
    epsilon = place.options.number("epsilon", 1e-4)
    if len(others) != 1:
        raise place.error(f"second_order=1 takes one layer in `from`, not {len(others)}", "from")
    if epsilon < 0:
        raise place.error(f"epsilon={epsilon} must not be negative", "epsilon")
    if place.shape_of(others[0]) != place.in_shape:
        raise place.error(
            f"second_order=1 takes two inputs of one shape, not {describe(place.in_shape)} and "
            f"{describe(place.shape_of(others[0]))}",
            "from",
        )
    settings = Shortcut(way=SecondOrderSum(epsilon=epsilon), activation=activation)
    return place.layer(place.in_shape, settings, inputs=(place.index - 1, *others))


def _summed(place: Place, others: tuple[int, ...], activation: str) -> Layer:
    options = place.options
    channels, height, width = place.image()
    weights_type = options.choice("weights_type", "none", _WEIGHTS)
    spelling = "weights_normalization"
    if options.has(_MISSPELLED):
        options.ignore(_MISSPELLED)
        if not options.has(spelling):
            options.warn(f"{_MISSPELLED} is read as {spelling}; today's Darknet does not know it", _MISSPELLED)
            spelling = _MISSPELLED
    normalization = options.choice(spelling, "none", _NORMALIZATIONS)
    if weights_type != "none" and normalization == "none":
        options.warn(
            "weights_type without weights_normalization=relu or softmax: Darknet stops there; here the weights are "
            "taken as they are",
            "weights_type",
        )
    for other in others:
        theirs = place.as_image(place.shape_of(other), f"layer {other}")
        if theirs[1:] != (height, width):
            raise place.error(
                f"layer {other} is {describe(theirs)} and the previous one {describe(place.in_shape)}: "
                "Darknet's main fork adds layers of one height and width alone",
                "from",
            )
    layers = (place.index - 1, *others)
    parameters = []
    if weights_type != "none":
        shape = (len(layers), 1 if weights_type == "per_feature" else channels)
        loads = not options.flag("dontload")
        parameters.append(Parameter("weights", shape, shape[0] if loads else 0, 1.0))
    way = Sum(weights_type=weights_type, weights_normalization=normalization if weights_type != "none" else "none")
    return place.layer(place.in_shape, Shortcut(way=way, activation=activation), parameters, layers)


def _scaled(place: Place, other: int, activation: str) -> Layer:
    options = place.options
    alpha, beta = options.number("alpha", 1.0), options.number("beta", 1.0)
    theirs, own = place.as_image(place.shape_of(other), f"layer {other}"), place.image()
    (channels1, height1, width1), (channels2, height2, width2) = theirs, own
    step, sample = width1 // width2, width2 // width1
    if step != height1 // height2 or sample != height2 // height1:
        raise place.error(
            f"layer {other} is {describe(theirs)} and the previous one {describe(own)}: "
            "their heights and widths must differ by one factor",
            "from",
        )
    overlap = (min(channels1, channels2), min(height1, height2), min(width1, width2))
    way = ScaledSum(alpha=alpha, beta=beta, step=max(step, 1), sample=max(sample, 1), overlap=overlap)
    return place.layer(own, Shortcut(way=way, activation=activation), inputs=(place.index - 1, other))


@reads(ScaleChannels)
def scale_channels(place: Place) -> Layer:
    """[scale_channels]: the layer `from`, each channel (or with `scale_wh` each place) times the previous layer."""
    options = place.options
    activation, scale_wh = options.activation("linear"), options.flag("scale_wh")
    factors = place.image()
    other = _references(place, "from", one=True)[0]
    picture = place.as_image(place.shape_of(other), f"layer {other}")
    wanted = (1, *picture[1:]) if scale_wh else (picture[0], 1, 1)
    if factors != wanted:
        raise place.error(
            f"the factors of the previous layer are {describe(factors)} and must be {describe(wanted)} "
            f"for layer {other}, {describe(picture)}",
            "from",
        )
    settings = ScaleChannels(activation=activation, scale_wh=scale_wh)
    return place.layer(picture, settings, inputs=(place.index - 1, other))


@reads(Sam)
def sam(place: Place) -> Layer:
    """[sam]: the previous layer times the layer `from`, of the same shape."""
    activation = place.options.activation("linear")
    own, other = place.image(), _references(place, "from", one=True)[0]
    if place.shape_of(other) != own:
        raise place.error(
            f"layer {other} is {describe(place.shape_of(other))} and the previous one {describe(own)}: "
            "they must have one shape",
            "from",
        )
    settings = Sam(activation=activation)
    return place.layer(own, settings, inputs=(place.index - 1, other))


@reads(Implicit)
def implicit(place: Place) -> Layer:
    """[implicit]: learned values, the same for every picture."""
    options = place.options
    filters = options.integer("filters", 128, least=1)
    atoms = options.integer("atoms", 1, least=1)
    mean = options.number("mean", 0.0)
    shape = (filters, atoms, 1)
    loads = not options.flag("dontload")
    parameter = Parameter("weights", shape, filters if loads else 0, mean)
    return place.layer(shape, Implicit(filters=filters, atoms=atoms), (parameter,), ())


def _references(place: Place, key: str, *, one: bool = False) -> tuple[int, ...]:
    """The layers that an option names: one at least, and no more where Darknet takes `one`."""
    options = place.options
    if not options.has(key):
        raise place.error(f"needs {key}=: the layers that it takes")
    values = [options.first_integer(key)] if one else options.integers(key, empty="layer 0")
    layers = tuple(place.reference(value, key) for value in values if value is not None) or (place.index - 1,)
    for index in layers:
        _warn_unblurred(place, index, key)
    return layers


def _warn_unblurred(place: Place, index: int, key: str) -> None:
    """Darknet's label of an antialiased layer is the size before the blur: only the layer behind it knows better."""
    layer = place.layers[index] if index >= 0 else None
    if layer is None or not isinstance(layer.settings, (Convolutional, Maxpool)):
        return
    blur = layer.settings.antialiasing
    if blur is not None and (blur.size, blur.stride_x, blur.stride_y) != (3, 1, 1):
        place.options.warn(
            f"{key} names {layer.name}, which is antialiased: Darknet takes it at its size before the blur, where the "
            f"blurred values fill the beginning; here it is the blurred {describe(layer.out_shape)}",
            key,
        )
