"""What the commands take: words to shapes, numbers, operations; and the arguments that several commands share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layoutbridge.cli.shared.kinds import one_of, whole_number
from layoutbridge.darknet.ports.table import TARGETS
from layoutbridge.darknet.structure.choices import FLAVORS
from layoutbridge.errors import ParameterError

if TYPE_CHECKING:
    from layoutbridge.darknet.networks.network import DarknetNetwork


def complete_name(incomplete: str) -> list[str]:
    """Catalogue names that begin so."""
    from layoutbridge.operations.catalog import catalog

    return [name for name in catalog() if name.startswith(incomplete)]


def complete_names(incomplete: str) -> list[str]:
    """A comma list of catalogue names, its last one completed."""
    from layoutbridge.operations.catalog import catalog

    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in catalog() if name.startswith(last)]


def complete_place(incomplete: str) -> list[str]:
    """A place and an entry for it, `2=darknet_reorg`: the entry completed."""
    place, equals, name = incomplete.partition("=")
    return [place + equals + one for one in complete_name(name)] if equals else []


NAME_TOLD = "A catalogue name, a pattern in quotes, or several: 'focus then inverse(space_to_depth)'."
Name = Annotated[str, typer.Argument(help=NAME_TOLD, autocompletion=complete_name)]
Shape = Annotated[str, typer.Option(help="The input's shape, [N,]C,H,W: 1,64,26,26")]
Flavor = Annotated[
    str,
    typer.Option(help="Which Darknet: alexey is the main fork, pjreddie the original.", **one_of(FLAVORS)),
]
Size = Annotated[str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Override the input size.")]
Upto = Annotated[
    int | None, typer.Option(help="Keep the first so many layers, for a backbone's weights.", **whole_number("--upto"))
]
Strict = Annotated[bool, typer.Option("--strict", help="Weights that are too long are an error.")]
NMS_KINDS_TOLD = "default, greedynms, diounms, cornersnms, or greedynms-iou (plain, as in older forks)"
Activations = Annotated[
    list[str] | None,
    typer.Option(
        "--activation", help="What a name that Darknet does not know means: silu=swish. Repeatable.", show_default=False
    ),
]
AllowPath = Annotated[
    list[str] | None,
    typer.Option(help="Another folder where files that the cfg names may lie. Repeatable.", show_default=False),
]
ModelFile = Annotated[str, typer.Argument(help="A .cfg, or a model: .onnx, .xml, .param, .tflite, .keras, .pt2.")]
Sources = Annotated[
    list[str],
    typer.Argument(
        help="Of a .cfg its .weights first. Then pictures, folders, patterns, films, addresses, camera:0.",
        metavar="[WEIGHTS] PICTURES...",
    ),
]
ClassNames = Annotated[str | None, typer.Option(help="The classes' names, a text file with one a line.")]
RunsIn = Annotated[
    str | None,
    typer.Option(
        help=f"Where a .cfg runs: {', '.join(TARGETS)}. (default: the fastest that is installed)",
        show_default=False,
        **one_of(TARGETS, shown="<target>"),
    ),
]
HeadCfg = Annotated[
    str | None,
    typer.Option(help="The network's .cfg, for models of the head darknet or raw.", show_default=False),
]
AtOnce = Annotated[int, typer.Option(help="Pictures that are computed at once.", **whole_number("--batch"))]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def whole(text: str, what: str) -> int:
    """A number from 1 to 2^63 - 1; `what` names it in the error."""
    from layoutbridge.operations.written import written_number

    return written_number(text, what)


def whole_shape(text: str, option: str = "--shape") -> tuple[int, ...]:
    """`1,64,26,26` or `1x64x26x26` as lengths."""
    return tuple(whole(part, f"every length in {option} {text[:80]}") for part in text.replace("x", ",").split(","))


def open_shape(text: str) -> tuple[int | None, ...]:
    """A shape in which a name or a question mark leaves an axis open (None)."""
    parts = [part.strip() for part in (text if "," in text else text.replace("x", ",")).split(",")]
    return tuple(
        None if part.isidentifier() or part == "?" else whole(part, f"every length in --shape {text[:80]}")
        for part in parts
    )


def input_shapes(texts: Sequence[str] | None) -> tuple[int | None, ...] | dict[str, tuple[int | None, ...]] | None:
    """The shapes of a model's inputs: one alone, or some by name.

    >>> input_shapes(["1,3,H,26"]), input_shapes(["left=1,3", "right=2,N"])
    ((1, 3, None, 26), {'left': (1, 3), 'right': (2, None)})
    """
    if not texts:
        return None
    if len(texts) == 1 and "=" not in texts[0]:
        return open_shape(texts[0])
    shapes = {}
    for text in texts:
        name, equals, shape = text.rpartition("=")
        if not equals or not name:
            raise ParameterError(f"of several shapes each is name=1,3,224,224, not '{text[:80]}'")
        if name in shapes:
            raise ParameterError(f"the shape of {name[:80]} is given twice")
        shapes[name] = open_shape(shape)
    return shapes


def flag_of(option: str) -> str:
    """What a function's option is called on the command line.

    >>> flag_of("max_rank"), flag_of("runtime")
    ('--max-rank', '--for')
    """
    return "--for" if option == "runtime" else f"--{option.replace('_', '-')}"


def listed(text: str | None, what: str) -> list[str] | None:
    """The words between commas, or None for nothing; `ParameterError` for commas alone."""
    if text is None:
        return None
    words = [part.strip() for part in text.split(",") if part.strip()]
    if not words:
        raise ParameterError(f"{what} must name at least one, or be left out for all")
    return words


def target_written(output: str, endings: Mapping[str, Iterable[str]]) -> str:
    """The one of the targets whose files end as `output` does; `ParameterError` where none does, or several do."""
    suffix = Path(output).suffix
    fitting = [target for target, theirs in endings.items() if suffix and suffix in theirs]
    if len(fitting) != 1:
        told = f"'{output}' tells no target" if suffix else f"'{output}' has no ending"
        known = (f"{name} ({', '.join(ending or 'a folder' for ending in theirs)})" for name, theirs in endings.items())
        raise ParameterError(f"--to is needed, for {told}: {', '.join(known)}")
    return fitting[0]


def picture_size(text: str) -> tuple[int, int]:
    """`416x416` as width and height."""
    parts = text.lower().split("x")
    if len(parts) != 2:
        raise ParameterError(f"--size must be WIDTHxHEIGHT, such as 416x416, not '{text[:80]}'")
    return whole(parts[0], "the width in --size"), whole(parts[1], "the height in --size")


def loaded_network(
    cfg: str,
    weights: str | None,
    *,
    flavor: str,
    size: str | None,
    upto: int | None,
    strict: bool = False,
    activations: list[str] | None = None,
    allow_paths: list[str] | None = None,
) -> DarknetNetwork:
    """The network in these files; its warnings go to standard error, and so does progress on long files."""
    from layoutbridge.cli.shared.printing import progress_console, remark_warnings
    from layoutbridge.darknet import load
    from layoutbridge.report.progress import byte_progress

    with byte_progress(progress_console(), "reading") as progress:
        net = load(
            cfg,
            weights,
            flavor=flavor,
            size=None if size is None else picture_size(size),
            upto=upto,
            strict=strict,
            activations=_pairs(activations, "--activation"),
            allow_paths=allow_paths or (),
            progress=progress,
        )
    remark_warnings(net.warnings, net.warnings.left_out)
    return net


def weights_and_pictures(command: str, model: str, sources: list[str]) -> tuple[str | None, list[str]]:
    """The weights of a .cfg, and the pictures, of what follows the model on the command line."""
    if not model.endswith(".cfg"):
        return None, sources
    if len(sources) < 2:
        raise ParameterError(f"'{model}' needs its weights and a picture: {command} {model} net.weights picture.jpg")
    return sources[0], sources[1:]


def _pairs(texts: list[str] | None, what: str) -> dict[str, str]:
    """`silu=swish` and the like as a mapping."""
    pairs = [text.partition("=") for text in texts or ()]
    for name, equals, meaning in pairs:
        if not (name and equals and meaning):
            raise ParameterError(f"{what} must be NAME=MEANING, such as silu=swish, not '{name[:80]}{equals}'")
    return {name.strip(): meaning.strip() for name, _, meaning in pairs}
