"""OpenVINO's files, run on the CPU: in float32, but where settings ask for less."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detectors.opened import Opened, Outputs, Size, picture_shape
from layoutbridge.darknet.ports.openvino import IN_FLOAT32, read_files, refusals_of
from layoutbridge.darknet.ports.records.halves import half_in
from layoutbridge.darknet.ports.records.tuned import Settings, as_tuned
from layoutbridge.errors import UnsupportedError, counted
from layoutbridge.frameworks.base import require

_PRECISION = "INFERENCE_PRECISION_HINT"
_FRAMEWORK = "framework"  # where the metadata of an ONNX model lie in the file


def open_model(
    path: str | os.PathLike[str], threads: int = 0, *, settings: Settings | None = None, size: Size | None = None
) -> Opened:
    """The model in the .xml at `path` and the .bin beside it; `threads` 0 leaves their number to OpenVINO.

    `settings` are OpenVINO's own properties; it computes in float32 where they name no precision. `size` is (width,
    height) of pictures where the file leaves them open.

    Raises `UnusableInputError` for what OpenVINO cannot read, `UnsupportedError` where its input is no picture or the
    processor has not the precision, and `MissingFrameworkError`.
    """
    openvino = require("openvino", "OpenVINO", "openvino")
    source, model = os.fspath(path), read_files(openvino, path)
    taken, *states = model.inputs
    if states:
        raise UnsupportedError(f"'{source}' takes {counted(len(states), 'input')} beside the picture")
    lengths = tuple(int(length.get_length()) if length.is_static else None for length in taken.partial_shape)
    with refusals_of(path, "load"):
        told = model.rt_info[_FRAMEWORK] if model.has_rt_info([_FRAMEWORK]) else {}
        metadata = {name: str(value.value) for name, value in told.items()}
    threads, used = as_tuned(metadata, "openvino", threads, settings)
    options = {**IN_FLOAT32, **({"INFERENCE_NUM_THREADS": threads} if threads else {}), **used}
    with refusals_of(path, "load"):
        compiled = openvino.Core().compile_model(model, "CPU", options)
        computed = compiled.get_property(_PRECISION).get_type_name()
    if computed != options[_PRECISION]:
        raise UnsupportedError(f"OpenVINO computes '{source}' in {computed} here, not in {options[_PRECISION]}")

    opened = Opened(
        source, "openvino", _running(compiled, path), picture_shape(lengths, source, size=size), lengths[0] or None,
        metadata=metadata,
    )  # fmt: skip

    def beside(count: int) -> Opened:
        streams = {"PERFORMANCE_HINT": "THROUGHPUT", "NUM_STREAMS": count, "INFERENCE_NUM_THREADS": count}
        with refusals_of(path, "load"):
            other = openvino.Core().compile_model(model, "CPU", {**IN_FLOAT32, **half_in("openvino", used), **streams})
        return replace(opened, run=_running(other, path))

    return replace(opened, beside=beside)


def _running(compiled: Any, path: str | os.PathLike[str]) -> Callable[[NDArray[np.float32]], Outputs]:
    """A function that several threads may call: each has a request of its own."""
    own = threading.local()

    def run(x: NDArray[np.float32]) -> Outputs:
        with refusals_of(path, "run"):
            if not hasattr(own, "request"):
                own.request = compiled.create_infer_request()
            results = own.request.infer([np.ascontiguousarray(x)])
            return {output.any_name: np.array(results[output]) for output in compiled.outputs}

    return run
