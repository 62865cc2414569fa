"""Files of LiteRT, run by its interpreter."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.detectors.metadata import read_within
from layoutbridge.darknet.detectors.opened import Opened, Outputs, is_channels_last, picture_shape
from layoutbridge.darknet.ports.records.tuned import Settings, as_tuned
from layoutbridge.darknet.ports.tflite import opened, refusals_to_run
from layoutbridge.errors import UnsupportedError, counted

_THREADS = 2


def open_model(path: str | os.PathLike[str], threads: int = 0, *, settings: Settings | None = None) -> Opened:
    """The model at `path`, two threads at `threads` 0; its input may have channels first or last.

    LiteRT has no `settings` here.

    Raises `UnusableInputError` for what LiteRT cannot load, `UnsupportedError` where its input is no picture of
    floating-point numbers, and `MissingFrameworkError`.
    """
    source, metadata = os.fspath(path), read_within(path)
    threads, _ = as_tuned(metadata, "tflite", threads, settings)
    runner = opened(path, threads or _THREADS)
    with refusals_to_run(path):
        (name, taken), *states = runner.get_input_details().items()
        given = runner.get_output_details()
    if states:
        raise UnsupportedError(f"'{source}' takes {counted(len(states), 'input')} beside the picture")
    if np.dtype(taken["dtype"]) != np.float32:
        raise UnsupportedError(f"'{source}' takes {np.dtype(taken['dtype'])}: float32 of RGB in 0..1 is wanted")
    lengths = tuple(int(length) for length in taken["shape"])
    last = is_channels_last(lengths, metadata)

    def run(x: NDArray[np.float32]) -> Outputs:
        with refusals_to_run(path):
            made = runner(**{name: np.ascontiguousarray(x.transpose(0, 2, 3, 1) if last else x)})
        return {output: _in_float(np.asarray(value), *given[output]["quantization"]) for output, value in made.items()}

    shape = picture_shape(lengths, source, channels_last=last)
    return Opened(source, "tflite", run, shape, lengths[0], channels_last=last, metadata=metadata)


def _in_float(values: NDArray[Any], scale: float, zero: int) -> NDArray[Any]:
    """An output; of whole numbers that stand for others, those."""
    return values if scale == 0 else (values.astype(np.float32) - np.float32(zero)) * np.float32(scale)
