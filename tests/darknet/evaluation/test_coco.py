"""COCO's twelve numbers: those of pycocotools, for what was found and for labels of Darknet's."""

import json

import numpy as np
import pytest

from layoutbridge.darknet.evaluation.coco import STATISTICS, Collector
from layoutbridge.darknet.evaluation.datasets import Dataset, Labelled, read_coco
from layoutbridge.darknet.evaluation.labels import NOTHING, Truth

pytest.importorskip("faster_coco_eval", reason="faster-coco-eval is not installed")
coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
cocoeval = pytest.importorskip("pycocotools.cocoeval", reason="pycocotools is not installed")

SIZES = {3: (640, 480), 5: (100, 300), 8: (1000, 1000), 9: (50, 50)}
CATEGORIES = (90, 3, None, 17)


def drawn_rows(random, truth, size, count):
    """Rows [count, 5 + 4] near the true boxes, with ties and classes that are wrong."""
    rows = np.zeros((count, 9), np.float32)
    for row in rows:
        pick = truth[random.integers(len(truth))] if truth and random.random() < 0.7 else None
        box = random.uniform(0.1, 0.6, 4) if pick is None else np.array(pick[1:]) * random.uniform(0.9, 1.1, 4)
        row[:4], row[4] = box, 1
        row[5 + random.integers(4)] = random.integers(1, 20) / 20
        if pick is not None:
            row[5 + pick[0]] = random.integers(1, 20) / 20
    return rows


def drawn(seed):
    random = np.random.default_rng(seed)
    truths = {
        number: [
            (int(random.choice([0, 1, 3])), *random.uniform(0.2, 0.8, 2), *random.uniform(0.03, 0.6, 2))
            for _ in range(random.integers(0, 9))
        ]
        for number in SIZES
    }
    return truths, {number: drawn_rows(random, truths[number], SIZES[number], 40) for number in SIZES}


def pycocotools_numbers(capsys, annotations, found):
    truth = coco.COCO()
    truth.dataset = annotations
    truth.createIndex()
    counted = cocoeval.COCOeval(truth, truth.loadRes(found), "bbox")
    counted.evaluate()
    counted.accumulate()
    counted.summarize()
    capsys.readouterr()
    own = counted.eval["precision"][:, :, :, 0, -1]
    told = {number: own[:, :, k][own[:, :, k] > -1] for k, number in enumerate(counted.params.catIds)}
    return counted.stats.tolist(), {number: each.mean() if each.size else -1 for number, each in told.items()}


def in_pixels(size, x, y, w, h):
    return [(x - w / 2) * size[0], (y - h / 2) * size[1], w * size[0], h * size[1]]


def found_by(collector):
    return json.loads(json.dumps(collector._found))


@pytest.mark.parametrize("seed", range(4))
def test_annotations_give_pycocotools_numbers(seed, tmp_path, capsys):
    truths, rows = drawn(seed)
    boxes = [
        {
            "image_id": number,
            "category_id": CATEGORIES[index],
            "bbox": (bbox := in_pixels(SIZES[number], x, y, w, h)),
            "area": bbox[2] * bbox[3] * 0.6,
            "iscrowd": int(k % 4 == 3),
        }
        for number, each in truths.items()
        for k, (index, x, y, w, h) in enumerate(each)
    ]
    annotations = {
        "info": {},
        "images": [{"id": each, "file_name": "a.png", "width": w, "height": h} for each, (w, h) in SIZES.items()],
        "annotations": [{"id": k + 1, **box} for k, box in enumerate(boxes)],
        "categories": [{"id": 3, "name": "b"}, {"id": 17, "name": "d"}, {"id": 90, "name": "a"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(annotations))
    collector = Collector(read_coco(tmp_path / "a.json", None, ["a", "b", "c", "d"]))
    for number, size in SIZES.items():
        collector.add(number, rows[number], size)
    count = collector.count()
    wanted, own = pycocotools_numbers(capsys, annotations, found_by(collector))
    assert [getattr(count, name) for name in STATISTICS] == pytest.approx(wanted, abs=1e-9)
    assert 0.05 < count.ap50 < 0.95
    assert count.class_aps == pytest.approx([own[90], own[3], -1, own[17]], abs=1e-9)
    assert all(each["bbox"][0] >= 0 and each["bbox"][0] + each["bbox"][2] <= 1000.1 for each in found_by(collector))


def test_labels_become_boxes_in_pixels():
    truth = Truth.of([(0, 0.5, 0.5, 0.5, 0.5), (1, 0.2, 0.2, 0.1, 0.1)])
    data = Dataset("my.data", (Labelled("a.png", truth), Labelled("b.png", NOTHING, number=1)), (1, 2, 3, 4))
    collector = Collector(data)
    row = np.float32([[0.5, 0.5, 0.5, 0.5, 1, 0.9, 0, 0, 0], [0.2, 0.2, 0.1, 0.1, 1, 0, 0.2, 0, 0]])
    collector.add(0, row, (200, 100))
    collector.add(1, row[:0], (50, 50))
    count = collector.count()
    assert (count.ap, count.ar100, count.ap_small, count.ap_medium, count.ap_large) == (1, 1, 1, 1, -1)
    assert count.class_aps == (1, 1, -1, -1)


def test_nothing_found():
    data = Dataset("my.data", (Labelled("a.png", Truth.of([(0, 0.5, 0.5, 0.5, 0.5)])),), (1,))
    collector = Collector(data)
    collector.add(0, np.zeros((0, 6), np.float32), (200, 100))
    assert collector.count().ap == 0


def test_of_a_class_a_hundred_count():
    data = Dataset("my.data", (Labelled("a.png", Truth.of([(0, 0.5, 0.5, 0.5, 0.5)])),), (1,))
    rows = np.tile(np.float32([0.1, 0.1, 0.1, 0.1, 1, 0.5]), (101, 1))
    rows[100, :4], rows[100, 5] = 0.5, 0.4  # the right one, after a hundred others
    collector = Collector(data)
    collector.add(0, rows, (200, 100))
    assert collector.count().ap == 0
