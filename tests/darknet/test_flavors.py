"""Where the two flavours differ for a network: told where they do, by the right amount, and nowhere else."""

import json
import re
from time import process_time

import numpy as np
import pytest

from layoutbridge.cli import main
from layoutbridge.darknet import load
from layoutbridge.darknet.networks.flavors import told_differences
from layoutbridge.darknet.ports.check import check_network
from layoutbridge.darknet.reference.recorded import read_recorded
from tests.darknet_files import GOLDEN, MORE, MORE_NETS, NETS, RECURRENT, SEQUENCES, made

NET = "[net]\nwidth=6\nheight=4\nchannels=4\n"
CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\n"
FOLDERS = [*(NETS / name for name in GOLDEN), *(MORE / name for name in MORE_NETS), *(RECURRENT / n for n in SEQUENCES)]


def sequence(net, rng):
    shape = (2, 1, *net.network.in_shape)
    return rng.random(shape).astype(np.float32)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_what_is_told_is_what_the_outputs_show(folder):
    """The first layer that differs is one that is told; where nothing of layers is told, none differs."""
    net = load(folder / "net.cfg", folder / "net.weights", flavor=folder.parent.name)
    differences, other = net.flavor_differences(), net.in_other_flavor()
    if other is None:
        return
    x = sequence(net, np.random.default_rng(0))
    with np.errstate(all="ignore"):
        pairs = zip(*(one.run_sequence(x, every_layer=True) for one in (net, other)), strict=True)
    differing = [
        layer.name
        for layer, (here, there) in zip(net.layers, pairs, strict=True)
        if not np.allclose(here.ravel(), there.ravel(), rtol=0, atol=1e-9 * np.abs(here).max(), equal_nan=True)
    ]
    told = {name for difference in differences for name in difference.layers}
    assert (not differing) == (not told) or "header" in told_differences(net.network, differences)
    if differing and "header" not in told_differences(net.network, differences):
        assert differing[0] in told


def test_nothing_is_told_where_both_compute_the_same(tmp_path):
    text = NET + CONV + "[shortcut]\nfrom=-1\nactivation=leaky\n[max]\nsize=2\nstride=2\n[avgpool]\n[softmax]\n"
    net = made(text.replace("from=-1", "from=0") + "", tmp_path)
    assert net.flavor_differences() == () and told_differences(net.network, ()) == ""
    assert made(NET + CONV + "[route]\nlayers=-1\n", tmp_path).flavor_differences() == ()
    assert made(NET + CONV + "[empty]\n", tmp_path).flavor_differences() == ()  # the original cannot read it


@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
def test_batch_norm_by_its_smallest_variance(flavor, tmp_path):
    net = made(NET + CONV + "batch_normalize=1\n" + CONV + "batch_normalize=1\n", tmp_path, flavor)
    variances = net.parameters[1, "variances"].astype(np.float64)
    shares = np.abs((np.sqrt(variances) + 1e-6) / np.sqrt(variances + 1e-5) - 1)
    (found,) = net.flavor_differences()
    assert (found.what, found.layers) == ("batch norm", ("0_convolutional", "1_convolutional"))
    assert found.share >= shares.max() * 0.999
    assert found.worst == "0_convolutional" or found.share == pytest.approx(shares.max())
    (without,) = load(tmp_path / "net.cfg", flavor=flavor).flavor_differences()
    assert without.told == "batch norm in 2 layers"


REGION = "[convolutional]\nfilters=14\nsize=1\n[region]\nclasses=2\nnum=2\nanchors=1,1,2,2\n"
DIFFERING = [  # a cfg, the flavour that it is read in, and what is told, percents aside
    (NET + REGION, "alexey", "1_region by up to # %; pictures are letterboxed for detection, not stretched"),
    (NET + REGION, "pjreddie", "1_region by up to # %; pictures are stretched for detection, not letterboxed"),
    (
        NET + CONV + "[route]\nlayers=-1\ngroups=2\n" + CONV,
        "alexey",
        "it takes 296 floats of the weights file, not 224; from 1_route on shapes are others, [4, 4, 6] there",
    ),
    (NET + CONV + "[shortcut]\nfrom=0\nalpha=0.5\n", "pjreddie", "1_shortcut by up to # %"),
    ("[net]\ninputs=3\n[gru]\noutput=2\n", "alexey", "0_gru by up to # %"),
    (NET + CONV + "xnor=1\n", "alexey", "0_convolutional by up to # %"),
    (
        NET + "[crnn]\noutput=2\nhidden=2\npad=1\n",
        "alexey",
        "it takes 57 floats of the weights file, not 150; from 0_crnn on shapes are others, [1, 6, 4] there",
    ),
]


