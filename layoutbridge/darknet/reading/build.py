"""From a cfg's sections to a `Network`: every layer with its shapes, settings and parameters, nothing computed.

Definition: parser.c (parse_network_cfg, parse_net_options) of both forks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from layoutbridge.darknet.reading import READERS, ignored_keys
from layoutbridge.darknet.reading.activations import checked_activations
from layoutbridge.darknet.reading.cfg import OUT_OF_SCOPE, RECURRENT
from layoutbridge.darknet.reading.options import LARGEST_COUNT, Options
from layoutbridge.darknet.reading.place import Place
from layoutbridge.darknet.structure.model import Layer, Network, Section, Shape
from layoutbridge.darknet.structure.settings import Flavor
from layoutbridge.errors import CfgError, ParameterError

_MOST_PARAMETERS = 1 << 36  # a quarter of a terabyte in float32


def build_network(
    sections: Sequence[Section],
    *,
    flavor: Flavor = "alexey",
    size: tuple[int, int] | None = None,
    upto: int | None = None,
    warnings: Sequence[str] = (),
    folder: str | None = None,
    activations: Mapping[str, str] | None = None,
) -> Network:
    """The network that `sections` describe.

    `size` is (width, height) in place of the cfg's; `upto` keeps the first so many layers, as Darknet's cutoff;
    `warnings` are those of the cfg's reader, to stand first; `folder` is where files that the cfg names may lie;
    `activations` says what names mean that Darknet does not know. Raises `CfgError` with the line for what Darknet or
    layoutbridge cannot run, `ParameterError` for an unusable `size`, `upto` or `activations`.

    >>> from layoutbridge.darknet.reading.cfg import parse_cfg
    >>> sections, _ = parse_cfg("[net]\\nwidth=8\\nheight=6\\nchannels=3\\n[conv]\\nfilters=5\\nsize=3\\npad=1")
    >>> layer = build_network(sections).layers[0]
    >>> layer.name, layer.out_shape, [(p.name, p.shape) for p in layer.parameters], layer.settings.activation
    ('0_convolutional', (5, 6, 8), [('biases', (5,)), ('weights', (5, 3, 3, 3))], 'logistic')
    """
    net, *rest = sections
    if upto is not None and not 1 <= upto <= len(rest):
        raise ParameterError(f"upto={upto} must be between 1 and the {len(rest)} layers of {net.source}")
    kept = rest[:upto]
    if not kept:
        raise CfgError(f"{net.where} has no layer behind it")
    _refuse_out_of_scope(kept)
    said = list(warnings)
    meanings = checked_activations(activations or {}, flavor)
    used = {option.value for section in rest if (option := section.options.get("activation")) is not None}
    said += [f"{net.source}: no layer has the activation {name!r}" for name in meanings if name not in used]
    options = Options(net, flavor, said)
    in_shape = _input_shape(options, size)
    letterbox = flavor == "alexey" and options.flag("letter_box")
    options.ignore(*ignored_keys.NET)
    options.report_unused()
    layers: list[Layer] = []
    total = 0
    for index, section in enumerate(kept):
        layer = _layer(Options(section, flavor, said, meanings), index, in_shape, layers, folder)
        layers.append(layer)
        total += layer.parameter_count
        if total > _MOST_PARAMETERS:
            raise CfgError(f"{section.where} brings the parameters to {total:,}, over {_MOST_PARAMETERS:,}")
    cut = upto if upto is not None and upto < len(rest) else None
    chosen = tuple((name, meaning) for name, meaning in meanings.items() if name in used)
    return Network(flavor, net.source, in_shape, tuple(layers), letterbox, cut, tuple(said), chosen)


def _layer(options: Options, index: int, net_shape: Shape, layers: Sequence[Layer], folder: str | None) -> Layer:
    in_shape = layers[-1].out_shape if layers else net_shape
    layer = READERS[options.section.kind](Place(options, index, in_shape, net_shape, layers, folder))
    options.ignore(*ignored_keys.EVERY_LAYER, *layer.settings.training_options)
    options.report_unused()
    return layer


def _refuse_out_of_scope(sections: Sequence[Section]) -> None:
    """Name what cannot be run before any layer is built."""
    for section in sections:
        if section.kind in OUT_OF_SCOPE:
            kind = "recurrent layers are" if section.kind in RECURRENT else "this layer is"
            raise CfgError(f"{section.where} is not supported: {kind} not in layoutbridge's scope")
        for key in ("xnor", "binary", "bin_output"):
            option = section.options.get(key)
            if section.kind == "convolutional" and option is not None and option.value.lstrip("+-0") != "":
                raise CfgError(
                    f"{section.where_at(option.line)} {key}={option.value[:20]} is not supported: "
                    "layers of binary weights are not in layoutbridge's scope"
                )


def _input_shape(options: Options, size: tuple[int, int] | None) -> Shape:
    height = options.integer("height", 0, least=0)
    width = options.integer("width", 0, least=0)
    channels = options.integer("channels", 0, least=0)
    inputs = options.integer("inputs", 0, least=0)
    if size is not None:
        if channels == 0:
            raise ParameterError(f"size={size} cannot be set: the input of {options.section.source} is no picture")
        width, height = _checked_size(size)
        inputs = 0
    if height and width and channels:
        if inputs not in (0, height * width * channels):
            raise options.error(
                f"inputs={inputs} does not fit channels={channels} × height={height} × width={width}", "inputs"
            )
        shape: Shape = (channels, height, width)
    elif inputs:
        shape = (inputs,)
    else:
        raise options.error(f"gives no input: width={width}, height={height}, channels={channels}, inputs={inputs}")
    if prod(shape) > LARGEST_COUNT:
        raise options.error(f"the input would have {prod(shape):,} values, over {LARGEST_COUNT:,}")
    return shape


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    try:
        width, height = (int(length) for length in size)
    except (TypeError, ValueError):
        raise ParameterError(f"size is (width, height), not {size!r}") from None
    if min(width, height) < 1:
        raise ParameterError(f"size is a width and a height from 1 on, not {size!r}")
    return width, height
