"""The sum and the maximum along the first axis by other operators than ONNX has for it."""

from __future__ import annotations

from math import prod

import numpy as np

from layoutbridge.frameworks.onnx.network.values import OnnxValue
from layoutbridge.frameworks.primitives import NO_PADDING, LazyArray, Target


def sum_by_conv(target: Target[OnnxValue], x: OnnxValue) -> OnnxValue:
    """x of C channels as one: a Conv with ones."""
    ones = LazyArray.of(f"constants/ones_{x.shape[0]}", np.ones((1, x.shape[0], 1, 1)))
    summed = target.conv2d(target.reshape(x, (x.shape[0], prod(x.shape[1:]), 1)), ones)
    return target.reshape(summed, (1, *x.shape[1:]))


def maximum_by_pool(target: Target[OnnxValue], x: OnnxValue) -> OnnxValue:
    """x of C channels as one: a MaxPool with the channels as rows."""
    rows = target.reshape(x, (1, x.shape[0], prod(x.shape[1:])))
    largest = target.max_pool(rows, size=(x.shape[0], 1), stride=(1, 1), padding=NO_PADDING)
    return target.reshape(largest, (1, *x.shape[1:]))
