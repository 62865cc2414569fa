"""Drawn networks in every target against the float64 reference, a batch of 1 or 2 and, with a state, a sequence.

`make fuzz COUNT=5000 SEED=0` runs so many seeds of both flavours from that one on; a failure's seed stands in its name.
"""

import os
from collections import defaultdict

import numpy as np
import pytest

from layoutbridge.darknet.ports.check import check_network
from layoutbridge.darknet.reading.options import Options
from layoutbridge.darknet.structure.kinds import KINDS, Convolutional
from layoutbridge.darknet.structure.settings import FLAVORS
from tests.darknet_files import made
from tests.drawn_networks import drawn, has_state
from tests.targets import EVERY_TARGET, parameter

TOLERANCE = 5e-5  # of a layer's largest value
ROUNDINGS = 5  # or so many times what the reference loses in float32
NEARLY_ZERO = 1e-5  # of a layer's largest value: a sign there is a matter of rounding
STEPS = 3  # of a sequence
DRAWN = 500  # seeds among which every option must be
QUICK, ALL = 12, 150  # seeds of a flavour in the default tests, and in all of them
COUNT, FIRST = (int(os.environ.get(f"FUZZ_{name}") or 0) for name in ("COUNT", "SEED"))


def seeds():
    """Those that were asked for; by default some, and more that are slow."""
    if COUNT:
        return range(FIRST, FIRST + COUNT)
    return [pytest.param(seed, marks=() if seed < QUICK else pytest.mark.slow) for seed in range(ALL)]


def decided(net, x):
    """Whether no sign that a layer takes hangs on the last digits, and all is finite."""
    run = net.run_sequence if has_state(net.network) else net.run
    outputs = run(x, every_layer=True)
    for layer in net.layers:
        if isinstance(layer.settings, Convolutional) and layer.settings.xnor:
            seen = np.abs(x if layer.inputs[0] < 0 else outputs[layer.inputs[0]])
            if ((seen > 0) & (seen < NEARLY_ZERO * seen.max())).any():
                return False
    return all(np.isfinite(output).all() for output in outputs)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning", "ignore:overflow:RuntimeWarning")
@pytest.mark.usefixtures("quick_collection")
@pytest.mark.parametrize("flavor", FLAVORS)
@pytest.mark.parametrize("seed", seeds())
@pytest.mark.parametrize("target", [*EVERY_TARGET, parameter("onnx-winograd")])
def test_every_target_computes_what_the_reference_does(seed, flavor, target, tmp_path):
    text, network = drawn(seed, flavor)
    net = made(text, tmp_path, flavor, seed)
    assert net.network.layers == network.layers
    steps = (STEPS,) if has_state(network) else ()
    shape = (*steps, 1 + seed % 2, *network.in_shape)
    x = np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
    if not decided(net, x):
        pytest.skip("it hangs on rounding, or is not finite")
    checked = check_network(net.network, net.parameters, [target], x=x, tolerance=TOLERANCE)
    for row in checked.rows:
        assert not row.over or row.deviation <= ROUNDINGS * (row.rounding or 0), f"{row}\n{text}"


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
