"""Trained networks on real pictures, by every runtime and every way in: the same boxes, those that Darknet found."""

import json

import numpy as np
import pytest

from layoutbridge.darknet import Detector
from layoutbridge.darknet.ports.table import TARGETS
from tests.darknet_files import SHARED

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

REAL = SHARED / "real"
if not REAL.is_dir():
    pytest.skip(f"the trained networks (other people's, not copied here) are not at {REAL}", allow_module_level=True)

PACKAGES = {"onnx": "onnxruntime", "keras": "tensorflow", "tflite": "ai_edge_litert"}  # others are called as imported
PLACE, SCORE = 0.004, 0.006  # how far a number of Darknet's may be off
ALIKE = 1e-3  # and one of another runtime, as a share of the picture
FOLDERS = sorted(path.parent for path in REAL.glob("*/net.cfg"))
PICTURES = sorted((REAL / "pictures").glob("*.png"))
REPEATED = 7  # times that each picture comes in a list: several are looked at at once then


def rows_of(found):
    width, height = found.picture_size
    sides = [width, height, width, height]
    rows = np.column_stack([found.classes, found.scores, found.xywh / sides]).astype(np.float64).reshape(-1, 6)
    return rows[np.lexsort(rows[:, ::-1].round(2).T)]


def partners(some, others, place, score):
    """How many of `some` have one of their own among `others`."""
    left = list(others)
    for row in some:
        near = next((n for n, one in enumerate(left) if one[0] == row[0] and abs(one[1] - row[1]) <= score
                     and np.abs(one[2:] - row[2:]).max() <= place), None)  # fmt: skip
        if near is not None:
            del left[near]
    return len(others) - len(left)


def ways_of(tmp_path):
    arrays = [np.array(Image.open(path).convert("RGB")) for path in PICTURES]
    listed = tmp_path / "list.txt"
    listed.write_text("\n".join(map(str, PICTURES)))
    return {
        "folder": (REAL / "pictures", {}),
        "glob": (f"{REAL}/pictures/*.png", {}),
        "list": ([*map(str, PICTURES)] * REPEATED, {}),
        "batches": ([*map(str, PICTURES)] * REPEATED, {"batch": 3}),
        "text file": (str(listed), {}),
        "RGB": (arrays, {}),
        "BGR": ([array[:, :, ::-1] for array in arrays], {"color_order": "BGR"}),
        "bytes": ([path.read_bytes() for path in PICTURES], {}),
    }


def film_of(path, av):
    """The pictures cut to one size, in a film that loses nothing; and as they are in it."""
    sizes = [Image.open(picture).size for picture in PICTURES]
    width, height = (min(size[k] for size in sizes) // 2 * 2 for k in (0, 1))
    images = [Image.open(picture).convert("RGB").crop((0, 0, width, height)) for picture in PICTURES]
    with av.open(path, "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
        for image in images:
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.array(image), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return images


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
@pytest.mark.parametrize("framework", [*TARGETS])
def test_every_runtime_and_every_way_in(folder, framework, tmp_path):
    package = PACKAGES.get(framework, framework)
    pytest.importorskip(package, reason=f"{package} is not installed")
    detector = Detector(folder / "net.cfg", folder / "net.weights", framework=framework, threads=2)
    wanted = json.loads((folder / "detections.json").read_text())
    for letterbox, threshold in ((False, 0.25), (True, 0.25), (False, 0.05), (True, 0.05)):
        options = {"confidence": threshold, "letterbox": letterbox}
        alone = [rows_of(detector.detect(path, **options)) for path in PICTURES]
        for path, rows in zip(PICTURES, alone, strict=True):
            theirs = np.array(wanted[path.stem][f"{'letterbox' if letterbox else 'stretch'} {threshold}"]).reshape(
                -1, 6
            )
            assert len(rows) == len(theirs) == partners(rows, theirs, PLACE, SCORE), (path.stem, options)
        if threshold == 0.05:
            continue
        for told, (source, more) in ways_of(tmp_path).items():
            found = [rows_of(one) for one in detector.detect(source, **options, **more)]
            assert len(found) in (len(alone), len(alone) * REPEATED)
            for rows, own in zip(found, alone * REPEATED, strict=False):
                assert len(rows) == len(own) == partners(rows, own, ALIKE, ALIKE), told
        av = pytest.importorskip("av", reason="PyAV is not installed")
        images = film_of(tmp_path / "film.mkv", av)
        for one, image in zip(detector.detect(tmp_path / "film.mkv", **options), images, strict=True):
            own = rows_of(detector.detect(image, **options))
            assert len(own) == len(one) == partners(rows_of(one), own, ALIKE, ALIKE), "film"
