"""Trained networks on labelled pictures: what the real Darknet prints, letterboxed and not, in a runtime."""

import json

import pytest

from layoutbridge.darknet import Detector, evaluate
from tests.conftest import FIXTURES
from tests.darknet_files import SHARED

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

REAL = SHARED / "real"
if not REAL.is_dir():
    pytest.skip(f"the trained networks (other people's, not copied here) are not at {REAL}", allow_module_level=True)
CASES = json.loads((FIXTURES / "detector_map_real.json").read_text())
MADE = [(name, how) for name in ("dog", "horses", "person") for how in ("plain", "mirrored", "left half")]


def made(name, how):
    image = Image.open(REAL / "pictures" / f"{name}.png").convert("RGB")
    if how == "mirrored":
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return image if how == "plain" else image.crop((0, 0, image.width // 2, image.height))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for number, (name, how) in enumerate(MADE):
        made(name, how).save(folder / f"{number}.png")
    return folder


def lines(rows):
    return "".join(f"{' '.join(map(str, row))}\n" for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["network"])
def test_it_equals_what_darknet_prints(case, pictures):
    (pictures / "hard").mkdir(exist_ok=True)
    for number, (rows, difficult) in enumerate(zip(case["labels"], case["difficult"], strict=True)):
        (pictures / f"{number}.txt").unlink(missing_ok=True)
        if rows is not None:
            (pictures / f"{number}.txt").write_text(lines(rows))
        (pictures / f"hard/{number}.txt").write_text(lines(difficult))
    listed = [*range(len(MADE)), 0]
    (pictures / "valid.list").write_text("".join(f"{number}.png\n" for number in listed))
    (pictures / "hard.list").write_text("".join(f"hard/{number}.png\n" for number in listed))
    (pictures / "plain.data").write_text("valid = valid.list\n")
    (pictures / "hard.data").write_text("valid = valid.list\ndifficult = hard.list\n")
    folder = REAL / case["network"]
    detector = Detector(folder / "net.cfg", folder / "net.weights", framework="onnx")
    for told in case["darknet"]:
        options = {name: told[name] for name in ("iou", "points", "threshold", "letterbox")}
        result = evaluate(detector, pictures / ("hard.data" if told["difficult"] else "plain.data"), **options)
        count = result.darknet
        assert round(count.mean_average_precision, 4) == round(told["map"], 4)
        named = {"ap": "average_precision", "tp": "true_positives", "fp": "false_positives"}
        for short, long in named.items():
            own = {str(row.class_index): getattr(row, long) for row in count.classes if getattr(row, long)}
            wanted = {index: value / 100 if short == "ap" else value for index, value in told[short].items()}
            assert own == pytest.approx(wanted, abs=6e-5)
        assert count.average_iou * 100 == pytest.approx(told["average_iou"], abs=0.011)
        assert (count.detections, count.truths) == (told["detections"], told["truths"])
        assert len(result.without_labels) == 1
