"""Suppression against Darknet's own loops, and of very many boxes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutbridge.darknet.detection import crowds, pairs, suppression
from layoutbridge.darknet.detection.overlaps import box_iou, overlaps
from layoutbridge.darknet.detection.suppression import suppress
from layoutbridge.darknet.structure.choices import NMS_KINDS
from layoutbridge.errors import ParameterError, UnusableInputError
from tests.darknets_suppression import crowd, darknets_suppression, many


def floats(values: Any) -> Any:
    return np.array(values, np.float32)


def test_distance_lets_a_neighbour_live() -> None:
    rows = floats([[0.5, 0.5, 0.4, 0.4, 1, 0.9], [0.62, 0.5, 0.4, 0.4, 1, 0.8]])
    assert box_iou(rows[0, :4], rows[1:, :4])[0] == pytest.approx(0.28 / 0.52)
    assert suppress(rows, 0.45)[:, 5].tolist() == floats([0.9, 0]).tolist()
    assert suppress(rows, 0.45, "greedynms-iou")[:, 5].tolist() == floats([0.9, 0]).tolist()
    # overlap 0.538 − (0.0144 / (0.52² + 0.4²))^0.6 = 0.538 − 0.130 = 0.408
    for kind in ("greedynms", "diounms"):
        assert suppress(rows, 0.45, kind)[:, 5].tolist() == floats([0.9, 0.8]).tolist()
        assert suppress(rows, 0.40, kind)[:, 5].tolist() == floats([0.9, 0]).tolist()
    # with another exponent 0.538 − 0.0334 = 0.505, which greedynms does not look at
    assert suppress(rows, 0.45, "diounms", beta=1.0)[:, 5].tolist() == floats([0.9, 0]).tolist()
    assert suppress(rows, 0.45, "greedynms", beta=1.0)[:, 5].tolist() == floats([0.9, 0.8]).tolist()
    with pytest.raises(ParameterError, match=r"no suppression is called 'soft'"):
        suppress(rows, 0.45, "soft")
    for wrong in (-0.1, float("nan")):
        with pytest.raises(ParameterError, match="the threshold cannot be"):
            suppress(rows, wrong)


@pytest.mark.parametrize("count", [1, 999, 1000, 20_000])
def test_sorts_of_many_scores_keep_the_order_of_equal_ones(count: int) -> None:
    generator = np.random.default_rng(count)
    for drawn in range(20):
        scores = floats(generator.normal(0, 1, count)).round(1 if drawn % 2 else 7)
        scores[generator.random(count) < 0.3] = 0
        scores[generator.random(count) < 0.3] = -0.0
        if drawn % 3 == 0:
            scores[generator.integers(0, count, 3)] = floats([np.inf, -np.inf, 1e-42])
        if drawn % 5 == 0:
            scores[generator.integers(0, count)] = np.nan
        order = generator.permutation(count)
        wanted = order[np.argsort(-scores[order], kind="stable")]
        assert suppression._sorted(order, scores).tolist() == wanted.tolist()


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(NMS_KINDS),
    st.sampled_from([0.0, 0.2, 0.45, 0.7]),
    st.sampled_from([None, 1, 2, 5, 64]),
)
def test_suppression_is_that_of_darknets_loops(seed: int, kind: str, threshold: float, block: int | None) -> None:
    rows = crowd(seed)
    beta = float(np.random.default_rng(seed).choice([0.0, 0.6, 1.5]))
    with pytest.MonkeyPatch.context() as patch:
        if block is not None:  # few boxes are many blocks then, not compared all at once
            patch.setattr(suppression, "_FEW", 0)
            patch.setattr(suppression, "_BLOCK", block)
            patch.setattr(suppression, "_PAIRS", 4 * block)
        ours = suppress(rows, threshold, kind, beta)
    assert np.array_equal(ours, darknets_suppression(rows, threshold, kind, beta))


def test_boxes_without_area_overlap_nothing() -> None:
    rows = floats([[0.5, 0.5, 0, 0, 1, 0.9], [0.5, 0.5, 0, 0, 1, 0.8], [0.5, 0.5, 0, 0, 0, 0]])
    assert suppress(rows, 0.45)[:, 5].tolist() == floats([0.9, 0.8, 0]).tolist()
    assert suppress(rows, 0.45, "diounms")[:, 5].tolist() == floats([0.9, 0.8, 0]).tolist()
    assert suppress(rows[:0], 0.45).shape == (0, 6)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_numbers_that_are_none_suppress_nothing_and_are_not_suppressed() -> None:
    nan, inf = np.nan, np.inf
    boxes = [[nan, 0.5, 0.4, 0.4], [0.5, 0.5, inf, 0.4], [0.5, 0.5, 0.4, 0.4], [0.5, 0.5, -0.4, 0.4], [inf] * 4]
    rows = floats([[*box, 1, 0.9 - place / 10] for place, box in enumerate(boxes)])
    assert np.array_equal(suppress(rows, 0.0), rows, equal_nan=True)


# ---------------------------------------------------------------------- very many


@pytest.mark.parametrize("side", [0.001, 0.03, 0.5])
def test_who_is_left_of_many_is_who_no_better_one_left_overlaps(side: float) -> None:
    rows = many(3000, 1, side)
    found = suppress(rows, 0.45)
    order = np.argsort(-rows[:, 5], kind="stable")
    assert np.array_equal(found[:, :5], rows[order, :5])
    left = np.ones(len(rows), np.bool_)
    for place, number in enumerate(order):
        if left[place]:
            left[place + 1 :] &= ~(box_iou(rows[number, :4], rows[order[place + 1 :], :4]) > 0.45)
    assert np.array_equal(found[:, 5], np.where(left, rows[order, 5], 0))
    assert 0 < np.count_nonzero(left) < len(rows) or side < 0.01


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The suppression's state, with compiled code from the first box on."""
    pytest.importorskip("numba", reason="numba is not installed")
    monkeypatch.setattr(crowds, "_state", crowds._State())
    monkeypatch.setattr(suppression, "_FEW", 0)
    for name in ("_MANY", "_PAYS_FROM"):
        monkeypatch.setattr(crowds, name, -1)
    return crowds._state


