"""The layers that keep their input's shape, and those that only view or move it.

Definition: activation_layer.c, dropout_layer.c, cost_layer.c, normalization_layer.c, l2norm_layer.c, softmax_layer.c,
logistic_layer.c, reorg_layer.c, reorg_old_layer.c; the permutations of reorg stand in the catalogue.
"""

from __future__ import annotations

from itertools import accumulate, groupby

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning.activations import activate
from layoutbridge.darknet.meaning.context import Context, means
from layoutbridge.darknet.structure.kinds import (
    Activation,
    Contrastive,
    Cost,
    Dropout,
    Empty,
    Iseg,
    L2norm,
    Logistic,
    Lrn,
    Reorg,
    Reorg3d,
    Softmax,
)
from layoutbridge.darknet.structure.settings import Moving, Settings
from layoutbridge.frameworks.primitives import Target, V
from layoutbridge.operations.catalog import entry, op


@means(Activation)
def activation(context: Context[V], settings: Activation) -> V:
    """[activation]."""
    return activate(context.target, context.x, settings.activation)


@means(Dropout, Empty)
def unchanged(context: Context[V], _: Settings) -> V:
    """[dropout] and [empty]."""
    return context.x


@means(Cost, Contrastive)
def cost(context: Context[V], settings: Cost) -> V:
    """[cost] and [contrastive]: the input, flat."""
    return context.flat(context.x)


@means(Iseg)
def iseg(context: Context[V], settings: Iseg) -> V:
    """[iseg]: the logistic of the classes' channels."""
    target, x, classes = context.target, context.x, settings.classes
    if classes in (0, x.shape[0]):
        return target.activation(x, "sigmoid") if classes else x
    scores, ids = target.split(x, (classes, settings.ids))
    return target.concat([target.activation(scores, "sigmoid"), ids])


@means(Reorg, Reorg3d)
def reorg(context: Context[V], settings: Moving) -> V:
    """[reorg] and [reorg3d]: a permutation of the catalogue under the layer's own shape; or zeros behind, `extra`."""
    target, name = context.target, settings.operation
    if name is None:
        return target.pad(context.flat(context.x), (0,), (settings.extra,))
    parameters = {"stride": settings.stride} if "stride" in entry(name).parameters else {}
    return target.reshape(target.rearrange(context.x, op(name, **parameters)), context.layer.out_shape)


@means(Lrn)
def lrn(context: Context[V], settings: Lrn) -> V:
    """[lrn]: x·(kappa + alpha·M·x²)^(−beta); M, fixed, is what Darknet's running window sums for each channel."""
    target = context.target
    channels = context.x.shape[0]
    window = settings.alpha * running_window(channels, settings.size)
    sums = target.conv2d(
        target.multiply(context.x, context.x),
        context.constant("window", window.reshape(channels, channels, 1, 1)),
        context.constant("kappa", np.full(channels, settings.kappa)),
    )
    return target.multiply(context.x, target.power(sums, -settings.beta))


def running_window(channels: int, size: int) -> NDArray[np.float64]:
    """Which channels' squares each channel's sum holds, [C, C]: from the C code's recurrence.

    The first sum holds channels 0 to size//2 − 1. Each next one drops the channel (size − 1)//2 + 1 before its own
    and adds the one size//2 behind it, so channel size//2 is never added, yet dropped.

    >>> running_window(4, 3).tolist()
    [[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0], [0.0, -1.0, 1.0, 1.0]]
    """
    sums = np.zeros((channels, channels))
    sums[0, : size // 2] = 1
    for channel in range(1, channels):
        sums[channel] = sums[channel - 1]
        dropped, added = channel - (size - 1) // 2 - 1, channel + size // 2
        if dropped >= 0:
            sums[channel, dropped] -= 1
        if added < channels:
            sums[channel, added] += 1
    return sums


@means(L2norm)
def l2norm(context: Context[V], settings: L2norm) -> V:
    """[l2norm]: x over the root of the sum of squares over the channels."""
    target = context.target
    squares = target.reduce_sum(target.multiply(context.x, context.x), 0)
    return target.divide(context.x, target.activation(squares, "sqrt"))


@means(Logistic)
def logistic(context: Context[V], settings: Logistic) -> V:
    """[logistic]."""
    return context.target.activation(context.x, "sigmoid")


@means(Softmax)
def softmax(context: Context[V], settings: Softmax) -> V:
    """[softmax]: over equal groups of the flat input, or over a tree's groups; x over the temperature first."""
    target = context.target
    x = context.flat(context.x)
    if settings.temperature != 1:
        x = target.divide(x, settings.temperature)
    if settings.tree is not None:
        return grouped_softmax(target, x, settings.tree.sizes)
    groups = settings.groups
    if groups == 1:
        return target.softmax(x, 0)
    total = x.shape[0]
    return target.reshape(target.softmax(target.reshape(x, (groups, total // groups)), 1), (total,))


def grouped_softmax(target: Target[V], x: V, sizes: tuple[int, ...]) -> V:
    """A softmax over each of the groups of these sizes along axis 0. Neighbours of one size are done together."""
    runs = [(size, len(list(same))) for size, same in groupby(sizes)]
    lengths = [size * count for size, count in runs]
    if list(accumulate(lengths))[-1] != x.shape[0]:
        raise ValueError(f"groups of {sum(lengths)} values do not fit {x.shape[0]}")
    rest = x.shape[1:]
    done = []
    for part, (size, count) in zip(target.split(x, lengths), runs, strict=True):
        if count == 1:
            done.append(target.softmax(part, 0))
        else:
            done.append(target.reshape(target.softmax(target.reshape(part, (count, size, *rest)), 1), part.shape))
    return target.concat(done)
