"""Cfg files drawn over every kind of layer and option, for targets to be compared on. Not a test itself."""

import random

import pytest

from layoutbridge.darknet.reading.activations import ACTIVATIONS, ORIGINAL_ACTIVATIONS
from layoutbridge.errors import CfgError
from tests.darknet_files import built

SHARED_KINDS = (
    "convolutional", "convolutional", "maxpool", "local", "connected", "route", "shortcut", "upsample", "lrn", "crop",
    "reorg", "softmax", "batchnorm", "avgpool", "dropout", "activation",
)  # fmt: skip
KINDS = {
    "alexey": (*SHARED_KINDS, "local_avgpool", "scale_channels", "sam", "implicit", "reorg3d", "empty"),
    "pjreddie": (*SHARED_KINDS, "deconvolutional", "l2norm", "logistic"),
}


# Every fifth of the drawn networks is in the default tests, so that each batch size and opset is; the others are slow.
SHARES = ("a fifth", pytest.param("the others", marks=pytest.mark.slow))


def drawn(seed, flavor):
    """A cfg of one to five layers; not every one can be built."""
    draw = random.Random(seed)

    def one(*choices):
        return draw.choice(choices)

    names = sorted({*(ORIGINAL_ACTIVATIONS if flavor == "pjreddie" else ACTIVATIONS)} - {"stair"})  # it has steps

    def options(kind):
        window = {"size": one(1, 2, 3, 5), "stride": one(1, 2, 3), "stride_x": one(None, 2)}
        blur = {"antialiasing": one(None, None, 1, 2)}
        weighted = {"filters": one(1, 2, 4, 8), "activation": one(*names)}
        norm = {"batch_normalize": one(0, 1)}
        return {
            "convolutional": weighted | norm | window | blur | {
                "pad": one(0, 1), "padding": one(None, 1, 2), "groups": one(None, 2), "dilation": one(None, 2),
            },
            "deconvolutional": weighted | norm | {"size": one(1, 2, 3, 4), "stride": one(1, 2, 3), "pad": one(0, 1)},
            "local": weighted | {"size": one(1, 2, 3), "stride": one(1, 2), "pad": one(0, 1)},
            "connected": norm | {"output": one(1, 4, 9), "activation": one(*names)},
            "maxpool": window | blur | {
                "padding": one(None, None, 0, 1, 2, 3), "maxpool_depth": one(None, None, 1),
                "out_channels": one(1, 2, 3),
            },
            "local_avgpool": window | {"padding": one(None, 1, 2)},
            "route": {
                "layers": ",".join(str(-draw.randint(1, 3)) for _ in range(one(1, 2, 3))),
                "groups": one(None, 2), "group_id": one(0, 1),
            },
            "shortcut": {
                "from": ",".join(str(-draw.randint(2, 4)) for _ in range(one(1, 2))), "activation": one(*names),
                "alpha": one(None, 0.5), "beta": one(None, 2), "weights_type": one(None, "per_feature", "per_channel"),
                "weights_normalization": one(None, "relu", "softmax"), "second_order": one(None, None, 1),
            },
            "upsample": {"stride": one(1, 2, 3, -1, -2), "scale": one(None, 0.5)},
            "lrn": {"size": one(1, 2, 3, 4, 5)},
            "crop": {"crop_width": draw.randint(1, 6), "crop_height": draw.randint(1, 6)},
            "reorg": {"stride": one(1, 2), "reverse": one(None, 1), "flatten": one(None, 1), "extra": one(None, 3)},
            "reorg3d": {"stride": one(1, 2), "reverse": one(None, 1)},
            "softmax": {"groups": one(1, 2), "temperature": one(None, 2)},
            "activation": {"activation": one(*names)},
            "scale_channels": {"from": -2, "scale_wh": one(0, 1)},
            "sam": {"from": -2},
            "implicit": {"filters": one(1, 2, 8), "atoms": one(1, 3)},
        }.get(kind, {})  # fmt: skip

    lines = ["[net]", f"width={draw.randint(4, 13)}", f"height={draw.randint(4, 13)}", f"channels={one(1, 3, 4, 16)}"]
    for _ in range(draw.randint(1, 5)):
        kind = one(*KINDS[flavor])
        lines += [f"[{kind}]", *(f"{key}={value}" for key, value in options(kind).items() if value is not None)]
    return "\n".join(lines) + "\n"


def buildable(flavor, count):
    """(text, network) of the first `count` drawn cfg files that Darknet's rules allow."""
    found = []
    for seed in range(100 * count):
        text = drawn(seed, flavor)
        try:
            found.append((text, built(text, flavor)))
        except CfgError:
            continue
        if len(found) == count:
            break
    return found


def share_of(networks, share):
    """(number, network) of those in one of the `SHARES`, numbered as in the whole."""
    return [(number, network) for number, network in enumerate(networks) if (number % 5 == 0) == (share == "a fifth")]
