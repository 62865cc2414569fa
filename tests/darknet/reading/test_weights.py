"""Weights files: every header, what is stored in part, what is damaged, and that nothing is copied."""

import os
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layoutbridge.darknet import load
from layoutbridge.darknet.reading.weights import read_header, read_weights
from layoutbridge.darknet.structure.choices import FLAVORS
from layoutbridge.errors import LayoutBridgeError, WeightsError
from tests.darknet_files import HEADER, NETS, ROOT, built, random_weights

CFG = """[net]
width=4
height=4
channels=3
[convolutional]
batch_normalize=1
filters=5
size=3
pad=1
activation=leaky
[connected]
output=6
activation=linear
"""
FLOATS = 5 * 4 + 5 * 27 + 6 + 6 * 80


@pytest.fixture
def files(tmp_path):
    """The paths of a small cfg and of weights that fit it."""
    (tmp_path / "net.cfg").write_text(CFG)
    (tmp_path / "net.weights").write_bytes(random_weights(built(CFG)))
    return tmp_path / "net.cfg", tmp_path / "net.weights"


def test_every_parameter_in_its_place(files):
    cfg, path = files
    net = load(cfg, path, strict=True)
    values = np.frombuffer(path.read_bytes()[20:], "<f4")
    assert values.size == FLOATS
    np.testing.assert_array_equal(net.parameters[0, "biases"], values[:5])
    np.testing.assert_array_equal(net.parameters[0, "variances"], values[15:20])
    np.testing.assert_array_equal(net.parameters[0, "weights"], values[20:155].reshape(5, 3, 3, 3))
    np.testing.assert_array_equal(net.parameters[1, "biases"], values[155:161])
    np.testing.assert_array_equal(net.parameters[1, "weights"], values[161:].reshape(6, 80))
    assert net.weights.header.seen == 12345
    assert net.warnings == ()


