"""What is told of boxes that Darknet's own decoding gives of its recorded outputs, and of such boxes made wrong."""

import numpy as np
import pytest

from layoutbridge.comparing.heads.entries import DECODED, entries_of, misread
from layoutbridge.comparing.heads.explaining import explained
from layoutbridge.comparing.heads.groups import Group
from layoutbridge.darknet.detection.boxes import decode
from layoutbridge.darknet.reference.values import Feed
from tests.darknet_files import read

NAMES = (
    "alexey/dense_tiny", "alexey/gaussian_yolo", "alexey/region_logistic", "alexey/yolo_new_coords",
    "pjreddie/detection_v1", "pjreddie/passthrough", "pjreddie/region_background",
)  # fmt: skip
TOLERANCE = 5e-5


class Heads:
    """The heads of a recorded network, fed as Darknet fed them, and the boxes that it reads from them."""

    def __init__(self, name):
        net, _, outputs = read(name)
        layers = [layer for layer in net.layers if isinstance(layer.settings, DECODED)]
        self.network = net.network
        self.feeds = {
            layer.name: Feed(
                layer, (outputs[layer.inputs[0]].reshape(1, *layer.in_shapes[0]).astype(np.float64),), {},
                net.network.flavor, 1,
            )
            for layer in layers
        }  # fmt: skip
        self.entries = tuple(entries_of(net.network, feed) for feed in self.feeds.values())
        self.rows = decode(net.network, {layer.index: outputs[layer.index].reshape(1, -1) for layer in layers})

    def misread(self, head):
        found = misread(self.network, self.feeds[head.layer.name])
        return [(told, Group([entries], ())) for told, entries in found]

    def explained(self, output, tolerance=TOLERANCE):
        return explained(np.asarray(output, np.float64), self.entries, self.entries, self.misread, tolerance)


@pytest.fixture(scope="module", params=NAMES)
def heads(request):
    return Heads(request.param)


def told(found):
    return {(each.column, each.wrong) for one in found.told for each in one}


def shuffled(rows, seed=0):
    return rows[:, np.random.default_rng(seed).permutation(rows.shape[1])]


def in_pixels(heads, rows):
    made = rows.copy()
    made[..., :4] *= np.array([heads.network.width, heads.network.height] * 2)
    return made


def corners(rows):
    half = rows[..., 2:4] / 2
    return np.concatenate([rows[..., :2] - half, rows[..., :2] + half, rows[..., 4:]], axis=-1)


def turned(rows):
    return np.concatenate([rows[..., [1, 0, 3, 2]], rows[..., 4:]], axis=-1)


STYLES = {
    "shares": lambda heads, rows: rows,
    "pixels": in_pixels,
    "corners": lambda heads, rows: corners(rows),
    "corners in pixels": lambda heads, rows: corners(in_pixels(heads, rows)),
    "y first": lambda heads, rows: turned(rows),
    "corners, y first": lambda heads, rows: turned(corners(rows)),
    "scores alone": lambda heads, rows: rows[..., 5:],
    "boxes alone": lambda heads, rows: in_pixels(heads, rows)[..., :4],
    "without objectness": lambda heads, rows: np.delete(rows, 4, axis=-1),
    "scores first": lambda heads, rows: np.roll(rows, -5, axis=-1),
    "the best score": lambda heads, rows: np.append(corners(rows)[..., :4], rows[..., 5:].max(-1, keepdims=True), -1),
    "turned": lambda heads, rows: rows.swapaxes(1, 2),
    "rounded": lambda heads, rows: rows * (1 + np.random.default_rng(1).uniform(-1e-5, 1e-5, rows.shape)),
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_right_boxes_in_any_order(heads, style):
    found = heads.explained(STYLES[style](heads, shuffled(heads.rows)))
    assert found is not None
    assert found.is_right, told(found)


def changed(column, change):
    def function(rows):
        made = rows.copy()
        made[..., column] = change(made[..., column])
        return made

    return function


# What is done to right boxes, and words of what is to be told; in each column a network may have the same of all boxes.
FAULTS = {
    "x of another box": (changed(0, lambda x: np.roll(x, 1, axis=1)), "numbers of different boxes"),
    "h of another box": (changed(3, lambda x: np.roll(x, 5, axis=1)), "numbers of different boxes"),
    "scores of another box": (changed(slice(5, None), lambda x: np.roll(x, 7, axis=1)), "numbers of different boxes"),
    "one class of another box": (changed(6, lambda x: x[:, ::-1]), "numbers of different boxes"),
    "x and y": (lambda rows: rows[..., [1, 0, *range(2, rows.shape[-1])]], "x and y exchanged"),
    "w and h": (lambda rows: rows[..., [0, 1, 3, 2, *range(4, rows.shape[-1])]], "w and h exchanged"),
    "1.7 times as wide": (changed(2, lambda w: 1.7 * w), "1.7 times as much"),
    "too far right": (changed(0, lambda x: x + 0.25), "0.25 too much"),
    "from below": (changed(1, lambda y: 1 - y), "1 minus it"),
    "classes turned": (lambda rows: np.concatenate([rows[..., :5], rows[..., :4:-1]], -1), "in another order"),
}  # fmt: skip


@pytest.mark.sample(25)
@pytest.mark.parametrize("name", FAULTS)
def test_boxes_that_are_wrong(heads, name):
    change, words = FAULTS[name]
    found = heads.explained(change(heads.rows))
    assert found is not None
    assert not found.is_right
    assert any(words in wrong for _, wrong in told(found)), told(found)
    assert all(each.after <= TOLERANCE < each.before for one in found.told for each in one)


@pytest.mark.parametrize("column", [0, 3, 4, 6])
def test_a_column_that_nothing_explains(heads, column):
    """One column of numbers from elsewhere: never right, and never told as something that it is not."""
    rows = heads.rows.copy()
    if np.ptp(rows[..., column]) == 0:
        pytest.skip("all boxes have the same number there")
    rows[..., column] *= 1 + np.random.default_rng(4).uniform(0.01, 0.3, rows[..., column].shape)
    assert heads.explained(rows) is None


def test_probabilities_next_to_nothing():
    """What a logistic is off by is a share of 1, however small the largest probability of a class is."""
    heads = Heads("alexey/dense_tiny")
    for feed in heads.feeds.values():
        feed.x.reshape(1, 3, 9, -1)[:, :, 4:] -= 12
    heads.entries = tuple(entries_of(heads.network, feed) for feed in heads.feeds.values())
    rows = decode(heads.network, {each.layer.index: each.own[1].reshape(1, -1) for each in heads.entries})
    assert rows[..., 5:].max() < 1e-4
    off = np.random.default_rng(6).uniform(-1e-7, 1e-7, rows[..., 4:].shape)
    rows[..., 4:] += off
    assert heads.explained(rows).is_right
    rows[..., 5:] += 1e-3
    assert heads.explained(rows) is None


def test_other_boxes(heads):
    """Numbers of the right shape that are none of the head's."""
    assert heads.explained(np.random.default_rng(3).random(heads.rows.shape)) is None
