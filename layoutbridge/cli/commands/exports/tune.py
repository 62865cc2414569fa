"""`tune`: which runtime, form, settings and threads run a network fastest on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from layoutbridge.cli.commands.exports.int8 import read_calibrate
from layoutbridge.cli.commands.exports.networks import refuse_place, write_choice
from layoutbridge.cli.commands.exports.tuning import told_choice, tuned
from layoutbridge.cli.shared.application import app
from layoutbridge.cli.shared.arguments import AsJson, Flavor, Size, listed, loaded_network, whole
from layoutbridge.cli.shared.kinds import one_of, share, whole_number, words_of
from layoutbridge.cli.shared.overwriting import Force, ask_before_overwriting
from layoutbridge.cli.shared.printing import console, print_json, remark
from layoutbridge.darknet.ports.table import TARGETS, port
from layoutbridge.darknet.structure.choices import HEADS
from layoutbridge.errors import ParameterError, UnusableInputError
from layoutbridge.inputs import exists, is_folder

if TYPE_CHECKING:
    from layoutbridge.darknet.ports.port import Port

_BUDGET = "What the model may cost"
_MEGABYTE = 1_000_000


def _limit(option: str, told: str) -> Any:
    kind = share(option, most=None, or_zero=False)
    return typer.Option(option, help=told, rich_help_panel=_BUDGET, show_default=False, **kind)


@app.command()
def tune(
    cfg: Annotated[str, typer.Argument(help="The network's .cfg.", metavar="NET.cfg")],
    weights: Annotated[str, typer.Argument(help="The network's .weights.", metavar="NET.weights")],
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="<file or folder>",
            help="Write the fastest: a file, whose ending tells the target, or a folder for the best over all.",
            show_default=False,
        ),
    ] = None,
    force: Force = False,
    targets: Annotated[
        str | None,
        typer.Option(
            help="Some of onnx,openvino,ncnn,tflite,torch. (default: what is installed)",
            show_default=False,
            **words_of(TARGETS, "<target,...>"),
        ),
    ] = None,
    threads: Annotated[
        str | None,
        typer.Option(
            metavar="<int,...>", help="Numbers to try. (default: powers of two, and all cores)", show_default=False
        ),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Try float16 and bfloat16, too.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Try whole numbers of 8 bits, too.")] = False,
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="<file, folder or pattern>",
            help="With --int8: pictures to measure ranges over.",
            show_default=False,
        ),
    ] = None,
    max_deviation: Annotated[
        float | None,
        _limit("--max-deviation", "Largest share of the largest value. (default: 1e-4; --half 2e-2; --int8 any)"),
    ] = None,
    max_load: Annotated[
        float | None,
        _limit("--max-load", "Seconds until it runs. (default: 3, or 1.5 times the plain form's)"),
    ] = None,
    max_memory: Annotated[float | None, _limit("--max-memory", "Megabytes of the whole process.")] = None,
    max_size: Annotated[float | None, _limit("--max-size", "Megabytes of the files.")] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            help="No trial but of plain forms begins after so many. (default: 110)",
            show_default=False,
            **share("--seconds", most=None, or_zero=False),
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(
            help=f"What comes out: {', '.join(HEADS)}. (default: darknet)",
            show_default=False,
            **one_of(HEADS, shown="<head>"),
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(help="Pictures at a time. (default: one)", show_default=False, **whole_number("--batch")),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(metavar="<file>", help="The classes' names, for the metadata.", show_default=False),
    ] = None,
    flavor: Flavor = "alexey",
    size: Size = None,
    as_json: AsJson = False,
) -> None:
    """Find by trial what runs a network fastest here: runtime, form, settings, threads; and write it.

    layoutbridge tune yolov2.cfg yolov2.weights -o yolov2.onnx
    """
    from layoutbridge.darknet.detection.names import read_names
    from layoutbridge.darknet.tuning.budgets import Budget
    from layoutbridge.report.darknet.tunings import show_tuning

    if not cfg.lower().endswith(".cfg"):
        raise ParameterError(f"what is tuned is a network: {cfg[:80]!r} does not end in .cfg")
    pictures = read_calibrate(int8, calibrate)
    budget = Budget(max_deviation, _bytes(max_memory), max_load, _bytes(max_size))
    numbers = None if threads is None else [whole(word, "--threads") for word in listed(threads, "--threads") or ()]
    named, whole_folder = listed(targets, "--targets"), output is not None and _is_folder(output)
    options: dict[str, Any] = {"head": head, "batch": batch, "names": names, "half": half}
    options = {name: value for name, value in options.items() if value not in (None, False)}
    if output is not None and whole_folder:
        _refuse_folder(output)
        named = _targets_in(output, named, cfg, weights, force=force)
    elif output is not None:
        target = _target(output)
        if named not in (None, [target.name]):
            raise ParameterError(
                f"'{output}' is for {target.name}, not for {targets}: give a folder for the best of several"
            )
        named = [target.name]
        given = {name: value for name, value in options.items() if name != "half"}
        refuse_place(target, cfg, weights, output, given, int8=int8, force=force)
    net = loaded_network(cfg, weights, flavor=flavor, size=size, upto=None)
    if names is not None:
        options["names"] = read_names(names)
    found = tuned(net, options, targets=named, calibrate=pictures, threads=numbers, budget=budget, seconds=seconds)
    if not as_json:
        show_tuning(console(), found)
    elif output is None:
        print_json(json.loads(found.to_json()))
    if output is None:
        return
    if whole_folder:
        Path(output).mkdir(exist_ok=True)
        output = _file_in(output, cfg, port(found.best.target))
    remark(told_choice(found))
    if not write_choice(net, found, cfg, weights, output, options, calibrate=pictures, check=True, as_json=as_json):
        raise typer.Exit(1)


def _target(output: str) -> Port:
    """The target whose programs end as `output` does."""
    from layoutbridge.darknet.tuning.candidates import TUNED_TARGETS

    endings = {name: port(name).endings[0] for name in TUNED_TARGETS}
    fitting = next((name for name, ending in endings.items() if ending == Path(output).suffix), None)
    if fitting is None:
        raise ParameterError(f"'{output}' must end in {', '.join(endings.values())}, or be a folder, without an ending")
    return port(fitting)


def _is_folder(output: str) -> bool:
    """Whether it is one, or could be: its name has no ending."""
    if not output:
        raise ParameterError("-o names a file or a folder, and '' is neither")
    return is_folder(output) or not Path(output).suffix


def _bytes(megabytes: float | None) -> int | None:
    """Bytes of so many megabytes."""
    return None if megabytes is None else int(megabytes * _MEGABYTE)


def _refuse_folder(output: str) -> None:
    """Raise for what can be no folder to write into, before the work."""
    path = Path(output)
    if exists(path) and not is_folder(path):
        raise UnusableInputError(f"'{output}' is a file: give a folder, or a file whose ending tells the target")
    if not is_folder(path) and not is_folder(path.parent):
        raise UnusableInputError(f"cannot write into '{path.parent}': there is no such folder")


def _targets_in(folder: str, targets: list[str] | None, cfg: str, weights: str, *, force: bool) -> list[str] | None:
    """Those of the targets that can be written in the folder; of what would be lost somebody is asked.

    A target whose files would take the place of another's is left out, and told; raises where all of them are.
    """
    from layoutbridge.darknet.tuning.candidates import installed_targets

    if not is_folder(folder):
        return targets
    written: list[Path] = []
    left: dict[str, UnusableInputError] = {}
    chosen = installed_targets(targets)[0]
    for target in chosen:
        output = _file_in(folder, cfg, target)
        try:
            refuse_place(target, cfg, weights, output, {}, int8=False, force=True)
        except UnusableInputError as error:
            left[target.name] = error
            continue
        written += [Path(output), *target.beside(Path(output))]
    if left and len(left) == len(chosen):
        raise next(iter(left.values()))
    for name, reason in left.items():
        remark(f"{name} is not tried: {reason}")
    ask_before_overwriting(written, force=force)
    return [target.name for target in chosen if target.name not in left] if left else targets


def _file_in(folder: str, cfg: str, target: Port) -> str:
    return str(Path(folder) / f"{Path(cfg).stem}{target.endings[0]}")
