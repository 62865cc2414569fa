"""Very many pictures: prepared ahead, looked at by several threads at once, and told in their order."""

import threading
import time

import numpy as np
import pytest

from layoutbridge.darknet import Detector, load
from layoutbridge.darknet.detectors import detector as detectors
from layoutbridge.darknet.detectors.sources import made_ahead
from tests.conftest import FIXTURES

pytest.importorskip("PIL", reason="Pillow is not installed")

NET = FIXTURES / "nets/alexey/yolo_head"


@pytest.fixture(scope="module", params=["onnx", "openvino"])
def detector(request):
    package = {"onnx": "onnxruntime"}.get(request.param, request.param)
    pytest.importorskip(package, reason=f"{package} is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    return Detector(NET / "net.cfg", NET / "net.weights", framework=request.param, threads=2)


def pictures(count):
    random = np.random.default_rng(5)
    return [random.integers(0, 255, (30 + number, 70 - number, 3), dtype=np.uint8) for number in range(count)]


def numbers(found):
    return np.array([(one.class_index, one.score, one.left, one.top, one.width) for one in found]).reshape(-1, 5)


@pytest.mark.sample(2)
@pytest.mark.parametrize("batch", [1, 3])
def test_many_are_found_as_each_alone_is(detector, batch):
    given = pictures(60)
    assert len(given) > 3 * detectors._FEW
    found = detector.detect(given, batch=batch)
    assert detector._beside is not None
    assert [one.picture_size for one in found] == [array.shape[1::-1] for array in given]
    for one, array in zip(found, given, strict=True):
        alone = numbers(detector.detect(array))
        assert numbers(one).shape == alone.shape and np.allclose(numbers(one), alone, rtol=1e-4, atol=1e-3)


def test_what_cannot_be_read_is_told_in_its_place(detector):
    given = pictures(50)
    for place in (3, 20, 21, 49):
        given[place] = b"none"
    found = detector.detect(given, batch=2)
    sizes = [array.shape[1::-1] for array in given if not isinstance(array, bytes)]
    assert [one.picture_size for one in found] == sizes and len(found.unreadable) == 4


def test_a_model_that_is_gone_is_not_opened_once_more(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    path = tmp_path / "net.onnx"
    load(NET / "net.cfg", NET / "net.weights").to_onnx(path, head="boxes")
    detector = Detector(path, threads=2)
    path.unlink()
    assert len(detector.detect(pictures(40))) == 40
    assert detector._beside is None


def test_one_thread_stays_one():
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    detector = Detector(NET / "net.cfg", NET / "net.weights", framework="onnx", threads=1)
    assert len(detector.detect(pictures(40))) == 40
    assert detector._beside is None


# ---------------------------------------------------------------------- made ahead


def test_things_come_in_order_and_only_so_many_ahead():
    taken, used = [], 0

    def items():
        for number in range(30):
            taken.append(number)
            yield number

    def make(number):
        time.sleep(0.001 * (number % 3))
        return -number

    for used, made in enumerate(made_ahead(items(), make, count=4, threads=3), start=1):
        assert made == 1 - used
        assert len(taken) <= used + 4
    assert used == 30


@pytest.mark.parametrize("where", ["items", "make"])
def test_an_error_comes_in_its_place(where):
    def items():
        yield from range(5)
        if where == "items":
            raise KeyError("5")
        yield 5

    def make(number):
        if number == 5:
            raise KeyError("5")
        return number

    made = []
    with pytest.raises(KeyError, match="5"):
        made.extend(made_ahead(items(), make, 3, 2))
    assert list(made) == [0, 1, 2, 3, 4]


def test_nothing_goes_on_where_nobody_wants_more():
    before, begun = threading.active_count(), []
    made = made_ahead(iter(range(1000)), lambda number: begun.append(number) or number, 5, 2)
    assert next(made) == 0
    made.close()
    assert threading.active_count() == before and len(begun) <= 6
