"""Drawn networks in every target against the float64 reference, a batch of 1 or 2 and, with a state, a sequence.

`make fuzz-networks COUNT=5000 SEED=0` runs so many seeds of both flavours from that one on; a failure's seed stands in
its name.
"""

import os
from collections import defaultdict

import numpy as np
import pytest

from layoutbridge.darknet.reading.options import Options
from layoutbridge.darknet.reference import forward_layer
from layoutbridge.darknet.structure.choices import FLAVORS
from layoutbridge.darknet.structure.kinds import KINDS
from tests.darknet_files import made
from tests.drawn_networks import drawn, has_state
from tests.targets import EVERY_TARGET, IN_WINOGRADS_FORM

TOLERANCE = 5e-5  # of a layer's largest value
ROUNDINGS = 5  # or so many times what the reference loses in float32
CANCELLED = 1e-4  # of what a layer takes: where less is left of it, its largest value says little
LAST_DIGIT = 2e-7  # of a number near 1: what a logistic less another may leave for 0
STEPS = 3  # of a sequence
DRAWN = 500  # seeds among which every option must be
QUICK, SLOW, ALL = 2, 6, 150  # seeds of a flavour in the default tests, with the slow ones, and in all of them
COUNT, FIRST = (int(os.environ.get(f"FUZZ_{name}") or 0) for name in ("COUNT", "SEED"))


def seeds():
    """Those that were asked for; by default some, more that are slow, and many to be thorough."""
    if COUNT:
        return range(FIRST, FIRST + COUNT)
    marks = [()] * QUICK + [pytest.mark.slow] * (SLOW - QUICK) + [pytest.mark.thorough] * (ALL - SLOW)
    return [pytest.param(seed, marks=mark) for seed, mark in enumerate(marks)]


def divides_by_nothing(layer, flavor):
    """Whether the original's batch norm has variances that no file gave: times a million, a rounding is a number."""
    return flavor == "pjreddie" and any(p.name.endswith("variances") and not p.leading for p in layer.parameters)


def compared(net, x, outputs):
    """Each layer with its deviation, and what is allowed: of outputs [T, N, ...] from what the reference makes of the
    target's own values before the layer. So no error grows from layer to layer, and no sign hangs on one.

    Layers with what float32 makes no finite number of go into no comparison: l2norm divides 0 by 0, exp(89) is too
    large, and what becomes of the values beside them, runtimes leave open.
    """
    memories = {np.float64: {}, np.float32: {}}
    for layer in net.layers:
        inputs = [x if index < 0 else outputs[index] for index in layer.inputs]
        if not all(np.isfinite(values).all() for values in inputs) or divides_by_nothing(layer, net.network.flavor):
            continue
        exact, rounded = (
            np.stack(
                [
                    forward_layer(
                        layer,
                        net.parameters,
                        [values[step].astype(dtype) for values in inputs],
                        net.network.flavor,
                        x.shape[1],
                        dtype,
                        memory=memory,
                    )
                    for step in range(len(x))
                ]
            ).astype(np.float64)
            for dtype, memory in memories.items()
        )
        assert outputs[layer.index].shape == exact.shape, layer.name
        if not np.isfinite(rounded).all():
            continue
        deviation, rounding = (np.abs(values - exact).max(initial=0) for values in (outputs[layer.index], rounded))
        largest = np.abs(exact).max(initial=0)
        seen = max((np.abs(values).max() for values in inputs), default=0)  # what a sum of nearly 0 is made of
        yield layer, deviation, max(TOLERANCE * max(largest, CANCELLED * seen), ROUNDINGS * rounding, LAST_DIGIT)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("target", [*EVERY_TARGET, *IN_WINOGRADS_FORM])
def test_every_target_computes_what_the_reference_does(seed, flavor, target, tmp_path):
    text, network = drawn(seed, flavor)
    net = made(text, tmp_path, flavor, seed)
    assert net.network.layers == network.layers
    shape = (STEPS if has_state(network) else 1, 1 + seed % 2, *network.in_shape)
    x = np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
    if has_state(network):
        outputs = net.run_sequence(x, framework=target, every_layer=True)
    else:
        outputs = [output[None] for output in net.run(x[0], framework=target, every_layer=True)]
    for layer, deviation, allowed in compared(net, x, outputs):
        assert deviation <= allowed, f"{layer.name}\n{text}"


@pytest.mark.parametrize("flavor", FLAVORS)
def test_every_kind_and_every_option_is_drawn(flavor, monkeypatch):
    """An option that a reader asks for and no drawn section gives is one that nothing compares."""
    asked, given = defaultdict(set), defaultdict(set)
    take = Options._take

    def taken(options, key):
        asked[options.section.kind].add(key)
        given[options.section.kind].update(options.section.options)
        return take(options, key)

    monkeypatch.setattr(Options, "_take", taken)
    kinds = {layer.kind for seed in range(DRAWN) for layer in drawn(seed, flavor)[1].layers}
    assert kinds == {kind for kind, settings in KINDS.items() if flavor in settings.flavors}
    assert {kind: asked[kind] - given[kind] for kind in asked if asked[kind] - given[kind]} == {}
    assert all(drawn(seed, flavor) == drawn(seed, flavor) for seed in range(5))