def test_arrays_are_views_of_what_is_read_once(tmp_path):
    text = "[net]\nwidth=1\nheight=1\nchannels=4096\n[convolutional]\nfilters=4096\n"
    (tmp_path / "net.cfg").write_text(text)
    with (tmp_path / "net.weights").open("wb") as file:
        file.write(HEADER)
        file.truncate(20 + 4 * (4096 + 4096 * 4096))  # 64 MB of zeros, sparse
    tracemalloc.start()
    net = load(tmp_path / "net.cfg", tmp_path / "net.weights", strict=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 67 << 20
    weights = net.parameters[0, "weights"]
    assert weights.nbytes == 64 << 20
    assert not weights.flags.owndata
    assert not weights.flags.writeable
    assert type(weights) is np.ndarray


def test_with_upto_no_more_is_read_than_the_layers_kept(tmp_path):
    text = "[net]\nwidth=1\nheight=1\nchannels=64\n[convolutional]\nfilters=8\n[convolutional]\nfilters=4\n"
    (tmp_path / "net.cfg").write_text(text)
    (tmp_path / "net.weights").write_bytes(random_weights(built(text)) + b"more")
    net = load(tmp_path / "net.cfg", tmp_path / "net.weights", upto=1)
    assert net.weights.stored[0].nbytes == 4 * (8 + 8 * 64)
    assert net.weights.stored[0].base is None or net.weights.stored[0].base.nbytes == 4 * (8 + 8 * 64)
    assert net.weights.trailing.size == 0


def test_weights_stay_when_their_file_is_cut_short(files, tmp_path):
    """A map of it would end the process (SIGBUS) when the arrays are used."""
    cfg, path = files
    net = load(cfg, path)
    before = path.read_bytes()
    os.truncate(path, 0)
    net.save_weights(tmp_path / "saved")
    assert (tmp_path / "saved").read_bytes() == before


@pytest.mark.parametrize("change", ["cut", "longer", "other"])
def test_weights_that_change_while_they_are_read(tmp_path, change):
    text = "[net]\nwidth=1\nheight=1\nchannels=1024\n[convolutional]\nfilters=512\n"
    path = tmp_path / "net.weights"
    (tmp_path / "net.cfg").write_text(text)
    path.write_bytes(random_weights(built(text)))

    def change_it(done, total):
        if done == total and change == "cut":
            return
        if change == "cut":
            os.truncate(path, 400)
        elif change == "longer":
            with path.open("ab") as file:
                file.write(b"more")
        else:
            os.utime(path, ns=(0, 0))

    size = path.stat().st_size
    now = {"cut": "400", "longer": f"{size + 8:,}", "other": f"{size:,}"}[change]  # it is told twice
    said = rf"net.weights' changed while it was read \(it had {size:,} bytes, now {now}\)"
    with pytest.raises(WeightsError, match=said):
        load(tmp_path / "net.cfg", path, progress=change_it)


def test_what_is_refused_is_not_read_to_its_end(tmp_path):
    """Some hundred megabytes that are not there (a sparse file), the first of them no numbers."""
    text = "[net]\nwidth=1\nheight=1\nchannels=8192\n[convolutional]\nfilters=8192\n"
    (tmp_path / "net.cfg").write_text(text)
    with (tmp_path / "net.weights").open("wb") as file:
        file.write(HEADER + struct.pack("<f", np.nan))
        file.truncate(20 + 4 * (8192 + 8192 * 8192))
    script = (
        "import resource, sys\nfrom layoutbridge.darknet import load\nfrom layoutbridge.errors import WeightsError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    load('net.cfg', 'net.weights')\n"
        "except WeightsError as error:\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    kilobytes, _, said = done.stdout.partition(" ")
    assert "holds nan among the biases" in said, done.stderr
    assert int(kilobytes) < 20_000


@pytest.mark.parametrize(
    "version, flavor, length, transposed",
    [
        ((0, 1, 0), "alexey", 16, False),
        ((0, 1, 0), "pjreddie", 16, False),
        ((0, 2, 5), "alexey", 20, False),
        ((0, 2, 0), "pjreddie", 20, False),
        ((1, 0, 0), "pjreddie", 20, False),
        ((1001, 2, 0), "pjreddie", 16, True),
        ((1001, 2, 0), "alexey", 20, True),
        ((0, 1001, 0), "alexey", 20, True),
        ((1000, 0, 0), "pjreddie", 16, False),
    ],
)
def test_headers(version, flavor, length, transposed):
    header = read_header(struct.pack("<3iQ", *version, 7), flavor, "net.weights")
    assert (len(header.raw), header.transposed, header.seen) == (length, transposed, 7)
    assert (header.major, header.minor, header.revision) == version


def test_transposed_connected_weights(files):
    cfg, path = files
    plain = load(cfg, path)
    data = path.read_bytes()
    turned = np.ascontiguousarray(plain.parameters[1, "weights"].T).tobytes()
    path = path.with_name("turned.weights")
    path.write_bytes(struct.pack("<3iQ", 1001, 0, 0, 9) + data[20 : 20 + 4 * 161] + turned)
    again = load(cfg, path, strict=True)
    for key, array in plain.parameters.items():
        np.testing.assert_array_equal(again.parameters[key], array)
    again.save_weights(path.with_name("saved"))
    assert path.with_name("saved").read_bytes() == path.read_bytes()


def test_flipped_convolution(files):
    cfg, path = files
    plain = load(cfg, path)
    data = path.read_bytes()
    turned = np.ascontiguousarray(plain.parameters[0, "weights"].reshape(5, 27).T).tobytes()
    path = path.with_name("turned.weights")
    path.write_bytes(data[: 20 + 80] + turned + data[20 + 4 * 155 :])
    cfg.write_text(CFG.replace("filters=5", "filters=5\nflipped=1"))
    np.testing.assert_array_equal(load(cfg, path).parameters[0, "weights"], plain.parameters[0, "weights"])


@pytest.mark.parametrize("option, floats", [("dontload=1", 0), ("dontloadscales=1", 140), ("numload=2", 62)])
def test_layers_stored_in_part(tmp_path, option, floats):
    text = CFG.replace("filters=5", f"filters=5\n{option}")
    network = built(text, "pjreddie")
    assert sum(p.stored for p in network.layers[0].parameters) == floats
    data = random_weights(network)
    (tmp_path / "net.weights").write_bytes(data)
    weights = read_weights(network, tmp_path / "net.weights", strict=True)
    arrays = weights.arrays
    values = np.frombuffer(data[20:], "<f4")
    assert arrays[0, "weights"].shape == (5, 3, 3, 3)
    if floats == 0:
        assert not arrays[0, "weights"].any()
    if floats != 62:
        assert np.all(arrays[0, "scales"] == 1)
    else:
        np.testing.assert_array_equal(arrays[0, "weights"][:2].ravel(), values[8:62])
        assert not arrays[0, "weights"][2:].any()
        assert list(arrays[0, "scales"][2:]) == [1, 1, 1]
    np.testing.assert_array_equal(arrays[1, "biases"], values[floats : floats + 6])


def test_backbone_files(files):
    cfg, path = files
    whole = path.read_bytes()
    backbone = path.with_name("net.conv.1")
    backbone.write_bytes(whole[: 20 + 4 * 155])
    with pytest.raises(
        WeightsError, match=r"486 of 641 floats are missing.* ends exactly behind layer 0_conv.*: --upto 1"
    ):
        load(cfg, backbone)
    part = load(cfg, backbone, upto=1, strict=True)
    assert [layer.kind for layer in part.layers] == ["convolutional"]
    full = load(cfg, path, upto=1, strict=True)  # the rest belongs to the layers left out
    assert full.warnings == ()
    full.save_weights(path.with_name("saved"))
    assert path.with_name("saved").read_bytes() == backbone.read_bytes()


# ---------------------------------------------------------------------- damage


def test_too_short(files):
    cfg, path = files
    path.write_bytes(path.read_bytes()[: 20 + 4 * 160])
    with pytest.raises(WeightsError) as caught:
        load(cfg, path)
    assert str(caught.value) == (
        "net.weights is too short: 481 of 641 floats are missing, from the biases of layer 1_connected "
        "(net.cfg, line 11) on"
    )


@pytest.mark.parametrize("value, at, place", [(-0.25, 17, "channel 2"), (np.nan, 150, "channel 4"), (np.inf, 1, "")])
def test_an_impossible_value_is_told_with_its_layer_and_channel(files, value, at, place):
    cfg, path = files
    data = bytearray(path.read_bytes())
    data[20 + 4 * at : 24 + 4 * at] = struct.pack("<f", value)
    path.write_bytes(data)
    with pytest.raises(WeightsError) as caught:
        load(cfg, path)
    told = str(caught.value)
    assert f"holds {value:g} among the " in told
    assert "of layer 0_convolutional" in told
    assert f"{place}; net.cfg, line 5)" in told
    assert all(cause in told for cause in ("another class count", "header", "flavor is not alexey", "damaged"))
    assert ("no variance is negative" in told) == (value == -0.25)
    data[20 + 4 * at : 24 + 4 * at] = struct.pack("<f", 0.25)
    path.write_bytes(data)
    assert load(cfg, path, strict=True).warnings == ()


def test_the_channel_is_the_outputs_where_the_first_axis_is_another(tmp_path):
    text = "[net]\nwidth=4\nheight=4\nchannels=3\n"
    local = built(text + "[local]\nfilters=5\nsize=3\n")
    flipped = built(text + "[convolutional]\nfilters=5\nsize=3\nflipped=1\n")
    for network, at, channel in ((local, 20 + 2 * 5 * 27 + 3 * 27 + 26, 3), (flipped, 5 + 5 * 7 + 4, 4)):
        values = np.frombuffer(random_weights(network)[20:], "<f4").copy()
        values[at] = np.nan
        (tmp_path / "net.weights").write_bytes(HEADER + values.tobytes())
        with pytest.raises(WeightsError, match=f"channel {channel};"):
            read_weights(network, tmp_path / "net.weights")


NET = "[net]\nwidth=16\nheight=16\nchannels=3\n[conv]\nbatch_normalize=1\nfilters=4\nsize=3\npad=1\n"
YOLO = "[conv]\nfilters={}\n[yolo]\nmask=0,1,2\nnum=6\nclasses={}\n"
HEADS = {  # a cfg, and filters for one class and for eighty
    "yolo": (NET + YOLO, (18, 255)),
    "two yolos": (NET + YOLO + "[route]\nlayers=0\n[conv]\nbatch_normalize=1\nfilters=7\n" + YOLO, (18, 255)),
    "shared": (
        NET + YOLO + "[route]\nlayers=-3\n" + YOLO.replace("[yolo]", "share_index=1\n[dropout]\n[yolo]"),
        (18, 255),
    ),
    "Gaussian_yolo": (NET + YOLO.replace("[yolo]", "[Gaussian_yolo]"), (30, 267)),
    "region": (NET + "[conv]\nfilters={}\n[region]\nnum=5\nclasses={}\n", (30, 425)),
    "detection": (
        NET + "[connected]\noutput={}\n[detection]\nside=7\nnum=2\ncoords=4\nclasses={}\n",
        (7 * 7 * (10 + 1), 7 * 7 * (10 + 80)),
    ),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("flavor", FLAVORS)
def test_another_class_count_is_told(name, flavor, tmp_path):
    text, (few, many) = HEADS[name]
    if flavor == "pjreddie" and name in ("Gaussian_yolo", "shared"):
        pytest.skip(f"the original Darknet has no {name}")
    count = text.count("{}") // 2
    cfgs = {classes: text.format(*[filters, classes] * count) for classes, filters in ((1, few), (80, many))}
    for classes, other in ((1, 80), (80, 1)):
        (tmp_path / "net.weights").write_bytes(random_weights(built(cfgs[other], flavor)))
        (tmp_path / "net.cfg").write_text(cfgs[classes])
        with pytest.raises(WeightsError) as caught:
            load(tmp_path / "net.cfg", tmp_path / "net.weights", flavor=flavor)
        told = str(caught.value)
        assert f"classes={other} in place of {classes} would fit it exactly (" in told
        assert f"={many if other == 80 else few} in line" in told
        assert "\n" not in told
        (tmp_path / "net.cfg").write_text(cfgs[other])
        assert load(tmp_path / "net.cfg", tmp_path / "net.weights", flavor=flavor, strict=True).warnings == ()


def test_a_class_count_that_is_only_near_is_not_told(tmp_path):
    text, (few, many) = HEADS["yolo"]
    (tmp_path / "net.weights").write_bytes(random_weights(built(text.format(many, 80))) + bytes(4))
    (tmp_path / "net.cfg").write_text(text.format(few, 1))
    net = load(tmp_path / "net.cfg", tmp_path / "net.weights")
    assert "classes=" not in net.warnings[0]
    assert "is it the weights file of this cfg?" in net.warnings[0]


def test_heads_behind_layers_that_move(tmp_path):
    text = NET + YOLO.replace("[yolo]", "[reorg]\nstride=2\n[yolo]").replace("0,1,2", "0,1")
    (tmp_path / "net.weights").write_bytes(random_weights(built(text.format(8, 11))))
    (tmp_path / "net.cfg").write_text(text.format(4, 3))
    with pytest.raises(WeightsError, match=r"classes=11 in place of 3 would fit it exactly \(filters=8 in line 11\)"):
        load(tmp_path / "net.cfg", tmp_path / "net.weights")


def test_other_filters_are_told(tmp_path):
    text = NET + "[conv]\nfilters={}\n[conv]\nfilters={}\n[avgpool]\n[softmax]\n"
    (tmp_path / "net.cfg").write_text(text.format(6, 10))
    (tmp_path / "net.weights").write_bytes(random_weights(built(text.format(6, 1000))))
    with pytest.raises(WeightsError, match="filters=1000 in line 13 in place of 10 would fit it exactly"):
        load(tmp_path / "net.cfg", tmp_path / "net.weights")
    (tmp_path / "net.weights").write_bytes(random_weights(built(text.format(7, 10))))
    net = load(tmp_path / "net.cfg", tmp_path / "net.weights")  # what is left over may be an accident
    assert "15 floats are left over; filters=7 in line 11 in place of 6 would fit it exactly" in net.warnings[0]
    with pytest.raises(WeightsError, match="filters=7 in line 11"):
        load(tmp_path / "net.cfg", tmp_path / "net.weights", strict=True)


@pytest.mark.parametrize("flavor, other, kind", [("alexey", "pjreddie", "I"), ("pjreddie", "alexey", "Q")])
def test_the_other_flavor_is_told(files, flavor, other, kind):
    cfg, path = files
    path.write_bytes(struct.pack("<3i" + kind, 1001, 0, 0, 9) + path.read_bytes()[20:])
    with pytest.raises(WeightsError, match=f"flavor '{other}' would fit it exactly"):
        load(cfg, path, flavor=flavor)
    assert load(cfg, path, flavor=other, strict=True).warnings == ()


def test_too_long(files):
    cfg, path = files
    data = path.read_bytes() + b"\0" * 13
    path.write_bytes(data)
    net = load(cfg, path)
    assert len(net.warnings) == 1
    assert "holds 644 floats and the network takes 641: 3 floats and 1 bytes are left over" in net.warnings[0]
    with pytest.raises(WeightsError, match="3 floats and 1 bytes are left over"):
        load(cfg, path, strict=True)
    net.save_weights(path)  # over the file that was read
    assert path.read_bytes() == data


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_a_finite_number(files, value):
    cfg, path = files
    data = bytearray(path.read_bytes())
    data[20 + 4 * 170 : 20 + 4 * 171] = struct.pack("<f", value)
    path.write_bytes(data)
    with pytest.raises(WeightsError, match=rf"holds {value} among the weights of layer 1_connected \(value 9 of 480"):
        load(cfg, path)


@pytest.mark.parametrize(
    "data, said",
    [
        (b"", "net.weights is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 248007048\n", "is a Git LFS pointer"),
        (b"\n<!DOCTYPE html><html><body>Not found</body></html>", "is an HTML page"),
        (b"<html>" + b" " * 100, "is an HTML page"),
        (b"PK\x03\x04" + b"\0" * 100, "is no Darknet weights file"),
        (b"\0" * 9, "has 9 bytes, less than the header"),
        (HEADER[:17], "has 17 bytes, less than the header of version 0.2"),
        (HEADER, "641 of 641 floats are missing, from the biases of layer 0_convolutional"),
    ],
)
def test_no_weights_at_all(files, data, said):
    cfg, path = files
    path.write_bytes(data)
    with pytest.raises(WeightsError) as caught:
        load(cfg, path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_missing_weights(files, tmp_path):
    cfg, _ = files
    for path in (tmp_path / "none.weights", tmp_path):
        with pytest.raises(WeightsError, match=r"it is a folder|there is no weights file"):
            load(cfg, path)
    net = load(cfg)
    for use in (
        lambda: net.parameters,
        lambda: net.save_weights(tmp_path / "x"),
        lambda: net.run(np.zeros((1, 3, 4, 4))),
    ):
        with pytest.raises(WeightsError, match="was loaded without weights"):
            use()
    assert not (tmp_path / "x").exists()


def test_running_checks_its_input(files):
    net = load(*files)
    for x in (np.zeros((3, 4, 4)), np.zeros((1, 3, 4, 5)), np.zeros((0, 3, 4, 4)), np.zeros((1, 3, 4, 4), complex), 3):
        with pytest.raises(LayoutBridgeError):
            net.run(x)
    with pytest.raises(LayoutBridgeError, match="no framework is called 'caffe'"):
        net.run(np.zeros((1, 3, 4, 4)), framework="caffe")


def test_progress_is_told(files):
    told = []
    load(*files, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (FLOATS, FLOATS)
    assert told == sorted(told)


@settings(max_examples=200)
@given(
    data=st.binary(max_size=300), header=st.booleans(), padding=st.integers(0, 3000), flavor=st.sampled_from(FLAVORS)
)
def test_no_file_does_worse_than_a_clear_error(tmp_path_factory, data, header, padding, flavor):
    path = tmp_path_factory.getbasetemp() / "fuzz.weights"
    contents = HEADER * header + data + bytes(padding)
    path.write_bytes(contents)
    network = built(CFG, flavor)
    try:
        weights = read_weights(network, path)
    except LayoutBridgeError as error:
        assert str(error).isprintable()
    else:
        assert all(np.isfinite(array).all() for array in weights.arrays.values())


@settings(max_examples=40)
@given(cut=st.integers(0, 700))
def test_a_recorded_file_cut_anywhere(tmp_path_factory, cut):
    path = tmp_path_factory.getbasetemp() / "cut.weights"
    folder = NETS / "alexey" / "implicit"
    path.write_bytes((folder / "net.weights").read_bytes()[:cut])
    with pytest.raises(WeightsError):
        load(folder / "net.cfg", path)


def test_a_part_of_a_network_that_would_fill_gigabytes(tmp_path):
    """28 bytes of weights and a line of a cfg took 3 GB."""
    net = "[net]\nwidth=1\nheight=1\nchannels=1\n[convolutional]\nsize=1\nnumload=1\n"
    (tmp_path / "net.cfg").write_text(f"{net}filters=400000000\n")
    (tmp_path / "net.weights").write_bytes(HEADER + bytes(8))
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match=r"net\.weights would take 3,200 MB of memory to read, and may take 300"):
            load(tmp_path / "net.cfg", tmp_path / "net.weights", flavor="pjreddie")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()
