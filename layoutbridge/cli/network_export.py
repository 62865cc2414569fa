"""`export` of a whole network: which options fit which target, what is written, what is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layoutbridge.cli.arguments import loaded_network
from layoutbridge.cli.printing import errors_console, remark
from layoutbridge.errors import ParameterError, UnusableInputError
from layoutbridge.frameworks.onnx import forms as onnx_forms

if TYPE_CHECKING:
    from layoutbridge.darknet.network import DarknetNetwork

RUNTIMES = {**dict.fromkeys(onnx_forms.RUNTIMES, "onnx"), "litert": "tflite"}  # and what they read
_EVERYWHERE = ("--flavor", "--head", "--size", "--upto", "--every-layer", "--strict", "WEIGHTS")
_OPTIONS = {  # what each target takes besides
    "onnx": ("--batch", "--half", "--for", "--winograd", "--nms", "--names", "--dynamic-size", "--keep-batch-norm",
             "--external-data"),
    "torch": ("--batch",),
    "keras": ("--batch",),
    "tflite": ("--batch", "--half", "--for"),
    "ncnn": (),
}  # fmt: skip
TARGETS = tuple(_OPTIONS)
_ENDINGS = {
    "onnx": (".onnx",), "torch": (".pt2", ".safetensors"), "keras": (".keras", ""), "tflite": (".tflite",),
    "ncnn": (".param",),
}  # fmt: skip
_SHOWN = 4  # outputs that are named in full


def refuse_unfit(target: str, given: Mapping[str, Any]) -> None:
    """Raise `ParameterError` for an option that `target` does not take."""
    allowed = (*_EVERYWHERE, *_OPTIONS[target])
    for option, value in given.items():
        if value not in (None, False) and option not in allowed:
            fitting = [name for name, options in _OPTIONS.items() if option in options]
            raise ParameterError(f"{option} is for --to {' or '.join(fitting)}, not --to {target}")


def export_network(
    target: str, cfg: str, weights: str, output: str, read: Mapping[str, Any], options: Mapping[str, Any]
) -> None:
    """Write the network in `cfg` and `weights` for `target` to `output`, and tell what was written.

    `read` are the options of reading, `options` those of the target's writer.
    """
    from layoutbridge.files import refuse_overwriting

    names = options.get("names")
    for written in _written(target, output):
        refuse_overwriting(written, [cfg, weights, *([] if names is None else [names])])
    _check_place(target, output)
    for option, key in (("--head", "head"), ("--batch", "batch"), ("--every-layer", "every_layer")):
        if key in options and Path(output).suffix == ".safetensors":
            raise ParameterError(f"{option} is for programs (.pt2): a state dict alone has no outputs")
    net = loaded_network(cfg, weights, **read)
    _WRITERS[target](net, output, dict(options))


def _check_place(target: str, output: str) -> None:
    """Raise for an ending or a folder that cannot be, before anything is read."""
    path, endings = Path(output), _ENDINGS[target]
    elsewhere = {ending for others in _ENDINGS.values() for ending in others if ending} - {*endings}
    if target == "onnx":  # any name may be given, but for another target's
        if path.suffix in elsewhere:
            raise ParameterError(
                f"'{output}' must end in .onnx with --to onnx: {path.suffix} is another format's ending"
            )
    elif path.suffix not in endings:
        allowed = " or ".join(ending or "have no ending (a folder)" for ending in endings)
        raise ParameterError(f"'{output}' must end in {allowed} with --to {target}")
    if not path.parent.is_dir():
        raise UnusableInputError(f"cannot write into '{path.parent}': there is no such folder")
    if path.is_dir() and (path.suffix or target != "keras" or not path.name or any(path.iterdir())):
        raise UnusableInputError(f"'{output}' is a folder, and not empty or not what is written: name another")


def _written(target: str, output: str) -> list[str]:
    """The files that writing `output` may replace."""
    beside = {"onnx": [f"{output}.data"], "torch": [_beside(output, ".safetensors")], "ncnn": [_beside(output, ".bin")]}
    return [output, *beside.get(target, [])]


def _beside(path: str, suffix: str) -> str:
    return os.fspath(Path(path).with_suffix(suffix)) if Path(path).name else path


def _write_onnx(net: DarknetNetwork, output: str, options: dict[str, Any]) -> None:
    from layoutbridge.darknet.detection.detector import read_names
    from layoutbridge.report.progress import byte_progress

    if "names" in options:
        options["names"] = read_names(options["names"])
    with byte_progress(errors_console(), "writing") as progress:
        made = net.to_onnx(output, progress=progress, **options)
    _tell([made.path, made.data_path], f"opset {made.opset}, {_told_outputs(made.outputs, options)}", made.warnings)
    if made.winograd is not None:
        used = made.winograd
        cost = f"a session takes {used.extra_bytes / 1e6:.1f} MB more for their weights, and seconds longer to load"
        remark(
            f"Winograd's form in {used.layers} of {used.convolutions} convolutions: "
            f"{cost if used.layers else 'at these sizes it would gain nothing'}"
        )


def _write_torch(net: DarknetNetwork, output: str, options: dict[str, Any]) -> None:
    from layoutbridge.darknet.ports.torch import PROGRAM, write_torch

    both = Path(output).suffix == PROGRAM
    made = write_torch(net.network, net.parameters, output, state_dict=both, sources=net.sources, **options)
    files = [made.path, made.state_path] if both else [made.path]
    _tell(files, _told_outputs(made.outputs, options) if made.outputs else "the state dict of to_torch()")


def _write_keras(net: DarknetNetwork, output: str, options: dict[str, Any]) -> None:
    from layoutbridge.darknet.ports.keras import write_keras

    made = write_keras(net.network, net.parameters, output, **options)
    _tell([made.path], _told_outputs(made.outputs, options))
    for remaining in made.transposes:
        remark(f"transposed at {remaining.layer}: {remaining.reason}")
    if not made.transposes:
        remark("no transpose in it, from the picture to the outputs")


def _write_tflite(net: DarknetNetwork, output: str, options: dict[str, Any]) -> None:
    options.pop("runtime", None)  # LiteRT's, the only one that reads it
    _write_keras(net, output, {"batch": 1} | options)


def _write_ncnn(net: DarknetNetwork, output: str, options: dict[str, Any]) -> None:
    from layoutbridge.report.progress import byte_progress

    with byte_progress(errors_console(), "writing") as progress:
        made = net.to_ncnn(output, progress=progress, **options)
    _tell([made.path, made.bin_path], _told_outputs(made.outputs, {"batch": 1}))
    remark("for float32 switch net.opt.use_fp16_packed, use_fp16_storage and use_fp16_arithmetic off before loading it")


_WRITERS: dict[str, Callable[[Any, str, dict[str, Any]], None]] = {
    "onnx": _write_onnx,
    "torch": _write_torch,
    "keras": _write_keras,
    "tflite": _write_tflite,
    "ncnn": _write_ncnn,
}


def _tell(files: Sequence[Path | None], what: str, warnings: Sequence[str] = ()) -> None:
    for warning in warnings:
        remark(f"warning: {warning}")
    remark(f"wrote {' and '.join(str(file) for file in files if file is not None)}: {what}")


def _told_outputs(outputs: Mapping[str, Sequence[int | None]], options: Mapping[str, Any]) -> str:
    batch = options.get("batch", "N")
    told = [
        f"{name} [{batch}, {', '.join('?' if length is None else str(length) for length in shape)}]"
        for name, shape in list(outputs.items())[:_SHOWN]
    ]
    more = f", and {len(outputs) - _SHOWN} more" if len(outputs) > _SHOWN else ""
    return f"{'output' if len(outputs) == 1 else 'outputs'} {', '.join(told)}{more}"
