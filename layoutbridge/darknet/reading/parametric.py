"""The layers with a weight for each connection: convolutional, deconvolutional, connected, local.

Definition: convolutional_layer.c, deconvolutional_layer.c, connected_layer.c, local_layer.c; the order of their
parameters: parser.c (load_convolutional_weights and its like).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from math import prod

from layoutbridge.darknet.reading.options import Options
from layoutbridge.darknet.reading.place import Place, describe, reads
from layoutbridge.darknet.structure.kinds import (
    Connected,
    Convolutional,
    Deconvolutional,
    Local,
    Route,
    Sam,
    ScaleChannels,
    Shortcut,
)
from layoutbridge.darknet.structure.model import Layer, Parameter, Shape
from layoutbridge.darknet.structure.settings import Blur


@reads(Convolutional)
def convolutional(place: Place) -> Layer:
    """[convolutional]: weights [filters, C/groups, size, size], padding size//2 where `pad` is not 0."""
    options = place.options
    channels, height, width = place.image()
    filters = options.integer("filters", 1, least=1)
    groups = max(options.integer("groups", 1), 1)
    size = options.integer("size", 1, least=1)
    stride_x, stride_y = _strides(place)
    padding = _padding(place, size)
    activation = options.activation("logistic")
    batch_normalize = options.flag("batch_normalize")
    flipped = options.flag("flipped")
    dilation, antialiasing, shared_with = 1, 0, None
    if not place.original:
        dilation = options.integer("dilation", 1, least=1) if size > 1 else 1
        antialiasing = options.integer("antialiasing", 0)
        batch_normalize = options.flag("cbn") or batch_normalize
        shared_with = _share(place)
        options.ignore("dilation", "assisted_excitation")
    for name, count in (("input channels", channels), ("filters", filters)):
        if count % groups:
            raise place.error(f"{name} {count} cannot be split into groups={groups}", "groups")
    if flipped and groups > 1 and place.original:
        raise place.error(
            f"flipped=1 with groups={groups} cannot be read: the original Darknet writes beyond its weights there",
            "flipped",
        )
    xnor = _xnor(place, size, (stride_x, stride_y), padding, dilation, groups, antialiasing)
    blur = blur_of(antialiasing, stride_x, stride_y)
    if blur is not None:
        stride_x = stride_y = 1
    if dilation > 1 and 2 * padding != size - 1:
        raise place.error(
            f"dilation={dilation} needs the padding (size − 1)/2, not {padding} at size={size}: "
            "Darknet computes another size of output than it fills",
            "dilation",
        )
    shape = (
        filters,
        place.window(height, size, stride_y, 2 * padding, "height"),
        place.window(width, size, stride_x, 2 * padding, "width"),
    )
    place.check_padded(2 * padding * dilation, 2 * padding * dilation)
    if place.original or not xnor:
        _warn_unstepped(place, size, (stride_x, stride_y), padding)
    weights = (filters, channels // groups, size, size)
    settings = Convolutional(
        filters=filters,
        size=size,
        stride_x=stride_x,
        stride_y=stride_y,
        padding=padding * dilation,
        overhang=(_overhang(height, size, padding), _overhang(width, size, padding)),
        dilation=dilation,
        groups=groups,
        batch_normalize=batch_normalize,
        activation=activation,
        antialiasing=blur,
        xnor=xnor,
        shared_with=shared_with,
    )
    out_shape = blurred(place, shape, blur)
    parameters = _filter_parameters(place, filters, weights, batch_normalize, flipped, shared_with)
    return place.layer(out_shape, settings, _only_first(place, parameters, filters))


def _xnor(
    place: Place, size: int, strides: tuple[int, int], padding: int, dilation: int, groups: int, antialiasing: int
) -> bool:
    """Whether weights and input are taken by their signs; an error for what the main fork has no such code for."""
    options = place.options
    if not options.flag("xnor"):
        if options.flag("binary"):
            options.warn(
                "binary=1 is ignored without xnor=1, as on Darknet's CPU; its GPUs take the weights' signs", "binary"
            )
        if not place.original:
            options.ignore("bin_output")
        return False
    if place.original:
        return True
    if strides[0] != strides[1]:
        options.warn("xnor=1 is ignored, as in Darknet: the strides differ", "xnor")
        return False
    for name, value, fitting in (("groups", groups, 1), ("dilation", dilation, 1), ("antialiasing", antialiasing, 0)):
        if value != fitting:
            raise place.error(f"xnor=1 with {name}={value} cannot be run: Darknet's xnor layers ignore it", name)
    channels, height, width = place.image()
    if _overhang(height, size, padding) or _overhang(width, size, padding):
        raise place.error(f"xnor=1 with a window of {size}, larger than its input, cannot be run", "size")
    if channels % 32 and not (size == 3 and strides == (1, 1) and padding == 1):
        raise place.error(
            f"xnor=1 of {channels} input channels at size={size}, stride={strides[0]}, padding {padding} cannot be "
            "run: Darknet packs 32 channels at a time, and others in windows of 3 by steps of 1 alone",
            "xnor",
        )
    return True


def asks_for_binary_output(options: Options) -> bool:
    """Whether a [convolutional] asks for what `with_binary_outputs` does; the original has no such thing."""
    return options.flavor == "alexey" and options.flag("xnor") and options.flag("bin_output")


def with_binary_outputs(layers: Sequence[Layer], asking: Collection[int]) -> tuple[Layer, ...]:
    """The layers, those with `bin_output` (by index) without their activation, where the main fork drops it.

    It does so in an xnor layer, unless a [route] lists the layer, or a [shortcut], [scale_channels] or [sam] comes
    directly behind it or names it (first). Definition: parser.c (parse_network_cfg_custom), network.c
    (calculate_binary_weights).
    """
    kept: set[int] = set()
    for layer in layers:
        if isinstance(layer.settings, Route):
            kept.update(layer.inputs)
        elif isinstance(layer.settings, (Shortcut, ScaleChannels, Sam)):
            kept.update((layer.index - 1, *layer.inputs[:2]))
    return tuple(
        replace(layer, settings=replace(layer.settings, activation="linear"))
        if layer.index in asking and layer.index not in kept and isinstance(layer.settings, Convolutional)
        else layer
        for layer in layers
    )


def blur_of(antialiasing: int, stride_x: int, stride_y: int) -> Blur | None:
    """The blur that a cfg's `antialiasing` asks for: of 2 × 2 for 2, of 3 × 3 for any other number but 0."""
    return Blur(2 if antialiasing == 2 else 3, stride_x, stride_y) if antialiasing else None


def blurred(place: Place, shape: Shape, blur: Blur | None) -> Shape:
    """`shape` after the blur, where there is one."""
    if blur is None:
        return shape
    return (
        shape[0],
        place.window(shape[1], blur.size, blur.stride_y, 2 * blur.padding, "height"),
        place.window(shape[2], blur.size, blur.stride_x, 2 * blur.padding, "width"),
    )


@reads(Deconvolutional)
def deconvolutional(place: Place) -> Layer:
    """[deconvolutional], the original's alone: weights [C, filters, size, size], read in the order of its forward."""
    options = place.options
    channels, height, width = place.image()
    filters = options.integer("filters", 1, least=1)
    size = options.integer("size", 1, least=1)
    stride = options.integer("stride", 1, least=1)
    activation = options.activation("logistic")
    batch_normalize = options.flag("batch_normalize")
    padding = _padding(place, size)
    shape = (filters, (height - 1) * stride + size - 2 * padding, (width - 1) * stride + size - 2 * padding)
    if min(shape) < 1:
        raise place.error(f"its output would be {describe(shape)}: the padding {padding} crops all of it")
    settings = Deconvolutional(
        filters=filters,
        size=size,
        stride=stride,
        padding=padding,
        batch_normalize=batch_normalize,
        activation=activation,
    )
    parameters = _filter_parameters(place, filters, (channels, filters, size, size), batch_normalize)
    if _stored_filters(place, filters) < filters:
        raise place.error("numload has no defined order of weights in this layer", "numload")
    return place.layer(shape, settings, parameters)


@reads(Connected)
def connected(place: Place) -> Layer:
    """[connected]: weights [output, inputs]; the output is a picture of 1 × 1."""
    options = place.options
    inputs = prod(place.in_shape)
    output = options.integer("output", 1, least=1)
    activation = options.activation("logistic")
    batch_normalize = options.flag("batch_normalize")
    loads = not options.flag("dontload")
    weights = replace(stored_parameter("weights", (output, inputs), loads), may_be_flipped=True)
    parameters = [stored_parameter("biases", (output,), loads), weights]
    if batch_normalize:
        parameters += normalization_parameters(output, loads and not options.flag("dontloadscales"))
    settings = Connected(output=output, batch_normalize=batch_normalize, activation=activation)
    return place.layer((output, 1, 1), settings, parameters)


@reads(Local)
def local(place: Place) -> Layer:
    """[local]: its own filters at every place of the output."""
    options = place.options
    channels, height, width = place.image()
    filters = options.integer("filters", 1, least=1)
    size = options.integer("size", 1, least=1)
    stride = options.integer("stride", 1, least=1)
    padding = options.integer("pad", 0, least=0)
    activation = options.activation("logistic")
    loads = not options.flag("dontload")
    counts = []
    for axis, length in (("height", height), ("width", width)):
        labelled = int((length - (1 if padding else size)) / stride) + 1  # cut, not rounded down
        filled = place.window(length, size, stride, 2 * padding, axis)
        if labelled != filled:
            raise place.error(
                f"pad={padding} at size={size} fills {filled} places of the {axis} {length} where Darknet counts "
                f"{labelled}: give pad={size // 2 if size % 2 else 0}",
                "pad",
            )
        counts.append(filled)
    place.check_padded(2 * padding, 2 * padding)
    rows, columns = counts
    parameters = (
        stored_parameter("biases", (filters, rows, columns), loads),
        stored_parameter("weights", (rows * columns, filters, channels * size * size), loads),
    )
    settings = Local(
        filters=filters,
        size=size,
        stride=stride,
        padding=padding,
        overhang=(_overhang(height, size, padding), _overhang(width, size, padding)),
        activation=activation,
    )
    return place.layer((filters, rows, columns), settings, parameters)


def _strides(place: Place) -> tuple[int, int]:
    options = place.options
    if place.original:
        stride = options.integer("stride", 1, least=1)
        return stride, stride
    stride_x, stride_y = options.integer("stride_x", -1), options.integer("stride_y", -1)
    stride = options.integer("stride", 1, least=1)
    return (stride_x if stride_x >= 1 else stride), (stride_y if stride_y >= 1 else stride)


def _padding(place: Place, size: int) -> int:
    pad, padding = place.options.integer("pad", 0), place.options.integer("padding", 0, least=0)
    return size // 2 if pad else padding


def _overhang(length: int, size: int, padding: int) -> int:
    """How far a window reaches out of a picture, with `padding` on each side, that is smaller than it."""
    return max(size - length - 2 * padding, 0)


def _warn_unstepped(place: Place, size: int, strides: tuple[int, int], padding: int) -> None:
    """What Darknet's own loop does with a window of one place: it multiplies the input as it lies, from its beginning.

    So does the original always, and the main fork where the stride along the width is 1.
    Definition: forward_convolutional_layer of both forks; cuDNN, with which both train, knows no such shortcut.
    """
    stride_x, stride_y = strides
    if size != 1 or (not place.original and stride_x > 1):
        return
    stepped = max(strides) > 1 and place.image()[1:] != (1, 1)
    if stepped:
        told = f"stride={stride_x}" if stride_x == stride_y else f"stride_y={stride_y}"
        key = next((key for key in ("stride_y", "stride") if key in told and place.options.has(key)), "stride")
        place.options.warn_once(
            f"size=1 with {told}: on a CPU Darknet does not step, and multiplies the first values of its input; here "
            "it is what Darknet trains with cuDNN",
            key,
        )
    if padding:
        place.options.warn_once(
            f"size=1 with padding={padding}: on a CPU Darknet does not pad, and reads past its input; here it is what "
            "Darknet trains with cuDNN",
            "padding",
        )


def _share(place: Place) -> int | None:
    value = place.options.first_integer("share_index")
    index = -1 if value is None else place.reference(value, "share_index")
    if index == -1 or index in place.unknown:
        return None
    other = place.layers[index]
    if not isinstance(other.settings, Convolutional):
        raise place.error(f"share_index names {other.name}, which is no [convolutional]", "share_index")
    return index if other.settings.shared_with is None else other.settings.shared_with


def _filter_parameters(
    place: Place,
    filters: int,
    shape: Shape,
    batch_normalize: bool,
    flipped: bool = False,
    shared_with: int | None = None,
) -> list[Parameter]:
    options = place.options
    loads = not options.flag("dontload") and shared_with is None
    loads_scales = loads and not options.flag("dontloadscales")
    names = [stored_parameter("biases", (filters,), loads, shared_with)]
    if batch_normalize:
        names += normalization_parameters(filters, loads_scales, shared_with)
    names.append(stored_parameter("weights", shape, loads, shared_with, flipped))
    if shared_with is not None:
        owned = {p.name: p.shape for p in place.layers[shared_with].parameters}
        for parameter in names:
            if owned.get(parameter.name) != parameter.shape:
                theirs = describe(owned[parameter.name]) if parameter.name in owned else "none"
                raise place.error(
                    f"its {parameter.name} are {describe(parameter.shape)}, and those of the layer that it shares "
                    f"with are {theirs}",
                    "share_index",
                )
    return names


def _stored_filters(place: Place, filters: int) -> int:
    """How many filters the weights file holds: all, or the original's `numload`."""
    if not place.original or not place.options.integer("numload", 0):
        return filters
    count = place.options.integer("numload", 0, least=1)
    if count > filters:
        raise place.error(f"numload={count} is more than its {filters} filters", "numload")
    return count


def _only_first(place: Place, parameters: list[Parameter], filters: int) -> list[Parameter]:
    """`parameters` with as many filters as the file holds; the others start as Darknet's, weights at 0."""
    count = _stored_filters(place, filters)
    if count == filters:
        return parameters
    place.options.warn(
        f"the weights of filters {count} to {filters - 1} are not in the file: they are 0 here, and random numbers in "
        "Darknet",
        "numload",
    )
    return [replace(parameter, leading=count if parameter.leading else 0) for parameter in parameters]


def normalization_parameters(count: int, loads: bool, shared_with: int | None = None) -> list[Parameter]:
    """The three arrays of a batch norm, with what Darknet starts from where the file does not hold them."""
    return [
        Parameter(name, (count,), count if loads else 0, fill, shared_with=shared_with)
        for name, fill in (("scales", 1.0), ("means", 0.0), ("variances", 0.0))
    ]


def stored_parameter(
    name: str, shape: Shape, loads: bool, shared_with: int | None = None, flipped: bool = False
) -> Parameter:
    """An array that the weights file holds, but where the cfg says that it `loads` nothing."""
    return Parameter(name, shape, shape[0] if loads else 0, 0.0, flipped, shared_with)
