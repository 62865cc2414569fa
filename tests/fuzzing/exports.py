"""Surfaces beside the table: what runs our own exports in ncnn, OpenVINO and LiteRT.

No command reads such files, and these runtimes check little, so nothing is promised for files of others. The hunt looks
here when a surface is named: `python -m tests.fuzzing ncnn`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.fuzzing.surface import CORPORA, surface, written

_INPUT = np.zeros((1, 3, 4, 4), np.float32)
_BLOB = "0_convolutional"  # the result of the corpus' network


@surface(".param", needs=("ncnn",), loud=True)
def ncnn(data: bytes, folder: Path) -> None:
    """An ncnn network's .param, with the .bin that belongs to the corpus."""
    from layoutbridge.darknet.ports.ncnn import run_ncnn_files

    weights = written(folder, "net.bin", (CORPORA / "ncnn.beside" / "net.bin").read_bytes())
    run_ncnn_files(written(folder, "net.param", data), weights, _INPUT, [_BLOB])


@surface(".xml", needs=("openvino",), loud=True)
def openvino(data: bytes, folder: Path) -> None:
    """An OpenVINO network's .xml, with the .bin that belongs to the corpus."""
    from layoutbridge.darknet.ports.openvino import run_openvino_files

    written(folder, "net.bin", (CORPORA / "openvino.beside" / "net.bin").read_bytes())
    run_openvino_files(written(folder, "net.xml", data), _INPUT)


@surface(".tflite", needs=("ai_edge_litert",), loud=True)
def tflite(data: bytes, folder: Path) -> None:
    """A .tflite file."""
    from layoutbridge.darknet.ports.tflite import run_tflite

    run_tflite(written(folder, "net.tflite", data), _INPUT)