@pytest.mark.parametrize(("text", "flavor", "said"), DIFFERING)
def test_every_kind_of_difference(text, flavor, said, tmp_path):
    net = made(text, tmp_path, flavor)
    told = told_differences(net.network, net.flavor_differences())
    other = {"alexey": "pjreddie", "pjreddie": "alexey"}[flavor]
    beginning = f"flavor {flavor}; {other} would differ, each layer taken by itself: "
    assert re.sub(r"by up to \d+ %", "by up to # %", told) == beginning + said


@pytest.mark.parametrize("command", ["summary", "check", "export"])
def test_the_commands_tell(command, capfd, tmp_path):
    pytest.importorskip("onnxruntime")
    folder = NETS / "alexey/passthrough"
    files = [str(folder / "net.cfg"), *([str(folder / "net.weights")] if command != "summary" else [])]
    rest = {"check": ["--targets", "onnx"], "export": ["-o", str(tmp_path / "a.onnx")], "summary": []}[command]
    assert main([command, *files, *rest]) == 0
    out, err = capfd.readouterr()
    assert "flavor alexey; pjreddie would differ, each layer taken by itself: 8_region by up to" in " ".join(
        (out + err).split()
    )
    if command == "check":
        assert "flavor 'pjreddie' would give other outputs" in out and "first at 8_region (cfg line 57)" in out


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("flavor", ["alexey", "pjreddie"])
@pytest.mark.parametrize("truth", ["alexey", "pjreddie"])
def test_recorded_outputs_say_which_flavour_fits(truth, flavor, capfd):
    pytest.importorskip("onnxruntime")
    folder = NETS / truth / "passthrough"
    files = [str(folder / "net.cfg"), str(folder / "net.weights"), "--flavor", flavor]
    arguments = ["check", *files, "--targets", "onnx", "--against", str(folder / "outputs.npz")]
    assert main(arguments) == (0 if truth == flavor else 1)
    out = " ".join(capfd.readouterr().out.split())
    other = "pjreddie" if flavor == "alexey" else "alexey"
    assert (f"flavor '{other}' fits them" in out) == (truth != flavor)
    assert (f"flavor '{other}' would not fit them: first at 8_region" in out) == (truth == flavor)
    assert main([*arguments, "--json"]) == (0 if truth == flavor else 1)
    told = json.loads(capfd.readouterr().out)["other"]
    assert told["flavor"] == other and (told["first"] is None) == (truth != flavor)


def test_both_flavours_may_fit():
    folder = NETS / "alexey/reorg_reverse"
    net = load(folder / "net.cfg", folder / "net.weights")
    other = net.in_other_flavor()
    against = read_recorded(folder / "outputs.npz", net.network)
    pytest.importorskip("onnxruntime")
    result = check_network(
        net.network, net.parameters, ["onnx"], against=against, other=(other.network, other.parameters)
    )
    assert result.ok and result.other.first is None and 0 < result.other.share < 1e-4


def test_layers_that_would_take_long_are_told_without_an_amount(tmp_path):
    """A cfg of 300 bytes had windows of 161 × 161 gathered, in a gigabyte; one of 200 KB would have taken hours."""
    xnor = "[convolutional]\nxnor=1\nbatch_normalize=1\nfilters=32\npad=1\nactivation=leaky\n"
    net = "[net]\nwidth=13\nheight=13\nchannels=32\n"
    (tmp_path / "wide.cfg").write_text(f"{net}{xnor}size=161\n")
    (tmp_path / "long.cfg").write_text(f"{net.replace('13', '104')}{xnor}size=3\n" + f"{xnor}size=3\n" * 1000)
    for name in ("wide", "long"):
        started = process_time()
        (found, *_) = load(tmp_path / f"{name}.cfg").flavor_differences()
        assert found.what == "convolutional" and (found.share is None) == (name == "wide")
        assert process_time() - started < 20
