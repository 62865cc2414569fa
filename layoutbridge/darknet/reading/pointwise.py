"""The layers that keep their input's shape: batchnorm, activation, dropout, lrn, l2norm, softmax and the like.

Definition: batchnorm_layer.c, activation_layer.c, dropout_layer.c, normalization_layer.c, l2norm_layer.c,
softmax_layer.c, logistic_layer.c, cost_layer.c; tree.c for the softmax's tree.
"""

from __future__ import annotations

from math import prod

from layoutbridge.darknet.reading.place import Place, reads
from layoutbridge.darknet.reading.softmax_tree import read_tree
from layoutbridge.darknet.structure.kinds import (
    Activation,
    Batchnorm,
    Contrastive,
    Cost,
    Dropout,
    Empty,
    Iseg,
    L2norm,
    Logistic,
    Lrn,
    Softmax,
)
from layoutbridge.darknet.structure.model import Layer, Parameter
from layoutbridge.errors import counted


@reads(Batchnorm)
def batchnorm(place: Place) -> Layer:
    """[batchnorm]: the fork reads biases first; the original has none in its file."""
    channels = place.image()[0]
    if place.original:
        place.options.warn_once("the original Darknet stops there on a CPU (memory fault); here it is computed")
    loads = not place.options.flag("dontload")
    fills = (("biases", 0.0), ("scales", 1.0), ("means", 0.0), ("variances", 0.0))
    parameters = [
        Parameter(name, (channels,), channels if loads and not (place.original and name == "biases") else 0, fill)
        for name, fill in fills
    ]
    return place.layer(place.in_shape, Batchnorm(), parameters)


@reads(Activation)
def activation(place: Place) -> Layer:
    """[activation]: linear unless named."""
    return place.layer(place.in_shape, Activation(activation=place.options.activation("linear")))


@reads(Dropout)
def dropout(place: Place) -> Layer:
    """[dropout]: the input, outside training."""
    _warn_first(place)
    return place.layer(place.in_shape, Dropout())


@reads(Empty)
def empty(place: Place) -> Layer:
    """[empty]: the input."""
    _warn_first(place)
    return place.layer(place.in_shape, Empty())


def _warn_first(place: Place) -> None:
    """Darknet takes the output of the layer before for its own, and looks for it where nothing is."""
    if place.index == 0:
        place.options.warn("is the first layer: Darknet stops there (memory fault); here it gives its input")


@reads(Cost)
def cost(place: Place) -> Layer:
    """[cost]: computes nothing without a truth; ours is its input, flat as Darknet holds it."""
    return place.layer((prod(place.in_shape),), Cost())


@reads(Contrastive)
def contrastive(place: Place) -> Layer:
    """[contrastive]: computes nothing outside training; ours is its input, flat as Darknet holds it."""
    return place.layer((prod(place.in_shape),), Contrastive())


@reads(Iseg)
def iseg(place: Place) -> Layer:
    """[iseg]: as many channels as there are classes and ids; Darknet stops where the input has others."""
    channels = place.image()[0]
    classes, ids = place.options.integer("classes", 20, least=0), place.options.integer("ids", 32, least=0)
    if classes + ids != channels:
        raise place.error(f"classes={classes} and ids={ids} make {classes + ids} channels; its input has {channels}")
    return place.layer(place.in_shape, Iseg(classes=classes, ids=ids))


@reads(Lrn)
def lrn(place: Place) -> Layer:
    """[lrn]: a running window over the channels; see the reference for its recurrence."""
    options = place.options
    channels = place.image()[0]
    size = options.integer("size", 5, least=1)
    alpha, beta, kappa = (options.number(*given) for given in (("alpha", 0.0001), ("beta", 0.75), ("kappa", 1.0)))
    if size // 2 > channels:
        raise place.error(f"size={size} starts with {size // 2} channels and the input has {channels}", "size")
    settings = Lrn(size=size, alpha=alpha, beta=beta, kappa=kappa)
    return place.layer(place.in_shape, settings)


@reads(L2norm)
def l2norm(place: Place) -> Layer:
    """[l2norm]: each position divided by its length over the channels."""
    return place.layer(place.image(), L2norm())


@reads(Logistic)
def logistic(place: Place) -> Layer:
    """[logistic]: the logistic of every value."""
    return place.layer(place.in_shape, Logistic())


@reads(Softmax)
def softmax(place: Place) -> Layer:
    """[softmax]: over equal groups of all values, or over the groups of a tree; the result is flat."""
    options = place.options
    total = prod(place.in_shape)
    groups = options.integer("groups", 1, least=1)
    temperature = options.number("temperature", 1.0)
    if total % groups:
        raise place.error(f"its {counted(total, 'input')} cannot be split into groups={groups}", "groups")
    if temperature == 0:
        raise place.error("temperature=0: every value would be divided by it", "temperature")
    if options.flag("spatial"):
        options.warn("spatial=1 is left out, as by Darknet's own CPU code: the softmax is over all values", "spatial")
    tree = read_tree(place)
    if tree is not None and sum(tree.sizes) != total:
        raise place.error(f"its tree has {sum(tree.sizes)} classes, its input {total} values", "tree")
    return place.layer((total,), Softmax(groups=groups, temperature=temperature, tree=tree))
