"""Surfaces of models and pictures, which libraries of others read: each is loaded, and run on small inputs."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np

import layoutbridge as lb
from layoutbridge.darknet.returning.opening import source_of
from tests.darknet_files import ROOT
from tests.fuzzing.mutation import mutated, mutated_message, mutated_zip
from tests.fuzzing.surface import surface, written

_SHAPE = (1, 4, 4, 4)


def _identified(path: Path) -> None:
    lb.identify(path, _SHAPE).explain()


# ---------------------------------------------------------------------- ONNX


def mutated_onnx(random: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """A model with some fields changed; or its bytes."""
    import onnx

    if random.random() < 0.15:
        return mutated(random, data, others)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception:  # it has been changed before
        return mutated(random, data, others)
    for _ in range(random.choice((1, 1, 2, 4))):
        mutated_message(random, model)
    return model.SerializeToString()


@surface(".onnx", mutate=mutated_onnx, needs=("onnx", "onnxruntime"), share=2, loud=True)
def onnx(data: bytes, folder: Path) -> None:
    """A model of one tensor in and one out, named."""
    _identified(written(folder, "model.onnx", data))


@surface(".onnx", mutate=mutated_onnx, needs=("onnx", "onnxruntime", "PIL"), share=2, loud=True)
def detector(data: bytes, folder: Path) -> None:
    """A model that finds objects, with its metadata, on a small picture."""
    from layoutbridge.darknet import Detector

    made = Detector(written(folder, "boxes.onnx", data))
    made.detect(np.full((6, 5, 3), 128, np.uint8)).to_json()


# ---------------------------------------------------------------------- pictures

_FORMS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000", "AVIF")


def drawn_picture(random: Random) -> bytes:
    """A small picture in one of the forms and modes that are read."""
    from PIL import Image, features

    form, mode = random.choice(_FORMS), random.choice(("RGB", "L", "RGBA", "P", "1", "I;16", "CMYK", "LA", "F", "I"))
    lacking = form == "AVIF" and not features.check("avif")
    image = Image.new(mode, (random.randint(1, 12), random.randint(1, 12)))
    held = io.BytesIO()
    try:
        image.save(held, "PNG" if lacking else form)
    except (OSError, ValueError, KeyError):  # a mode that the form does not have
        held = io.BytesIO()
        image.convert("RGB").save(held, "PNG" if lacking else form)
    return held.getvalue()


def mutated_picture(random: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """A picture with changed bytes; a PNG's sums are made to fit again, for else nothing behind them is read."""
    changed = mutated(random, data, others)
    return _with_sums(changed) if changed.startswith(b"\x89PNG") and random.random() < 0.8 else changed


def _with_sums(data: bytes) -> bytes:
    at, parts = 8, [data[:8]]
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        parts.append(data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
    return b"".join(parts)


@surface(".picture", drawn_picture, mutate=mutated_picture, needs=("PIL",), share=2)
def picture(data: bytes, folder: Path) -> None:
    """A picture, read and fitted to a network's input."""
    from layoutbridge.darknet.detection.pictures import open_picture, pixels_of
    from layoutbridge.darknet.detection.resizing import letterbox, resize

    image = open_picture(written(folder, "a.picture", data))
    for channels in (1, 3):
        pixels = pixels_of(image, channels)
    letterbox(pixels, 8, 8), resize(pixels, 8, 8)


# ---------------------------------------------------------------------- Keras and JAX


@surface(".keras", mutate=mutated_zip, needs=("tensorflow",), share=2)
def keras(data: bytes, folder: Path) -> None:
    """A .keras file, named."""
    _identified(written(folder, "model.keras", data))


def _back(path: Path) -> None:
    """A network's weights, of the model at `path`."""
    folder = ROOT / "fixtures/nets/alexey/classifier"
    net = lb.darknet.load(folder / "net.cfg")
    net.with_weights_of(source_of(net.network, path))


@surface(".h5", needs=("h5py",), share=0.5)
def keras_weights(data: bytes, folder: Path) -> None:
    """An .h5 file, brought back to Darknet."""
    _back(written(folder, "model.h5", data))


@surface(".pth", mutate=mutated_zip, needs=("torch",), loud=True)
def state_dict(data: bytes, folder: Path) -> None:
    """A .pth file, brought back to Darknet."""
    _back(written(folder, "model.pth", data))


@surface(".jax", needs=("jax", "flatbuffers"), loud=True)
def jax(data: bytes, folder: Path) -> None:
    """An exported function, named."""
    _identified(written(folder, "model.jax", data))
