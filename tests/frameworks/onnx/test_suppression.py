"""The suppression in an ONNX graph against Darknet's loops, in onnxruntime and in ONNX's reference evaluator."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

from layoutbridge.frameworks.onnx.network.suppression import PICTURE_SHARE  # noqa: E402
from layoutbridge.frameworks.onnx.network.values import OnnxValue  # noqa: E402
from layoutbridge.frameworks.onnx.target import OnnxTarget  # noqa: E402
from tests.darknets_suppression import crowd, darknets_suppression  # noqa: E402

CLASSES, BOXES = 3, 30
KINDS = {"default": None, "greedynms": 0.6, "diounms": 1.5}
THRESHOLD, OVERLAP = 0.3, 0.45


@cache
def model_of(kind: str, opset: int = 17) -> Any:
    """A model of suppression alone: boxes [N, K, 4], scores [N, C, K] and objectness [N, 1, K] to what is kept."""
    target = OnnxTarget((1,), opset=opset)
    boxes = OnnxValue("boxes", (BOXES, 4))
    scores, objectness = OnnxValue("scores", (CLASSES, BOXES)), OnnxValue("objectness", (1, BOXES))
    with target.scope("nms"):
        kept = target.non_max_suppression(
            boxes, scores, objectness, overlap=OVERLAP, threshold=THRESHOLD, exponent=KINDS[kind]
        )
    assert kept.integer and kept.shape[1:] == (3,)
    target.named(kept, "kept")
    nodes, held = target.graph.needed_for(["kept"])
    tensors = [
        numpy_helper.from_array(np.concatenate([*one.values(dtype=one.dtype)], axis=None).reshape(one.shape), one.name)
        for one in held
    ]
    inputs: dict[str, list[str | int | None]]
    inputs = {value.name: ["N", *value.shape] for value in (boxes, scores, objectness)}
    inputs |= {name: [*lengths] for name, lengths in target.defaults.items()}
    graph = helper.make_graph(
        nodes,
        "suppression",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("kept", TensorProto.INT64, ["kept", 3])],
        tensors,
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))
    onnx.checker.check_model(model, full_check=True)
    return model


@cache
def session_of(kind: str, opset: int = 17) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # it warns of inputs that have a value already
    serialized = model_of(kind, opset).SerializeToString()
    return onnxruntime.InferenceSession(serialized, options, providers=["CPUExecutionProvider"])


def picture_of(seed: int) -> Any:
    """As many rows as the model takes; the scores differ, for where they are equal Darknet looks at other classes."""
    rows = np.zeros((BOXES, 5 + CLASSES), np.float32)
    drawn = crowd(seed, CLASSES)
    rows[: len(drawn)] = drawn
    rows[:, 5:] *= np.random.default_rng(seed).uniform(0.9, 1, (BOXES, CLASSES))
    rows[:, 4] *= np.random.default_rng(seed).uniform(0.1, 1, BOXES)
    return rows


def feeds_of(pictures: Any) -> dict[str, Any]:
    return {
        "boxes": np.ascontiguousarray(pictures[..., :4]),
        "scores": np.ascontiguousarray(pictures[..., 5:].swapaxes(1, 2)),
        "objectness": np.ascontiguousarray(pictures[..., 4:5].swapaxes(1, 2)),
    }


def darknet_keeps(pictures: Any, kind: str) -> list[list[int]]:
    """Picture, class, box: those whose score is left, the best of a class first."""
    kept = []
    for number, rows in enumerate(pictures):
        rows = rows.copy()
        rows[rows[:, 4] <= np.float32(THRESHOLD), 4:] = 0
        rows[:, 5:][rows[:, 5:] <= np.float32(THRESHOLD)] = 0
        for column in range(CLASSES):
            alone = rows.copy()
            alone[:, 5:] = 0
            alone[:, 5 + column] = rows[:, 5 + column]
            left = darknets_suppression(alone, OVERLAP, kind, 1.5)
            by_score = {float(row[5 + column]): place for place, row in enumerate(rows) if row[5 + column]}
            kept += [[number, column, by_score[float(row[5 + column])]] for row in left if row[5 + column]]
    return kept


@pytest.mark.sample(1)
@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3))
def test_a_graph_keeps_what_darknets_loops_keep(kind: str, seeds: list[int]) -> None:
    pictures = np.stack([picture_of(seed) for seed in seeds])
    found = session_of(kind).run(None, feeds_of(pictures))[0]
    assert found.dtype == np.int64
    assert found.tolist() == darknet_keeps(pictures, kind)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # boxes without area: 0 / 0, which is not chosen
@pytest.mark.parametrize("opset", [13, 18, 21])
def test_every_opset_and_the_reference_evaluator(opset: int) -> None:
    pictures = np.stack([picture_of(seed) for seed in (1, 2)])
    expected = darknet_keeps(pictures, "greedynms")
    assert len(expected) > 10
    feeds = feeds_of(pictures)
    assert session_of("greedynms", opset).run(None, feeds)[0].tolist() == expected
    evaluated: Any = ReferenceEvaluator(model_of("greedynms", opset)).run(None, feeds | share_of((1, 1)))
    assert evaluated[0].tolist() == expected


def share_of(*shares: tuple[float, float]) -> dict[str, Any]:
    return {PICTURE_SHARE: np.array(shares, np.float32)}


def test_where_nothing_counts_nothing_is_kept() -> None:
    pictures = np.zeros((2, BOXES, 5 + CLASSES), np.float32)
    for kind in KINDS:
        assert session_of(kind).run(None, feeds_of(pictures))[0].shape == (0, 3)
    pictures[..., 5:] = np.nan
    assert session_of("greedynms").run(None, feeds_of(pictures))[0].shape == (0, 3)


def test_of_equal_scores_the_first_box_stays() -> None:
    pictures = np.zeros((1, BOXES, 5 + CLASSES), np.float32)
    pictures[..., :4], pictures[..., 4:] = 0.5, 0.9
    for kind in KINDS:
        assert session_of(kind).run(None, feeds_of(pictures))[0].tolist() == [[0, 0, 0], [0, 1, 0], [0, 2, 0]]


@pytest.mark.parametrize("shares", [[(0.25, 1.0)], [(0.5, 1.0), (1.0, 0.25)] * 4])
def test_distances_are_measured_on_the_picture(shares: list[tuple[float, float]]) -> None:
    """One share for all pictures or one each: as if the boxes had been put back onto the picture before."""
    pictures = np.stack([picture_of(seed) for seed in range(8)])
    put_back = pictures.copy()
    put_back[..., :4] /= np.array([[[*share, *share]] for share in shares], np.float32)
    kept = session_of("greedynms").run(None, feeds_of(pictures) | share_of(*shares))[0]
    assert kept.tolist() == darknet_keeps(put_back, "greedynms")
    assert kept.tolist() != darknet_keeps(pictures, "greedynms")
