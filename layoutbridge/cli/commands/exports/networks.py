"""`export` of a whole network: for which target, with which options, what is written, what is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from shlex import quote
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from layoutbridge.cli.commands.exports.int8 import export_in_int8, quantized_record, tell_quantized
from layoutbridge.cli.commands.exports.tuning import AUTO, refuse_untuned, told_choice, tuned
from layoutbridge.cli.shared.arguments import flag_of, loaded_network, target_written
from layoutbridge.cli.shared.overwriting import ask_before_overwriting
from layoutbridge.cli.shared.printing import print_json, progress_console, remark, remark_warnings
from layoutbridge.darknet.ports.table import port, ports, runtimes
from layoutbridge.darknet.structure.choices import FLAVORS
from layoutbridge.errors import ParameterError, UnknownNameError, UnusableInputError
from layoutbridge.inputs import is_folder

if TYPE_CHECKING:
    from layoutbridge.darknet.detectors.written import WrittenCheck
    from layoutbridge.darknet.networks.network import DarknetNetwork
    from layoutbridge.darknet.ports.port import Export, Port
    from layoutbridge.darknet.tuning.results import Tuning


def export_network(
    cfg: str,
    weights: str,
    output: str,
    *,
    to: str | None,
    read: Mapping[str, Any],
    options: Mapping[str, Any],
    force: bool,
    check: bool,
    as_json: bool,
    calibrate: str | None = None,
) -> bool:
    """Write the network in `cfg` and `weights` to `output`, run it, and tell what was written; False if it is wrong.

    It is written for the target `to`, else for the one whose runtime the options name, else for the one whose files end
    as `output` does. `read` are the options of reading, `options` those of the target's writer: of either those that
    were given. With `force` nobody is asked about files that exist; without `check` what was written is not run. With
    `calibrate` it is written in int8, its ranges measured over these pictures. For the runtime "auto" the form is the
    fastest of those that are tried here (`darknet.tuning`), int8 only one of them.
    """
    from layoutbridge.darknet.detection.names import read_names

    asked = {name: value for name, value in options.items() if (name, value) != ("runtime", AUTO)}
    target = _target(to, asked.get("runtime"), output)
    automatic = len(asked) < len(options)
    if automatic:
        refuse_untuned(target, output, asked)
    refuse_place(target, cfg, weights, output, asked, int8=calibrate is not None, force=force)
    net = loaded_network(cfg, weights, **read)
    names = asked.get("names")
    chosen = {**asked, **({} if names is None else {"names": read_names(names)})}
    if not automatic:
        return write_network(
            net, target, cfg, weights, output, chosen, calibrate=calibrate, check=check, as_json=as_json
        )
    found = tuned(net, chosen, targets=[target.name], calibrate=calibrate)
    remark(told_choice(found))
    return write_choice(net, found, cfg, weights, output, chosen, calibrate=calibrate, check=check, as_json=as_json)


def refuse_place(
    target: Port, cfg: str, weights: str, output: str, options: Mapping[str, Any], *, int8: bool, force: bool
) -> None:
    """Raise for options that the target does not take and for places where it cannot or may not be written.

    Where a file would be lost somebody is asked, but with `force`.
    """
    from layoutbridge.files import refuse_anothers_weights, refuse_overwriting

    _refuse_unfit(target, {**options, "int8": True} if int8 else options)
    names = options.get("names")
    files = (Path(output), *(target.beside(Path(output)) if Path(output).name else ()))
    for written in files:
        refuse_overwriting(written, [cfg, weights, *([] if names is None else [names])])
    _check_place(target, output)
    refuse_anothers_weights(files)
    ask_before_overwriting(files, force=force)
    if Path(output).suffix in target.without_outputs:
        for option in ("head", "batch", "every_layer"):
            if option in options:
                programs = ", ".join(ending for ending in target.endings if ending not in target.without_outputs)
                raise ParameterError(
                    f"{flag_of(option)} is for programs ({programs}): a state dict alone has no outputs"
                )


def write_choice(
    net: DarknetNetwork,
    found: Tuning,
    cfg: str,
    weights: str,
    output: str,
    options: Mapping[str, Any],
    *,
    calibrate: str | None,
    check: bool,
    as_json: bool,
) -> bool:
    """Write what was found to be fastest, as `write_network` does; the JSON holds the trials, too."""
    from layoutbridge.darknet.tuning.tuning import options_to_write

    best = found.best
    chosen = options_to_write(found, {name: value for name, value in options.items() if name != "half"})
    pictures = calibrate if best.in_int8 else None
    more = {"tuning": json.loads(found.to_json())}
    return write_network(
        net,
        port(best.target),
        cfg,
        weights,
        output,
        chosen,
        calibrate=pictures,
        check=check,
        as_json=as_json,
        more=more,
        allowed=found.budget.deviation or 0.0,
    )


def write_network(
    net: DarknetNetwork,
    target: Port,
    cfg: str,
    weights: str,
    output: str,
    options: Mapping[str, Any],
    *,
    calibrate: str | None,
    check: bool,
    as_json: bool,
    more: Mapping[str, Any] = MappingProxyType({}),
    allowed: float = 0.0,
) -> bool:
    """Write the network, read from `cfg` and `weights`, run it, and tell what was written; False if it is wrong.

    `options` are the target's, `more` is what the JSON holds beside, `allowed` the deviation that was asked for where
    it is over what the form's arithmetic is allowed.
    """
    from layoutbridge.darknet.detectors.written import WrittenCheck
    from layoutbridge.darknet.networks.flavors import told_differences
    from layoutbridge.frameworks.framework import options_of
    from layoutbridge.report.progress import byte_progress

    chosen, taken = dict(options), options_of(target.write)
    if calibrate is not None:
        quantized = export_in_int8(net, target, output, calibrate, chosen)
        _tell(quantized.export)
        tell_quantized(quantized)
        if as_json:
            unchecked = WrittenCheck(None, 0.0, "int8 deviates: see changes and layers")
            record = _record(quantized.export, target.name, quantized.bytes, unchecked)
            print_json(record | quantized_record(quantized) | dict(more))
        else:
            _tell_next(quantized.export, net, cfg, output, options)
        return True
    with ExitStack() as bars:
        if "progress" in taken:
            chosen["progress"] = bars.enter_context(byte_progress(progress_console(), "writing"))
        if "sources" in taken:
            chosen["sources"] = net.sources
        made = target.write(net.network, net.parameters, output, **chosen)
    _tell(made)
    size = sum(
        path.stat().st_size for written in made.files for path in (written, *written.rglob("*")) if path.is_file()
    )
    found = _checked(made, net, target, options, allowed) if check else WrittenCheck(None, 0.0, "not asked for")
    _tell_check(found, size, asked=check)
    differences = told_differences(net.network, net.flavor_differences())
    if differences:
        remark(differences)
    if not found.ok:
        remark(f"what differs: layoutbridge compare {quote(cfg)} {quote(weights)} {quote(output)}{_flavor(net)}")
    elif found.deviation is not None:
        _tell_next(made, net, cfg, output, options)
    if as_json:
        print_json(_record(made, target.name, size, found) | dict(more))
    return found.ok


def _checked(
    made: Export, net: DarknetNetwork, target: Port, options: Mapping[str, Any], allowed: float
) -> WrittenCheck:
    """The file that was written, run beside the reference."""
    from layoutbridge.darknet.detectors.written import WrittenCheck, check_written
    from layoutbridge.darknet.ports.port import FLOAT16, WINOGRAD
    from layoutbridge.darknet.ports.records.halves import half_in
    from layoutbridge.report.progress import step_progress

    if not made.outputs:
        return WrittenCheck(None, 0.0, "it holds parameters alone")
    if made.head == "efficient_nms":
        return WrittenCheck(None, 0.0, "TensorRT's plugin runs in TensorRT alone")
    if target.runner is None:
        return WrittenCheck(None, 0.0, f"{target.title} runs elsewhere alone")
    tuned = options.get("tuned")
    in_half = options.get("half") or (tuned is not None and half_in(target.name, tuned.settings))
    tolerance = FLOAT16 if in_half else WINOGRAD if options.get("winograd") else target.runner.tolerance
    with step_progress(progress_console(), "checking"):
        return check_written(
            made.path, net.network, net.parameters, _head(made, options),
            tolerance=max(tolerance, allowed), open_size=bool(options.get("dynamic_size")),
        )  # fmt: skip


def _tell_check(found: WrittenCheck, size: int, *, asked: bool) -> None:
    from layoutbridge.report.numbers import size_told

    told = size_told(size)
    if found.deviation is not None:
        verdict = "" if found.ok else f", more than the {found.tolerance:g} that a right file stays within"
        deviation = f"{found.deviation:.1e} of the largest value"
        remark(f"{told}; run on a random picture: {deviation} from the float64 reference{verdict}")
    else:
        remark(f"{told}{f'; not checked: {found.reason}' if asked else ''}")


def _head(made: Export, options: Mapping[str, Any]) -> str:
    """What the file returns: as was asked for, or as the program expects that it is for."""
    return made.head or options.get("head") or "darknet"


def _tell_next(made: Export, net: DarknetNetwork, cfg: str, output: str, options: Mapping[str, Any]) -> None:
    """How to look at pictures with what was written, where `detect` or `classify` can.

    Anchors of Darknet's heads stand in the cfg, which is read as it was here: by the other fork's rules the numbers are
    other boxes.
    """
    from layoutbridge.darknet.ports.outputs import is_classifier
    from layoutbridge.darknet.structure.heads import DetectionHead, Region, YoloHead

    needed, size = "", None
    if is_classifier(net.network):
        if _head(made, options) == "darknet":
            needed = _sized((net.network.width, net.network.height) if options.get("dynamic_size") else None)
            remark(f"next: layoutbridge classify {quote(output)} PICTURES{needed}")
    elif any(isinstance(layer.settings, DetectionHead | Region | YoloHead) for layer in net.layers):
        if _head(made, options) in ("darknet", "raw"):
            needed, size = f" --cfg {quote(cfg)}{_flavor(net)}", None if net.blueprint is None else net.blueprint.size
        if options.get("dynamic_size"):  # detect fits pictures to the model's own size, which is told there
            size = net.network.width, net.network.height
        remark(f"next: layoutbridge detect {quote(output)} PICTURES -o FOLDER{needed}{_sized(size)}")


def _sized(size: tuple[int, int] | None) -> str:
    return "" if size is None else " --size {}x{}".format(*size)


def _flavor(net: DarknetNetwork) -> str:
    """The option that commands need to read the cfg as it was here; nothing where they do so by themselves."""
    return "" if net.network.flavor == FLAVORS[0] else f" --flavor {net.network.flavor}"


def _record(made: Export, target: str, size: int, found: WrittenCheck) -> dict[str, Any]:
    return {
        "target": target, "files": [str(path) for path in made.files], "bytes": size,
        "outputs": {
            name: [*(() if name in made.unbatched else made.leading), *shape] for name, shape in made.outputs.items()
        },
        "states": {name: [*made.leading, *shape] for name, shape in made.states.items()},
        "checked": found.deviation is not None, "deviation": found.deviation, "tolerance": found.tolerance,
        "ok": found.ok, "reason": found.reason, "warnings": list(made.warnings),
    }  # fmt: skip


def _target(to: str | None, runtime: str | None, output: str) -> Port:
    """What --to says, or what the runtime of --for reads, or what ends so."""
    chosen = None if to is None else port(to)
    if runtime is not None:
        reading = next((target for target in ports() if runtime in target.runtimes), None)
        if reading is None:
            raise UnknownNameError(f"no runtime is called {runtime!r}; there is {', '.join(runtimes())}")
        if chosen not in (None, reading):
            raise ParameterError(f"--for {runtime} is for --to {reading.name}, not --to {to}")
        return reading
    return chosen or port(target_written(output, {target.name: target.endings for target in ports()}))


def _refuse_unfit(target: Port, options: Mapping[str, Any]) -> None:
    """Raise `ParameterError` for an option that the target does not take."""
    from layoutbridge.frameworks.framework import options_of

    for option in options:
        if option not in options_of(target.write):
            fitting = [other.name for other in ports() if option in options_of(other.write)]
            raise ParameterError(f"{flag_of(option)} is for --to {' or '.join(fitting)}, not --to {target.name}")


def _check_place(target: Port, output: str) -> None:
    """Raise for an ending or a folder that cannot be, before anything is read."""
    path = Path(output)
    if path.suffix not in target.endings:
        _refuse_ending(target, output)
    if not is_folder(path.parent):
        raise UnusableInputError(f"cannot write into '{path.parent}': there is no such folder")
    if is_folder(path) and path.suffix and path.suffix in target.endings and any(path.iterdir()):
        raise UnusableInputError(
            f"'{output}' is there, and a folder is not overwritten, with --force neither: remove it, or name another"
        )
    if is_folder(path) and (path.suffix or "" not in target.endings or not path.name or any(path.iterdir())):
        raise UnusableInputError(f"'{output}' is a folder, and not empty or not what is written: name another")


def _refuse_ending(target: Port, output: str) -> None:
    """Raise for one that is not the target's, where files of that must have one of its own or it is another's."""
    path = Path(output)
    if target.any_ending:
        elsewhere = {ending for other in ports() for ending in other.endings if ending} - {*target.endings}
        if path.suffix in elsewhere:
            raise ParameterError(
                f"'{output}' must end in {target.endings[0]} with --to {target.name}: {path.suffix} is another "
                "format's ending"
            )
    else:
        *others, last = [ending or "have no ending (a folder)" for ending in target.endings]
        allowed = f"{', '.join(others)} or {last}" if others else last
        raise ParameterError(f"'{output}' must end in {allowed} with --to {target.name}")


def _tell(made: Export) -> None:
    remark_warnings(made.warnings)
    remark(f"wrote {made}")
    if made.states:
        from layoutbridge.darknet.ports.port import next_state

        remark(f"states, each an input and, behind the step, an output {next_state('NAME')}: {_told_states(made)}")
    for line in made.remarks:
        remark(line)


def _told_states(made: Export) -> str:
    return ", ".join(f"{name} {made.shaped(shape)}" for name, shape in made.states.items())
