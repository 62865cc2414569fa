"""`export --int8`: pictures given or not, what was written, what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, redirect_stderr
from io import StringIO
from typing import TYPE_CHECKING, Any

from layoutbridge.cli.shared.printing import progress_console, remark, remark_warnings
from layoutbridge.errors import ParameterError

if TYPE_CHECKING:
    from layoutbridge.darknet.networks.network import DarknetNetwork
    from layoutbridge.darknet.ports.port import Port
    from layoutbridge.darknet.quantization.quantizing import Quantized


def read_calibrate(int8: bool, calibrate: str | None) -> str | None:
    """The pictures of --calibrate; raises `ParameterError` where --int8 or it stands alone."""
    if int8 and calibrate is None:
        raise ParameterError("--int8 measures over pictures which numbers occur: give some, --calibrate FOLDER")
    if calibrate is not None and not int8:
        raise ParameterError("--calibrate is for --int8: give both, or neither")
    return calibrate


def export_in_int8(
    net: DarknetNetwork, target: Port, output: str, calibrate: str, options: Mapping[str, Any]
) -> Quantized:
    """Write the network in int8 and tell on the way what is done, and which pictures could not be read."""
    from layoutbridge.darknet.quantization.quantizing import quantize
    from layoutbridge.report.progress import step_progress

    with step_progress(progress_console(), "rounding, and looking what changes"), _without_bars(target):
        made = quantize(net, output, calibrate, to=target.name, options=options)
    remark_warnings(made.unreadable)
    if made.left_out:
        remark(f"{made.left_out} more pictures were not looked at: what was measured no longer changes")
    return made


def _without_bars(target: Port) -> AbstractContextManager[object]:
    """LiteRT's quantizer draws a bar for each file that is tried, which nothing can switch off."""
    return redirect_stderr(StringIO()) if target.name == "tflite" else nullcontext()


def tell_quantized(made: Quantized) -> None:
    """The size, what changes in the pictures, and the layers that lost most."""
    from layoutbridge.report.darknet.quantization import (
        told_changes,
        told_in_float,
        told_layers,
        told_parts,
        told_weights,
    )
    from layoutbridge.report.numbers import size_told

    remark(
        f"{size_told(made.bytes)}, {made.share:.2f} of the {size_told(made.float_bytes)} in float32{told_weights(made)}"
    )
    for line in (*told_parts(made), *told_changes(made), *told_in_float(made), *told_layers(made)):
        remark(line)


def quantized_record(made: Quantized) -> dict[str, Any]:
    """The same for machines, with every layer."""
    changes = made.changes
    return {
        "float_bytes": made.float_bytes, "share": made.share, "weights_bytes": made.weights_bytes,
        "filters_bytes": made.filters_bytes, "structure_bytes": made.structure_bytes, "pictures": made.pictures,
        "unreadable": list(made.unreadable), "ok": made.ok,
        "changes": {
            "of": changes.of, "count": changes.count, "vanished": changes.vanished, "appeared": changes.appeared,
            "other_class": changes.other_class, "share": changes.share,
        },
        "layers": [
            {
                "index": layer.index, "name": layer.name, "line": layer.line, "loss": layer.loss,
                "decibels": layer.decibels, "in_float": layer.in_float,
            }
            for layer in made.layers
        ],
    }  # fmt: skip
