"""Cfg files drawn over every kind of layer and every option of both forks, for targets to be compared on.

A seed and a flavour give the same network every time: `drawn(7, "alexey")`. Not a test itself.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest

from layoutbridge.darknet.reading.activations import ACTIVATIONS, ORIGINAL_ACTIVATIONS
from layoutbridge.darknet.structure.kinds import KINDS
from layoutbridge.darknet.structure.model import Network
from layoutbridge.errors import CfgError
from tests.darknet_files import MORE, built

# Every fifth of the drawn networks is in the default tests, so that each batch size and opset is; others are thorough.
SHARES = ("a fifth", pytest.param("the others", marks=pytest.mark.thorough))
TREE = MORE / "alexey" / "softmax_tree" / "tree.txt"
TREE_CLASSES = 9
_STEPPED = {"stair"}  # what lies on either side of a step is far apart
_MOST_LAYERS, _MOST_VALUES = 12, 60_000  # of a network, and of each of its layers
_T = TypeVar("_T")


class Drawer:
    """The choices for one network, and what it is made of so far."""

    def __init__(self, seed: int, flavor: str) -> None:
        self.random = random.Random(f"{flavor} {seed}")
        self.flavor = flavor
        self.original = flavor == "pjreddie"
        known = ORIGINAL_ACTIVATIONS if self.original else ACTIVATIONS
        self.activations = sorted({*known} - _STEPPED)
        self.text = ""
        self.network: Network | None = None

    def one(self, *choices: _T) -> _T:
        """One of them."""
        return self.random.choice(choices)

    def rarely(self, value: _T) -> _T | None:
        """The value, one time in four."""
        return self.one(value, None, None, None)

    def activation(self) -> str:
        """The name of one; the plain ones more often."""
        return self.one("linear", "leaky", "relu", self.random.choice(self.activations))

    def back(self, most: int = 4) -> str:
        """A layer, counted back from this one or by its number."""
        count = len(self.network.layers) if self.network else 0
        return str(self.one(-self.random.randint(1, most), self.random.randrange(max(count, 1))))

    @property
    def shape(self) -> tuple[int, ...]:
        """What the next section takes."""
        assert self.network is not None
        return self.network.layers[-1].out_shape if self.network.layers else self.network.in_shape

    def add(self, text: str) -> bool:
        """Whether the network can be built with these sections behind it, and is small enough; then it has them."""
        try:
            network = built(self.text + text, self.flavor)
        except CfgError:
            return False
        if len(network.layers) > _MOST_LAYERS or any(_size(layer.out_shape) > _MOST_VALUES for layer in network.layers):
            return False
        self.text, self.network = self.text + text, network
        return True


def _size(shape: Iterable[int]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _section(draw: Drawer, kind: str, **options: Any) -> str:
    """A section under one of its names, options of None left out, their order drawn."""
    names = (kind, *KINDS[kind].aliases)
    lines = [f"{key}={value}" for key, value in options.items() if value is not None]
    draw.random.shuffle(lines)
    return "\n".join((f"[{draw.one(kind, *names)}]", *lines, ""))


# ---------------------------------------------------------------------- options that several kinds have


def _weighted(d: Drawer) -> dict[str, Any]:
    return {"filters": d.one(1, 2, 4, 8, 32), "activation": d.activation()}


def _normed(d: Drawer) -> dict[str, Any]:
    return {
        "batch_normalize": d.one(0, 1, 1),
        "dontload": d.rarely(d.one(1, None)),
        "dontloadscales": d.rarely(d.one(1, None)),
    }


def _window(d: Drawer, *sizes: int) -> dict[str, Any]:
    return {"size": d.one(*sizes), "stride": d.one(1, 1, 2, 3), "stride_x": d.rarely(2), "stride_y": d.rarely(2)}


def _edges(d: Drawer) -> dict[str, Any]:
    return {"pad": d.one(0, 1, 1), "padding": d.rarely(d.one(1, 2))}


# ---------------------------------------------------------------------- a section each


def _convolutional(d: Drawer) -> str:
    options = _weighted(d) | _normed(d) | _window(d, 1, 2, 3, 3, 5) | _edges(d) | {
        "groups": d.rarely(2), "dilation": d.rarely(2), "antialiasing": d.rarely(d.one(1, 2)), "flipped": d.rarely(1),
        "cbn": d.rarely(1), "share_index": d.rarely(d.back()), "numload": d.rarely(d.one(1, 2)),
    }  # fmt: skip
    return _section(d, "convolutional", **options)


def _shared(d: Drawer) -> str:
    """Two convolutions of the same weights, used alike or not."""
    alike = {"filters": d.shape[0], "size": d.one(1, 3)}
    first, second = (alike | _edges(d) | {"stride": d.one(1, 1, 2), "activation": d.activation()} for _ in range(2))
    norm = {"batch_normalize": d.one(0, 1)}
    fewer = norm if d.one(True, False) else {}
    return _section(d, "convolutional", **first, **norm) + _section(
        d, "convolutional", **second, **fewer, share_index=d.one(-1, len(d.network.layers if d.network else ()))
    )


def _signs(d: Drawer) -> str:
    """A convolution of signs behind one whose values are over and under 0; or `binary` by itself."""
    before = _section(
        d, "convolutional", filters=d.one(4, 32), size=d.one(1, 3), pad=1, activation=d.one("leaky", "relu")
    )
    packed = {"size": 3, "stride": 1, "pad": 1} if d.one(True, False) else _window(d, 1, 2, 3) | _edges(d)
    options = _weighted(d) | _normed(d) | packed | {
        "xnor": d.one(1, 1, 1, 0), "bin_output": d.one(None, 1), "binary": d.rarely(1),
        "groups": d.rarely(2) if d.original else None,
    }  # fmt: skip
    return before + _section(d, "convolutional", **options)


def _deconvolutional(d: Drawer) -> str:
    options = _weighted(d) | _normed(d) | {"size": d.one(1, 2, 3, 4), "stride": d.one(1, 2, 3)} | _edges(d)
    return _section(d, "deconvolutional", **options, numload=d.rarely(options["filters"]))


def _local(d: Drawer) -> str:
    options = {"size": d.one(1, 2, 3), "stride": d.one(1, 2), "pad": d.one(0, 1), "dontload": d.rarely(d.one(1, None))}
    return _section(d, "local", **_weighted(d), **options)


def _connected(d: Drawer) -> str:
    return _section(d, "connected", output=d.one(1, 4, 9, 32), activation=d.activation(), **_normed(d))


def _maxpool(d: Drawer) -> str:
    options = _window(d, 1, 2, 3, 5) | {
        "padding": d.one(None, None, 0, 1, 2, 3), "maxpool_depth": d.rarely(1), "out_channels": d.one(1, 2, 3),
        "antialiasing": d.rarely(d.one(1, 2)),
    }  # fmt: skip
    if d.one(True, False):
        del options["size"]  # that is the stride's then
    return _section(d, "maxpool", **options)


def _local_avgpool(d: Drawer) -> str:
    return _section(d, "local_avgpool", **_window(d, 1, 2, 3, 5), padding=d.one(None, 1, 2))


def _upsample(d: Drawer) -> str:
    return _section(d, "upsample", stride=d.one(None, 1, 2, 3, -1, -2), scale=d.rarely(0.5))


def _crop(d: Drawer) -> str:
    rows, columns = (d.random.randint(1, max(length, 1)) for length in (*d.shape, 1, 1)[1:3])
    return _section(d, "crop", crop_height=rows, crop_width=columns, noadjust=d.rarely(1))


def _route(d: Drawer) -> str:
    layers = ",".join(d.back() for _ in range(d.one(1, 2, 3)))
    return _section(d, "route", layers=layers, groups=d.rarely(2), group_id=d.one(None, 0, 1))


def _shortcut(d: Drawer) -> str:
    spelling = d.one("weights_normalization", "weights_normalization", "weights_normalizion")
    second_order = d.rarely(1)
    options = {
        "from": ",".join(d.back() for _ in range(1 if second_order else d.one(1, 1, 2))), "activation": d.activation(),
        "alpha": d.rarely(0.5), "beta": d.rarely(2), "dontload": d.rarely(d.one(1, None)),
        "weights_type": d.one(None, "per_feature", "per_layer", "per_channel"),
        spelling: d.one(None, "relu", "avg_relu", "softmax"),
        "second_order": second_order, "epsilon": d.rarely(0.25),
    }  # fmt: skip
    return _section(d, "shortcut", **options)


def _scale_channels(d: Drawer) -> str:
    """Factors of each channel of the layer before them, or of each place."""
    last = {"from": d.one(-3, -2) if d.one(True, False) else d.back(), "activation": d.activation()}
    if d.one(True, False):
        factors = _section(d, "convolutional", filters=1, activation="logistic")
        return factors + _section(d, "scale_channels", scale_wh=1, **{**last, "from": -2})
    factors = _section(d, "avgpool") + _section(d, "convolutional", filters=d.shape[0], activation="logistic")
    return factors + _section(d, "scale_channels", scale_wh=d.rarely(0), **{**last, "from": -3})


def _sam(d: Drawer) -> str:
    gate = _section(d, "convolutional", filters=d.shape[0], activation="logistic")
    return gate + _section(d, "sam", **{"from": d.one("-2", d.back()), "activation": d.activation()})


def _implicit(d: Drawer) -> str:
    return _section(d, "implicit", filters=d.one(1, 2, 8), atoms=d.one(1, 3), mean=d.rarely(0.5), dontload=d.rarely(1))


def _reorg(d: Drawer) -> str:
    options = {"stride": d.one(1, 2, 2), "reverse": d.rarely(1), "flatten": d.rarely(1), "extra": d.rarely(3)}
    return _section(d, "reorg", **options)


def _reorg3d(d: Drawer) -> str:
    return _section(d, "reorg3d", stride=d.one(1, 2, 2), reverse=d.rarely(1))


def _batchnorm(d: Drawer) -> str:
    return _section(d, "batchnorm", dontload=d.rarely(d.one(1, None)))


def _lrn(d: Drawer) -> str:
    numbers = {"alpha": d.rarely(0.01), "beta": d.rarely(0.5), "kappa": d.rarely(2)}
    return _section(d, "lrn", size=d.one(None, 1, 2, 3, 4, 5), **numbers)


def _softmax(d: Drawer) -> str:
    if d.rarely(True):
        scores = _section(d, "connected", output=TREE_CLASSES, activation="linear")
        return scores + _section(d, "softmax", tree=TREE, temperature=d.rarely(2))
    options = {"groups": d.one(None, 1, 2), "temperature": d.rarely(d.one(0.5, 2)), "spatial": d.rarely(1)}
    return _section(d, "softmax", **options)


def _iseg(d: Drawer) -> str:
    classes, ids = d.one((3, 2), (1, 0), (0, 4), (20, None))
    scores = _section(d, "convolutional", filters=classes + (32 if ids is None else ids), activation="linear")
    return scores + _section(d, "iseg", classes=classes if d.one(True, False) or classes != 20 else None, ids=ids)


def _activation(d: Drawer) -> str:
    return _section(d, "activation", activation=d.activation())


# ---------------------------------------------------------------------- heads


def _boxes(d: Drawer, numbers: int) -> tuple[str, dict[str, Any]]:
    """The convolution before a head of so many numbers a box and 1 more, and what [yolo] and its like say of boxes."""
    classes, num = d.one(1, 2, 5), d.one(1, 2, 3)
    mask = sorted(d.random.sample(range(num), d.random.randint(1, num)))
    anchors = ",".join(str(d.random.randint(1, 9)) for _ in range(2 * num))
    given = {"mask": ",".join(map(str, mask)) if len(mask) < num or d.one(True, False) else None}
    before = _section(d, "convolutional", filters=len(mask) * (numbers + 1 + classes), activation="linear")
    return before, given | {"classes": classes, "num": num, "anchors": d.one(anchors, anchors, None)}


def _yolo(d: Drawer) -> str:
    before, options = _boxes(d, 4)
    options |= {
        "scale_x_y": d.rarely(1.2), "new_coords": d.rarely(1), "beta_nms": d.rarely(0.7),
        "nms_kind": d.rarely(d.one("greedynms", "diounms", "cornersnms", "default")),
    }  # fmt: skip
    return before + _section(d, "yolo", **options)


def _gaussian_yolo(d: Drawer) -> str:
    before, options = _boxes(d, 8)
    options |= {"scale_x_y": d.rarely(1.2), "yolo_point": d.rarely(d.one("center", "left_top", "right_bottom"))}
    return before + _section(d, "Gaussian_yolo", **options, nms_kind=d.rarely("greedynms"), beta_nms=d.rarely(0.7))


def _region(d: Drawer) -> str:
    tree = d.rarely(TREE)
    classes, num, coords = TREE_CLASSES if tree else d.one(1, 2, 5), d.one(1, 2), d.one(4, 4, 4, 2)
    before = _section(d, "convolutional", filters=num * (coords + classes + 1), activation="linear")
    options = {
        "softmax": d.one(None, 1), "background": d.rarely(1), "anchors": ",".join("1" for _ in range(2 * num)),
        "tree": tree, "absolute": d.rarely(1), "thresh": d.rarely(0.5), "classfix": d.rarely(-1),
    }  # fmt: skip
    return before + _section(d, "region", classes=classes, num=num, coords=coords, **options)


def _detection(d: Drawer) -> str:
    side, num, classes, coords = d.one(1, 2), d.one(1, 2), d.one(1, 3), d.one(4, 4, 1)
    total = side * side * ((1 + coords) * num + classes)
    before = _section(d, "connected", output=total, activation="linear")
    options = {"side": side, "num": num, "classes": classes, "coords": coords}
    return before + _section(d, "detection", **options, softmax=d.rarely(1), sqrt=d.rarely(1))


# ---------------------------------------------------------------------- with a state


def _rnn(d: Drawer) -> str:
    options = {
        "output": d.one(1, 4),
        "hidden": d.one(1, 3, 4),
        "logistic": d.rarely(d.one(1, 2)),
        "shortcut": d.rarely(1),
    }
    return _section(d, "rnn", activation=d.activation(), batch_normalize=d.one(0, 1), dontload=d.rarely(0), **options)


def _gru(d: Drawer) -> str:
    return _section(d, "gru", output=d.one(1, 4), batch_normalize=d.one(0, 1), tanh=d.rarely(1), dontload=d.rarely(0))


def _lstm(d: Drawer) -> str:
    return _section(d, "lstm", output=d.one(1, 4), batch_normalize=d.one(0, 1), dontload=d.rarely(0))


def _of_pictures(d: Drawer) -> dict[str, Any]:
    return {
        "size": d.one(1, 3), "stride": d.rarely(1), "pad": 1, "padding": d.rarely(1), "dilation": d.rarely(2),
        "groups": d.rarely(2), "batch_normalize": d.one(0, 1), "activation": d.activation(), "dontload": d.rarely(0),
        "xnor": d.rarely(0),
    }  # fmt: skip


def _crnn(d: Drawer) -> str:
    suffix = "_filters" if d.original else ""
    counts = {f"output{suffix}": d.one(2, 4), f"hidden{suffix}": d.one(2, 4)}
    return _section(d, "crnn", **counts, **_of_pictures(d), shortcut=d.rarely(1))


def _conv_lstm(d: Drawer) -> str:
    own = {
        "peephole": d.rarely(1),
        "state_constrain": d.rarely(1),
        "lstm_activation": d.rarely("leaky"),
        "bottleneck": d.rarely(0),
    }
    return _section(d, "conv_lstm", output=d.one(2, 4), **_of_pictures(d), **own)


def _history(d: Drawer) -> str:
    return _section(d, "history", history_size=d.one(None, 2, 3))


# ---------------------------------------------------------------------- the whole

_BLOCKS: dict[str, Callable[[Drawer], str]] = {
    "convolutional": _convolutional, "shared": _shared, "signs": _signs, "deconvolutional": _deconvolutional,
    "local": _local, "connected": _connected, "maxpool": _maxpool, "local_avgpool": _local_avgpool,
    "upsample": _upsample, "crop": _crop, "route": _route, "shortcut": _shortcut, "scale_channels": _scale_channels,
    "sam": _sam, "implicit": _implicit, "reorg": _reorg, "reorg3d": _reorg3d, "batchnorm": _batchnorm, "lrn": _lrn,
    "softmax": _softmax, "activation": _activation, "yolo": _yolo, "gaussian_yolo": _gaussian_yolo, "region": _region,
    "detection": _detection, "rnn": _rnn, "gru": _gru, "lstm": _lstm, "crnn": _crnn, "conv_lstm": _conv_lstm,
    "history": _history, "iseg": _iseg,
}  # fmt: skip
_PLAIN = ("avgpool", "dropout", "empty", "cost", "contrastive", "l2norm", "logistic")  # these have no options
_OFTEN = ("convolutional", "convolutional", "convolutional", "signs", "maxpool", "route", "shortcut")


def _known(block: str, flavor: str) -> bool:
    return block not in KINDS or flavor in KINDS[block].flavors


def drawn(seed: int, flavor: str) -> tuple[str, Network]:
    """A cfg of one to some layers that Darknet's rules allow, and its network."""
    d = Drawer(seed, flavor)
    picture = f"width={d.random.randint(4, 13)}\nheight={d.random.randint(4, 13)}\nchannels={d.one(1, 3, 4, 16, 32)}\n"
    net = d.one(*[picture] * 9, f"inputs={d.one(5, 16)}\n")
    blocks = [block for block in (*_BLOCKS, *_PLAIN, *_OFTEN) if _known(block, flavor)]
    layers = d.random.randint(1, 6)
    letter_box = "" if d.original or d.one(True, True, False) else "letter_box=1\n"
    d.text = f"[{d.one('net', 'network')}]\nbatch={d.one(1, 2)}\n{letter_box}{net}"
    d.network = Network(*_empty(d))
    for _ in range(100 * layers):
        block = d.random.choice(blocks)
        d.add(_BLOCKS[block](d) if block in _BLOCKS else _section(d, block))
        if len(d.network.layers) >= layers:
            break
    return d.text, d.network


def _empty(d: Drawer) -> tuple[Any, ...]:
    """What a network is made of that has no layer yet."""
    whole = built(d.text + "[cost]\n", d.flavor)
    return whole.flavor, whole.source, whole.in_shape, ()


def buildable(flavor: str, count: int) -> list[tuple[str, Network]]:
    """(text, network) of the first `count` seeds whose networks have no state: what one pass alone computes."""
    stateless = (made for made in map(drawn, itertools.count(), itertools.repeat(flavor)) if not has_state(made[1]))
    return list(itertools.islice(stateless, count))


def has_state(network: Network) -> bool:
    """Whether a layer carries something from step to step."""
    return any(layer.states for layer in network.layers)


def share_of(networks: Iterable[_T], share: str) -> list[tuple[int, _T]]:
    """(number, network) of those in one of the `SHARES`, numbered as in the whole."""
    return [(number, network) for number, network in enumerate(networks) if (number % 5 == 0) == (share == "a fifth")]
