"""Whole networks over labelled pictures: what the real Darknet prints, for every kind of head, digit by digit."""

import json

import numpy as np
import pytest

from layoutbridge.darknet import Detector, evaluate
from tests.conftest import FIXTURES

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

CASES = json.loads((FIXTURES / "detector_map_nets.json").read_text())
SIZES = ((60, 40), (31, 77), (16, 16), (120, 90), (50, 50))


def labelled(folder, case):
    """The pictures that were counted, drawn again, with the labels that they had."""
    for number, rows in enumerate(case["labels"]):
        width, height = SIZES[number]
        pixels = np.random.default_rng(case["seeds"][number]).integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("".join(f"{' '.join(map(str, row))}\n" for row in rows))
    (folder / "valid.txt").write_text("".join(f"{number}.png\n" for number in range(len(SIZES))))
    (folder / "my.data").write_text("valid = valid.txt\n")
    return folder / "my.data"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["net"])
def test_it_equals_what_darknet_prints(case, tmp_path):
    net = FIXTURES / case["net"]
    detector = Detector(net / "net.cfg", net / "net.weights", framework="reference")
    data = labelled(tmp_path, case)
    for told in case["darknet"]:
        count = evaluate(detector, data, **{name: told[name] for name in ("iou", "points", "threshold")}).darknet
        assert round(count.mean_average_precision, 6) == told["map"]
        assert [round(row.average_precision * 100, 2) for row in count.classes] == told["ap"]
        assert [row.true_positives for row in count.classes] == told["tp"]
        assert [row.false_positives for row in count.classes] == told["fp"]
        assert [count.true_positives, count.false_positives, count.false_negatives] == told["sums"]
        assert round(count.average_iou * 100, 2) == told["average_iou"]
        assert (count.detections, count.truths) == (told["detections"], told["truths"])