@pytest.mark.slow
def test_compiled_suppression_is_that_of_darknets_loops(compiled: Any) -> None:
    for seed in range(150):
        rows = crowd(seed)
        rows[:, 2:4] = np.maximum(rows[:, 2:4], 0.01)
        for kind in NMS_KINDS:
            for threshold, beta in ((0.2, 0.6), (0.45, 1.5), (0.7, 0.0), (1.0, 0.6)):
                expected = darknets_suppression(rows, threshold, kind, beta)
                assert np.array_equal(suppress(rows, threshold, kind, beta), expected)
    assert compiled.kernel is not None


@pytest.mark.parametrize("kind", NMS_KINDS)
@pytest.mark.parametrize("side", [0.003, 0.03, 0.4])
def test_compiled_suppression_leaves_what_numpy_leaves(side: float, kind: str, compiled: Any) -> None:
    random, rows = np.random.default_rng(3), many(3000, 2, side)
    rows[:, 2:4] *= np.exp(random.normal(0, 1, (len(rows), 2)))  # of all sizes, long and narrow ones too
    rows[::7, :4] = rows[:: len(rows) // 3, :4][random.integers(0, 3, len(rows[::7]))]  # some at one place
    rows[:, :2] -= 0.5 * (random.random((len(rows), 1)) < 0.2)  # and beside the picture
    asked = suppress(rows, 0.45, kind)
    assert compiled.kernel is not None
    compiled.kernel = None
    assert np.array_equal(asked, suppress(rows, 0.45, kind))


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("box", [(0.5, 0.5, 0, 0.4), (0.5, 0.5, -0.4, 0.4), (np.nan,) * 4, (9e9, 0.5, 0.4, 0.4)])
def test_what_compiled_code_cannot_tell_numpy_tells(box: tuple[float, ...], compiled: Any) -> None:
    rows = many(50, 1, 0.3)
    rows[10, :4] = box
    asked = suppress(rows, 0.45)
    assert compiled.kernel is not None
    compiled.kernel = None
    assert np.array_equal(asked, suppress(rows, 0.45), equal_nan=True)


def _by_numpy(rows: Any, threshold: float, kind: str, state: Any) -> Any:
    kernel, state.kernel = state.kernel, None
    try:
        return suppress(rows, threshold, kind)
    finally:
        state.kernel = kernel


def _odd(seed: int, classes: int) -> Any:
    """Boxes of all sizes, some as small as rounding is where they lie, some beyond all measure, many scores equal."""
    random = np.random.default_rng(seed)
    count = int(random.integers(2, 400))
    rows = many(count, classes, float(random.choice([0.02, 0.3])))
    rows[:, 2:4] *= np.exp(random.normal(0, random.choice([0.1, 2, 8]), (count, 2)))
    rows[:, :2] += random.choice([0, 1, 1000]) * (random.random((count, 1)) < 0.3)
    rows[:, :4] *= random.choice([1e-22, 1e-8, 1, 1e12, 1e19])
    for value in (0, -0.1, 1e-7, 3e37, np.inf, np.nan):
        if random.random() < 0.4:
            rows[random.integers(0, count, 3), random.integers(0, 4)] = value
    rows[::5, :4] = rows[0, :4]
    rows[:, 5:] *= random.random((count, classes)) < 0.8
    return rows


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow", "ignore:divide by zero")
@pytest.mark.parametrize("room", [0, 300, 1 << 16])
def test_compiled_suppression_of_odd_boxes_is_that_of_numpy(
    room: int, compiled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowds, "_ROOM", room)
    monkeypatch.setattr(crowds, "_PAIRS", 1000)
    for seed in range(40):
        rows = _odd(seed, 1 + seed % 7)
        for kind, threshold in (
            ("default", 0.2),
            ("default", 0.45),
            ("greedynms", 0.3),
            ("diounms", 0.9),
            ("default", 2),
        ):
            asked = suppress(rows, threshold, kind)
            assert compiled.kernel is not None
            assert asked.tobytes() == _by_numpy(rows, threshold, kind, compiled).tobytes(), (seed, kind, threshold)


@pytest.mark.parametrize("box", [(0.5, 0.5, 1e-6, 0.4), (0.5, 0.5, 0, 0.4), (1e9, 0.5, 20, 0.4), (0.5, 0.5, 1e9, 1e9)])
def test_an_odd_box_among_very_many_leaves_the_others_to_compiled_code(
    box: tuple[float, ...], compiled: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = many(3000, 3, 0.03)
    rows[10, :4] = box
    suppress(rows, 0.45)  # loads it
    expected = _by_numpy(rows, 0.45, "default", compiled)
    monkeypatch.delattr(suppression, "_suppressed")
    assert suppress(rows, 0.45).tobytes() == expected.tobytes()


def test_boxes_are_compared_once_for_all_classes(compiled: Any) -> None:
    rows = many(2000, 9, 0.05)
    suppress(rows, 0.45)
    crowd = crowds.Crowd(compiled.kernel, rows[:, :4], np.float32(0.45), None)
    order = np.arange(len(rows))
    first, looked = crowd.suppressed(order), crowd._state[1]
    again = crowd.suppressed(order)
    assert first is not None and again is not None
    assert first.tolist() == again.tolist()
    assert looked > -crowds._PAIRS and crowd._state[1] == -crowds._PAIRS


def test_compiled_code_is_loaded_where_very_many_boxes_lie_close(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    monkeypatch.setattr(crowds, "_state", crowds._State())
    for most, seconds in ((999, 60), (46_000, 0), (46_000, 0.8)):
        assert crowds.kernel_for(most, np.float32(0.45), seconds) is None
    assert crowds.kernel_for(46_000, np.float32(0.1), 60) is None
    assert crowds.kernel_for(46_000, np.float32(0.45), 0.8) is not None  # the second time
    assert crowds.kernel_for(1000, np.float32(0.45)) is not None
    assert crowds.kernel_for(999, np.float32(0.45)) is None


@pytest.fixture
def by_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pairs that overlap are found for all classes, from the first box on."""
    monkeypatch.setattr(crowds, "_MANY", 10**9)
    monkeypatch.setattr(suppression, "_FEW", 0)
    monkeypatch.setattr(suppression, "_PAYS_FROM", 0)
    for name in ("_NEAR", "_HELD", "_GONE_THROUGH"):
        monkeypatch.setattr(suppression, name, 0)
    monkeypatch.setattr(suppression, "_suppressed", None)


@pytest.mark.parametrize("kind", NMS_KINDS)
def test_suppression_by_pairs_is_that_of_darknets_loops(kind: str, by_pairs: None) -> None:
    for seed in range(40):
        rows = crowd(seed)
        for threshold, beta in ((0.2, 0.6), (0.45, 1.5), (0.7, 0.0), (1.0, 0.6)):
            expected = darknets_suppression(rows, threshold, kind, beta)
            assert np.array_equal(suppress(rows, threshold, kind, beta), expected)


@pytest.mark.filterwarnings("ignore:invalid value", "ignore:overflow", "ignore:divide by zero")
def test_all_pairs_that_overlap_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "_AT_ONCE", 1000)
    for seed in range(16):
        boxes = _odd(seed, 1)[:, :4]
        one, other = np.triu_indices(len(boxes), 1)
        columns = tuple(np.ascontiguousarray(boxes.T))
        for limit in map(np.float32, (0.2, 0.45, 0.9, 1.0, 2.0)):
            for exponent in (None, 0.6):
                first, second = (tuple(column[places] for column in columns) for places in (one, other))
                over = overlaps(first, second, exponent) > limit
                found = pairs.near_boxes(boxes, limit, exponent).overlapping(lambda: None)
                ordered = sorted(zip(np.minimum(*found).tolist(), np.maximum(*found).tolist(), strict=True))
                assert ordered == list(zip(one[over].tolist(), other[over].tolist(), strict=True)), (seed, limit)


@pytest.mark.parametrize("first", [False, True])
def test_pairs_at_the_corners_of_all_boxes_are_found(first: bool) -> None:
    for seed in range(40):
        random = np.random.default_rng(seed)
        boxes = random.uniform([0.3, 0, 0.1, 0.1], [0.35, 1, 0.15, 0.15], (40, 4)).astype(np.float32)
        boxes[:, 1] *= random.uniform(1, 9)
        edge = boxes.min(axis=0) if first else boxes.max(axis=0)
        boxes[-2:] = 0.3, edge[1], 0.13, 0.13  # the leftmost, highest or lowest of all
        found = pairs.near_boxes(boxes, np.float32(0.45), None).overlapping(lambda: None)
        assert (38, 39) in set(zip(np.minimum(*found).tolist(), np.maximum(*found).tolist(), strict=True)), seed


@pytest.mark.parametrize("side", [0.5, 0.1])
def test_pairs_are_not_gone_through_where_blocks_are_faster(side: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "_MANY", 10**9)
    monkeypatch.delattr(pairs.NearBoxes, "overlapping")
    rows = many(12_000, 2, side)  # most are suppressed at once, and each overlaps very many
    assert np.count_nonzero(suppress(rows, 0.45)[:, 5:]) < 12_000


@pytest.mark.parametrize("side", [0.02, 0.05, 0.3])
def test_how_many_boxes_lie_beside_each_is_asked_of_some(side: float) -> None:
    near = pairs.near_boxes(many(20_000, 1, side)[:, :4], np.float32(0.45), None)
    there = np.bincount(np.concatenate(near.overlapping(lambda: None)), minlength=20_000)
    assert near.count > there.sum() / 2
    assert near.some_beside().mean() == pytest.approx(there.mean(), rel=0.3)


@pytest.mark.parametrize("rising", [False, True])
def test_a_long_chain_of_boxes_is_suppressed_box_by_box(rising: bool, by_pairs: None) -> None:
    count = 4000
    rows = np.zeros((count, 6), np.float32)
    rows[:, 0], rows[:, 1:4] = np.arange(count) / 4, 1  # each overlaps two on either side by more than 0.25
    rows[:, 4], rows[:, 5] = 1, np.linspace(0.1, 0.9, count)[:: 1 if rising else -1]
    left = suppress(rows, 0.25, seconds=60)
    kept = left[left[:, 5] > 0, 0]
    assert np.array_equal(kept, np.arange(0, count, 3)[:: -1 if rising else 1] / 4)


def test_suppression_that_takes_too_long_is_told() -> None:
    with pytest.raises(UnusableInputError, match="the suppression of 500 boxes"):
        suppress(many(500, 1, 0.01), seconds=0)
