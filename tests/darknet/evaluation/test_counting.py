"""The count of constructed detections: what Darknet's own code counts of them, digit by digit."""

import json
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from layoutbridge.darknet.evaluation.counting import Counter, average_precision
from layoutbridge.darknet.evaluation.evaluations import Evaluation
from layoutbridge.darknet.evaluation.labels import Truth
from layoutbridge.report.darknet.evaluation import show_evaluation
from tests.conftest import FIXTURES

CASES = json.loads((FIXTURES / "detector_map.json").read_text())
SUMS = ("true_positives", "false_positives", "false_negatives", "detections")


def counted(case):
    counter = Counter([f"class {k}" for k in range(case["classes"])], iou=case["iou"], threshold=case["threshold"])
    for picture in case["pictures"]:
        rows = np.array(picture["boxes"], np.float32).reshape(-1, 4 + case["classes"])
        counter.add(np.insert(rows, 4, 1, axis=1), Truth.of(picture["truth"]), Truth.of(picture["difficult"]))
    return counter


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['name']} at {case['iou']}")
def test_it_equals_darknets(case):
    counter, darknet = counted(case), case["darknet"]
    for points in (0, 11, 101):
        count = counter.count(points=points)
        own = [row.average_precision for row in count.classes]
        assert own == pytest.approx(darknet["ap"][str(points)], abs=1e-8)
        assert count.mean_average_precision == pytest.approx(darknet["map"][str(points)], abs=1e-8)
    assert [row.true_positives for row in count.classes] == darknet["tp"]
    assert [row.false_positives for row in count.classes] == darknet["fp"]
    assert [row.truths for row in count.classes] == darknet["truths"]
    assert [row.average_iou for row in count.classes] == pytest.approx(darknet["iou"], abs=1e-6)
    assert [getattr(count, name) for name in SUMS] == [darknet[name] for name in SUMS]
    assert count.truths == darknet["all_truths"]
    for name in ("precision", "recall", "f1", "average_iou"):  # null where Darknet prints nan
        assert getattr(count, name) == pytest.approx(darknet[name] or 0, abs=1e-6), name


def test_the_cases_are_not_all_alike():
    maps = {case["darknet"]["map"]["0"] for case in CASES}
    assert len(maps) > 10 and any(case["darknet"]["map"]["0"] != case["darknet"]["map"]["11"] for case in CASES)


def test_nothing_found_at_all():  # where Darknet itself reads before its memory
    counter = Counter(["dog", "cat"])
    counter.add(np.zeros((0, 7), np.float32), Truth.of([(0, 0.5, 0.5, 0.1, 0.1)]))
    count = counter.count(points=11)
    assert (count.mean_average_precision, count.false_negatives, count.detections, count.f1) == (0, 1, 0, 0)
    assert Counter(["dog"]).count().truths == 0


@pytest.mark.parametrize("points", [0, 11, 101])
def test_average_precision_against_its_definition(points):
    random = np.random.default_rng(3)
    for _ in range(200):
        right = random.random(random.integers(1, 30)) < 0.4
        truths = int(right.sum() + random.integers(1, 4))
        precision = [right[: k + 1].sum() / (k + 1) for k in range(len(right))]
        recall = [right[: k + 1].sum() / truths for k in range(len(right))]
        if points == 0:
            best = [max(precision[k:]) for k in range(len(right))]
            wanted = sum(best[k] / truths for k in range(len(right)) if right[k])
        else:
            asked = [k * (1.0 / (points - 1)) for k in range(points)]
            wanted = np.mean(
                [max((p for p, r in zip(precision, recall, strict=True) if r >= one), default=0) for one in asked]
            )
        assert average_precision(right, truths, points) == pytest.approx(wanted, abs=1e-12)


def test_classes_without_boxes_are_told():
    counter = Counter(["dog", "cat"])
    counter.add(np.float32([[0.5, 0.5, 0.2, 0.2, 0.9, 0.8, 0]]), Truth.of([(0, 0.5, 0.5, 0.2, 0.25)]))
    written = StringIO()
    console = Console(file=written, width=200)
    show_evaluation(console, Evaluation("net.cfg", "my.data", 1, counter.count(points=0), None))
    told = written.getvalue()
    assert "mAP@0.50 = 0.500000" in told
    assert "1 of the 2 classes have no boxes in these pictures and count as 0, as in Darknet: of the others" in told
    assert told.rstrip().endswith("the mean is 100.00%")
