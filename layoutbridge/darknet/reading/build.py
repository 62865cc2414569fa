"""From a cfg's sections to a `Network`: every layer with its shapes, settings and parameters, nothing computed.

Definition: parser.c (parse_network_cfg, parse_net_options) of both forks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

from layoutbridge.darknet.reading import READERS
from layoutbridge.darknet.reading.activations import checked_activations
from layoutbridge.darknet.reading.options import LARGEST_COUNT, Findings, Options
from layoutbridge.darknet.reading.parametric import asks_for_binary_output, with_binary_outputs
from layoutbridge.darknet.reading.place import Place
from layoutbridge.darknet.structure.choices import Flavor
from layoutbridge.darknet.structure.kinds import Empty, Shortcut
from layoutbridge.darknet.structure.model import Layer, Network, Section, Shape
from layoutbridge.darknet.structure.noted import Collected
from layoutbridge.darknet.structure.settings import Activated, words
from layoutbridge.errors import CfgError, ParameterError, shown

# Options that Darknet reads and that change nothing outside training: of every layer, and of [net]. Those of one kind
# of layer are its `training_options`. Those of both forks stand together: a key of the other's training does no harm.
_IGNORED_IN_LAYERS = words(
    "truth onlyforward stopbackward dontsave dontload numload dontloadscales learning_rate smooth clip "
    "dynamic_minibatch dont_update burnin_update train_only_bn"
)
_IGNORED_IN_NET = words(
    "batch learning_rate learning_rate_min sgdr_cycle sgdr_mult momentum decay subdivisions "
    "time_steps track augment_speed sequential_subdivisions contrastive "
    "contrastive_jit_flip contrastive_color unsupervised try_fix_nan weights_reject_freq equidistant_point "
    "badlabels_rejection_percentage num_sigmas_reject_badlabels ema_alpha dynamic_minibatch use_cuda_graph loss_scale "
    "show_receptive_field workspace_size_limit_MB adam B1 B2 eps notruth "
    "max_crop min_crop max_ratio min_ratio center clip flip blur gaussian_noise mixup cutmix mosaic mosaic_bound "
    "letter_box label_smooth_eps resize_step attention adversarial_lr max_chart_loss angle aspect saturation "
    "exposure hue power policy burn_in step scale steps scales seq_scales gamma max_batches random "
    "optimized_memory"
)
_MOST_PARAMETERS = 1 << 36  # a quarter of a terabyte in float32
_ANY_SHAPE = (3, 416, 416)  # to go on with where the cfg gives no input


def build_network(
    sections: Sequence[Section],
    *,
    flavor: Flavor = "alexey",
    size: tuple[int, int] | None = None,
    upto: int | None = None,
    warnings: Sequence[str] = (),
    folder: str | None = None,
    activations: Mapping[str, str] | None = None,
    allow_paths: Sequence[str] = (),
) -> Network:
    """The network that `sections` describe.

    `size` is (width, height) in place of the cfg's; `upto` keeps the first so many layers, as Darknet's cutoff;
    `warnings` are those of the cfg's reader, to stand first; `folder` is where files that the cfg names may lie,
    `allow_paths` are more such folders; `activations` says what names mean that Darknet does not know.

    Raises `CfgError` with the lines of all that Darknet or layoutbridge cannot read or run (what an error leaves
    unknown is not judged), and `ParameterError` for a `size`, `upto` or `activations` that cannot be used.

    >>> from layoutbridge.darknet.reading.cfg import parse_cfg
    >>> sections, _ = parse_cfg("[net]\\nwidth=8\\nheight=6\\nchannels=3\\n[conv]\\nfilters=5\\nsize=3\\npad=1")
    >>> layer = build_network(sections).layers[0]
    >>> layer.name, layer.out_shape, [(p.name, p.shape) for p in layer.parameters], layer.settings.activation
    ('0_convolutional', (5, 6, 8), [('biases', (5,)), ('weights', (5, 3, 3, 3))], 'logistic')
    """
    net, *rest = sections
    if upto is not None and not 1 <= upto <= len(rest):
        raise ParameterError(f"upto={shown(upto)} must be between 1 and the {len(rest)} layers of {net.source}")
    kept = rest[:upto]
    findings = Findings(Collected(warnings), [*net.faults])
    if not kept:
        raise CfgError(*net.faults, f"{net.where} has no layer behind it")
    meanings = checked_activations(activations or {}, flavor)
    used = {option.value for section in rest if (option := section.options.get("activation")) is not None}
    for name in meanings:
        if name not in used:
            findings.warnings.append(f"{net.source}: no layer has the activation {name!r}")
    options = Options(net, flavor, findings)
    options.doubtful = not net.kind
    in_shape = _input_shape(options, size)
    letterbox = flavor == "alexey" and options.flag("letter_box")
    options.ignore(*_IGNORED_IN_NET)
    options.report_unused()
    layers: list[Layer] = []
    binary: set[int] = set()
    unknown = {-1} if options.doubtful else set[int]()
    total = 0
    for index, section in enumerate(kept):
        options = Options(section, flavor, findings, meanings)
        findings.problems += section.faults
        if section.kind == "convolutional" and asks_for_binary_output(options):
            binary.add(index)
        layer = _layer(Place(options, index, in_shape, layers, unknown, folder, allow_paths))
        if options.doubtful:
            unknown.add(index)
        layers.append(layer)
        total += layer.parameter_count
        if total > _MOST_PARAMETERS:
            problem = f"{section.where} brings the parameters to {total:,}, over {_MOST_PARAMETERS:,}"
            raise CfgError(*findings.problems, problem)
    findings.problems += [fault for section in rest[len(kept) :] for fault in section.faults]
    if findings.problems:
        raise CfgError(*findings.problems)
    cut = upto if upto is not None and upto < len(rest) else None
    chosen = tuple((name, meaning) for name, meaning in meanings.items() if name in used)
    finished = with_binary_outputs(layers, binary)
    return Network(flavor, net.source, in_shape, finished, letterbox, cut, findings.told(), chosen)


def _layer(place: Place) -> Layer:
    """The layer of a section, or, where that cannot be made, one that stands for it: the section is doubtful then."""
    options, section = place.options, place.options.section
    if section.kind in READERS:
        try:
            layer = READERS[section.kind](place)
            _warn_random(options, layer)
            _warn_zeroed(options, layer)
            options.ignore(*_IGNORED_IN_LAYERS, *layer.settings.training_options)
            options.report_unused()
            return layer
        except CfgError as error:
            options.note(error)
    options.doubtful = True
    shape = place.in_shape
    return Layer(place.index, section.line, (place.index - 1,), (shape,), shape, Empty())


def _warn_random(options: Options, layer: Layer) -> None:
    """Where the weights are not in the file Darknet draws them, but for those of a shortcut."""
    weights = [p for p in layer.parameters if p.name.endswith("weights") and p.shared_with is None]
    if weights and not isinstance(layer.settings, Shortcut) and options.flag("dontload"):
        options.warn(f"dontload=1: its weights are {weights[0].fill:g} here, and random numbers in Darknet", "dontload")


def _warn_zeroed(options: Options, layer: Layer) -> None:
    """The main fork gives 0 for some activations. One that was chosen for an unknown name is not what it reads."""
    parts = [part.settings for part in layer.parts or (layer,)]
    zeroed = {p.activation for p in parts if isinstance(p, Activated) and p.activation in p.zeroed}
    name = options.text("activation") if zeroed and options.flavor == "alexey" else None
    if name in zeroed:
        where = "on a CPU" if name == "relu6" else "on a CPU and on a GPU"
        options.warn_once(f"activation={name} is 0 in such a layer of Darknet {where}; here it is {name}", "activation")


def _input_shape(options: Options, size: tuple[int, int] | None) -> Shape:
    height = options.integer("height", 0, least=0)
    width = options.integer("width", 0, least=0)
    channels = options.integer("channels", 0, least=0)
    inputs = options.integer("inputs", 0, least=0)
    if size is not None:
        if channels == 0 and not options.doubtful:
            raise ParameterError(
                f"size={shown(size)} cannot be set: the input of {options.section.source} is no picture"
            )
        width, height = _checked_size(size)
        inputs = 0
    shape: Shape = (channels, height, width) if height and width and channels else (inputs,)
    if prod(shape) == 0:
        given = f"width={width}, height={height}, channels={channels}, inputs={inputs}"
        options.note(options.error(f"gives no input: {given}"))
        return _ANY_SHAPE
    if len(shape) == 3 and inputs not in (0, prod(shape)):
        size_told = f"channels={channels} × height={height} × width={width}"
        options.note(options.error(f"inputs={inputs} does not fit {size_told}", "inputs"))
    if prod(shape) > LARGEST_COUNT:
        options.note(options.error(f"the input would have {prod(shape):,} values, over {LARGEST_COUNT:,}"))
        return _ANY_SHAPE
    return shape


def _checked_size(size: tuple[int, int]) -> tuple[int, int]:
    try:
        width, height = (int(length) for length in size)
    except (TypeError, ValueError, OverflowError):
        raise ParameterError(f"size is (width, height), not {shown(size)}") from None
    if min(width, height) < 1 or max(width, height) > LARGEST_COUNT:
        raise ParameterError(f"size is a width and a height from 1 to {LARGEST_COUNT:,}, not {shown(size)}")
    return width, height
