"""Where Darknet itself is strange: what is told of it, at which line, and that nothing is told elsewhere."""

from pathlib import Path

import pytest

from layoutbridge.darknet import load
from layoutbridge.darknet.reading.cfg import parse_cfg
from layoutbridge.darknet.structure.choices import FLAVORS
from layoutbridge.errors import CfgError, UnsupportedError
from tests.darknet_files import NETS, SHARED, built, check_onnx, made

NET = "[net]\nwidth=8\nheight=6\nchannels=4\n"  # the next section stands in line 5
CONV = "[conv]\nfilters=4\n"
HEAD = "[conv]\nfilters=12\n[yolo]\nclasses=1\nnum=2\n"


def said(text, flavor="alexey"):
    return list(built(NET + text, flavor).warnings)


# ---------------------------------------------------------------------- 1×1 convolutions on a CPU


@pytest.mark.parametrize(
    ("options", "flavors", "told"),
    [
        ("stride=2\n", ["pjreddie"], "line 7: [conv] size=1 with stride=2: on a CPU Darknet does not step"),
        ("stride_y=2\n", ["alexey"], "line 7: [conv] size=1 with stride_y=2: on a CPU Darknet does not step"),
        ("stride=2\nstride_x=1\n", FLAVORS, "line 7: [conv] size=1 with stride"),
        ("padding=1\n", FLAVORS, "line 7: [conv] size=1 with padding=1: on a CPU Darknet does not pad, and reads past"),
        ("stride_x=2\n", [], ""),
        ("padding=1\nstride=2\nsize=3\n", [], ""),
        ("pad=1\n", [], ""),
        ("stride_x=2\npadding=1\n", ["pjreddie"], "line 8: [conv] size=1 with padding=1"),
    ],
)
@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_window_of_one_place(options, flavors, told, flavor):
    warnings = [warning for warning in said(CONV + options, flavor) if "size=1 with" in warning]
    assert len(warnings) == (flavor in flavors), warnings
    assert not warnings or told in warnings[0]


def test_a_window_of_one_place_has_nowhere_to_step_to():
    assert said(f"[avg]\n{CONV}stride=2\n", "pjreddie") == []


def test_an_antialiased_layer_steps_in_its_blur():
    assert said(f"{CONV}stride=2\nantialiasing=1\n") == []


def test_many_alike_are_told_once():
    warnings = said(f"{CONV}stride=2\n" + CONV + f"{CONV}stride=2\n" * 2, "pjreddie")
    assert len(warnings) == 1
    assert warnings[0].startswith("net.cfg, line 7: [conv] size=1 with stride=2")
    assert warnings[0].endswith("; the same in 2 more [convolutional], the last in line 13")


# ---------------------------------------------------------------------- activations that are 0

ZEROED = (
    "swish", "mish", "hard_mish", "relu6", "normalize_channels", "normalize_channels_softmax",
    "normalize_channels_softmax_maxval",
)  # fmt: skip
ENDING_IN_ONE = {
    "connected": ("[connected]\n", ZEROED),
    "local": ("[local]\n", ZEROED),
    "activation": ("[activation]\n", ZEROED),
    "sam": (f"{CONV}[sam]\nfrom=0\n", ZEROED),
    "scale_channels": (f"{CONV}[avg]\n[scale_channels]\nfrom=0\n", ZEROED),
    "rnn": ("[rnn]\n", ZEROED),
    "shortcut": (f"{CONV}[conv]\nfilters=4\n[shortcut]\nfrom=0\n", ZEROED[2:]),
    "convolutional": ("[conv]\n", ("relu6",)),
    "crnn": ("[crnn]\npad=1\n", ("relu6",)),
    "conv_lstm": ("[conv_lstm]\npad=1\n", ("relu6",)),
}


@pytest.mark.parametrize("name", [*ZEROED, "leaky", "gelu", "revleaky", "selu"])
@pytest.mark.parametrize("kind", ENDING_IN_ONE)
def test_activations_that_darknet_gives_0_for(kind, name):
    text, zeroed = ENDING_IN_ONE[kind]
    where = "on a CPU" if name == "relu6" else "on a CPU and on a GPU"
    expected = [f"activation={name} is 0 in such a layer of Darknet {where}; here it is {name}"]
    warnings = said(f"{text}activation={name}\n")
    assert [warning.split("] ")[1] for warning in warnings] == (expected if name in zeroed else [])


def test_what_an_unknown_activation_was_chosen_to_mean_is_not_what_darknet_reads():
    text = f"{NET}[activation]\nactivation=silu\n[activation]\nactivation=swish\n"
    warnings = built(text, activations={"silu": "swish"}).warnings
    assert [warning.split(" activation=")[0] for warning in warnings] == ["net.cfg, line 8: [activation]"]


# ---------------------------------------------------------------------- weights that are not in the file


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("[conv]\n", 0), ("[conn]\n", 0), ("[local]\n", 0), ("[lstm]\n", 0), ("[implicit]\nmean=1\n", 1),
        ("[batchnorm]\n", None), ("[max]\n", None), ("[conv]\nfilters=4\n[shortcut]\nfrom=0\nweights_type=per_layer\n"
                                                      "weights_normalization=relu\n", None),
    ],
)  # fmt: skip
def test_layers_that_are_not_loaded(section, told):
    warnings = said(f"{section}dontload=1\n")
    if told is None:
        assert warnings == []
    else:
        assert len(warnings) == 1
        assert warnings[0].endswith(f"dontload=1: its weights are {told} here, and random numbers in Darknet")
    assert said(f"{section}dontload=0\ndontloadscales=1\n") == []


def test_shared_weights_are_loaded_where_they_stand():
    assert said(f"{CONV}{CONV}share_index=0\ndontload=1\n") == []


def test_part_of_the_filters():
    text = "[conv]\nfilters=6\nnumload=4\n"
    assert said(text, "pjreddie") == [
        "net.cfg, line 7: [conv] the weights of filters 4 to 5 are not in the file: they are 0 here, and random "
        "numbers in Darknet"
    ]
    assert said(text) == said(text.replace("4", "6"), "pjreddie") == []


# ---------------------------------------------------------------------- lists


@pytest.mark.parametrize(
    ("layers", "inputs", "told"),
    [
        ("-1,", (1, 0), "layers=-1, has a comma with nothing behind it, which Darknet reads as layer 0"),
        ("0,,1", (0, 0, 1), "layers=0,,1 has a comma with nothing behind it, which Darknet reads as layer 0"),
        ("-1 -2", (1,), "layers lacks a comma between two numbers: Darknet takes white space out and each number up "
                        "to the next comma, '-1', and so it is read here"),
        ("-1-2", (1,), "layers lacks a comma between two numbers"),
        ("-1 -2, 0", (1, 0), "'-1,0', and so it is read here"),
        ("0\t1", (1,), "'01', and so it is read here"),
        ("- 1 , 0", (1, 0), None),
        ("-1,0 # 1 2", (1, 0), None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("flavor", FLAVORS)
def test_lists_of_layers(layers, inputs, told, flavor):
    network = built(f"{NET}{CONV}{CONV}[route]\nlayers={layers}\n", flavor)
    assert network.layers[2].inputs == inputs
    assert len(network.warnings) == (told is not None)
    assert told is None or (
        network.warnings[0].startswith("net.cfg, line 10: [route] ") and told in network.warnings[0]
    )


def test_a_shortcut_of_the_original_takes_the_first_alone():
    text = f"{CONV}{CONV}{CONV}[shortcut]\nfrom="
    assert said(f"{text}-3,\n", "pjreddie") == []
    assert said(f"{text}-3,0\n", "pjreddie") == [
        "net.cfg, line 12: [shortcut] of the 2 layers in `from` Darknet takes the first alone"
    ]
    assert built(f"{NET}{text},-3\n", "pjreddie").layers[3].inputs == (2, 0)  # atoi reads 0 before the comma
    assert "which Darknet reads as layer 0" in said(f"{text}-3,\n")[0]
    assert built(f"{NET}{text}-2,\n").layers[3].inputs == (2, 1, 0)


def test_anchors_without_a_comma_run_together():
    network = built(f"{NET}{HEAD}anchors=1,2 3,4,5\n")
    assert network.layers[1].settings.anchors == (1.0, 23.0, 4.0, 5.0)
    assert network.warnings == (
        "net.cfg, line 10: [yolo] anchors lacks a comma between two numbers: Darknet takes white space out and each "
        "number up to the next comma, '1,23,4,5', and so it is read here",
    )


def test_anchors_fewer_than_the_masks_name():
    with pytest.raises(CfgError, match=r"line 10: \[yolo\] anchors has 2 numbers, and mask names anchor 1: give 4 num"):
        built(f"{NET}{HEAD}anchors=1,2\n")
    few = f"{NET}{HEAD}anchors=1,2\nmask=0,0\n"
    assert built(few).warnings == ()
    assert built(f"{NET}{HEAD}anchors=1,2,3\n").warnings == (
        "net.cfg, line 10: [yolo] anchors has 3 numbers, and mask names anchor 1: its height is 0.5, as in Darknet",
    )
    assert built(NET + HEAD).layers[1].settings.anchors == (0.5,) * 4


@pytest.mark.parametrize(
    ("flavor", "told"), [("alexey", "Darknet leaves the others out"), ("pjreddie", "writes on behind its table")]
)
def test_anchors_more_than_there_are(flavor, told):
    (warning,) = said(f"{HEAD}anchors=1,2,3,4,5,6\n", flavor)
    assert "line 10: [yolo] anchors has 6 numbers for num=2" in warning
    assert told in warning


# ---------------------------------------------------------------------- windows larger than their input


def test_windows_larger_than_their_input():
    told = (
        "net.cfg, line 5: [max] a window of 7 is larger than the input 4×6×8 with 0 of padding in all: as in Darknet "
    )
    assert said("[max]\nsize=7\nstride=3\npadding=0\n")[0].startswith(told)
    assert built(f"{NET}[max]\nsize=7\nstride=3\npadding=0\n").layers[0].out_shape == (4, 1, 1)
    with pytest.raises(CfgError, match="a window of 9 does not fit the input's height 6 with 0 of padding in all"):
        built(f"{NET}[max]\nsize=9\nstride=3\npadding=0\n")
    with pytest.raises(CfgError, match="a window of 7 does not fit the input's height 6"):
        built(f"{NET}[conv]\nsize=7\n")


@pytest.mark.parametrize("section", ["[max]\npadding=0\n", "[conv]\n"])
def test_windows_larger_than_their_input_want_one_size(section, tmp_path):
    pytest.importorskip("onnx")
    net = made(f"{NET}{section}size=7\nstride=3\n", tmp_path)
    with pytest.raises(UnsupportedError, match=r"net\.cfg, line 5: the size cannot be left open: its window"):
        net.to_onnx(tmp_path / "net.onnx", dynamic_size=True)


def test_windows_of_signs_larger_than_their_input(tmp_path):
    pytest.importorskip("onnxruntime")
    text = f"{NET.replace('=4', '=32')}[conv]\nfilters=5\nsize=7\nstride=3\nxnor=1\n"
    with pytest.raises(CfgError, match=r"line 7: \[conv\] xnor=1 with a window of 7, larger than its input"):
        built(text)
    net = made(text, tmp_path, "pjreddie")
    assert net.layers[0].out_shape == (5, 1, 1)
    checked = check_onnx(net.network, net.parameters, tolerance=1e-5)
    assert checked.ok, checked.first_over


def test_a_window_of_one_place_of_signs():
    text = "[conv]\nfilters=32\n[conv]\nfilters=2\nxnor=1\n"
    assert said(f"{text}padding=1\n") == []
    assert "size=1 with stride_y=2" in said(f"{text}stride_y=2\n")[1]  # Darknet leaves xnor out there
    assert "size=1 with padding=1" in said(f"{text}padding=1\n", "pjreddie")[0]


# ---------------------------------------------------------------------- where Darknet stops


@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_byte_order_mark(flavor):
    sections, warnings = parse_cfg("\ufeff" + NET, source="net.cfg", flavor=flavor)
    assert sections[0].kind == "net"
    assert warnings == ("net.cfg, line 1: begins with a byte order mark, at which Darknet stops; it is left out",)


def test_a_byte_order_mark_in_a_file(tmp_path):
    (tmp_path / "net.cfg").write_bytes(b"\xef\xbb\xbf" + (NET + CONV).encode())
    assert load(tmp_path / "net.cfg").warnings[0].startswith("net.cfg, line 1: begins with a byte order mark")


def test_carriage_returns():
    text = "# note\r\n" + (NET + CONV).replace("\n", "\r\n")
    assert built(text).warnings == ()
    network = built(text, "pjreddie")
    assert network.layers[0].settings.filters == 4
    assert [warning[:60] for warning in network.warnings] == [
        "net.cfg, line 2: ends in a carriage return, with which the o"
    ]


@pytest.mark.parametrize(("section", "flavors"), [("dropout", FLAVORS), ("empty", ["alexey"]), ("silence", ["alexey"])])
def test_a_first_layer_without_an_output_of_its_own(section, flavors):
    for flavor in flavors:
        assert said(f"[{section}]\n{CONV}[{section}]\n", flavor) == [
            f"net.cfg, line 5: [{section}] is the first layer: Darknet stops there (memory fault); here it gives its "
            "input"
        ]


def test_batch_norm_by_itself():
    assert said("[batchnorm]\n", "pjreddie") == [
        "net.cfg, line 5: [batchnorm] the original Darknet stops there on a CPU (memory fault); here it is computed"
    ]
    assert said("[batchnorm]\n") == []


def test_weights_of_a_shortcut_without_normalization():
    text = f"{CONV}{CONV}[shortcut]\nfrom=0\nweights_type=per_channel\n"
    stops = (
        "net.cfg, line 11: [shortcut] weights_type without weights_normalization=relu or softmax: Darknet stops there; "
        "here the weights are taken as they are"
    )
    assert said(text) == said(f"{text}weights_normalization=none\n")[:1] == [stops]
    assert said(f"{text}weights_normalization=relu\n") == []
    assert said(text.replace("per_channel", "none")) == []


@pytest.mark.parametrize(
    ("taking", "key"),
    [("[route]\nlayers=0\n", "layers"), ("[shortcut]\nfrom=0\n", "from"), ("[sam]\nfrom=0\n", "from")],
)
@pytest.mark.parametrize("blurred", [f"{CONV}stride=2\nantialiasing=1\n", "[max]\nsize=2\nstride=2\nantialiasing=2\n"])
def test_an_antialiased_layer_by_its_number(taking, key, blurred):
    (warning,) = said(f"{blurred}[dropout]\n{taking}")
    assert f"{key} names 0_" in warning
    assert "which is antialiased: Darknet takes it at its size before the blur" in warning
    assert said(f"{blurred}[conv]\n") == []
    assert said(f"[conv]\nfilters=4\nantialiasing=1\n[dropout]\n{taking}") == []  # of stride 1: the size stays


def test_flipped_weights_of_groups():
    assert said("[conv]\nfilters=4\ngroups=2\nflipped=1\n") == []
    with pytest.raises(
        CfgError, match=r"line 8: \[conv\] flipped=1 with groups=2 cannot be read: the original Darknet"
    ):
        said("[conv]\nfilters=4\ngroups=2\nflipped=1\n", "pjreddie")


# ---------------------------------------------------------------------- small cfgs on which others parted

REPORTED = SHARED / "reports" / "cfgs"
TOLD = {
    "01": "size=1 with stride=2", "02": "size=1 with stride_y=2", "03": "size=1 with padding=1", "04": "mish is 0 in",
    "05": "swish is 0 in", "06": "hard_mish is 0 in", "07": "mish is 0 in", "08": "swish is 0 in",
    "09": "hard_mish is 0 in", "10": "dontload=1", "11": "random numbers in Darknet", "12": "reads as layer 0",
    "13": "reads as layer 0", "14": "silu", "15": "lacks a comma", "16": "larger than the input",
    "17": "nothing but padding", "18": "antialiased", "20": "stops there on a CPU", "21": "Darknet stops there",
    "23": "writes on behind its table", "24": "is the first layer", "26": "carriage return", "27": "byte order mark",
}  # fmt: skip
SILENT = ("19", "22", "25")  # 22 agrees; in 19 and 25 it is the values that matter, and no line says what they are


@pytest.mark.parametrize("path", sorted(REPORTED.glob("*.cfg")) or [None], ids=lambda path: path and path.stem)
def test_reported_cfgs_are_told(path):
    if path is None:
        pytest.skip(f"the reported cfgs are not at {REPORTED}")
    number, fork = path.stem.split("_")[:2]
    for flavor in FLAVORS if fork == "both" else (fork,):
        try:
            told = load(path, flavor=flavor).warnings
        except CfgError as error:
            told = error.problems
        assert bool(told) == (number not in SILENT)
        assert number in SILENT or any(TOLD[number] in line and f"{path.name}, line " in line for line in told)


@pytest.mark.parametrize("folder", sorted(NETS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_the_real_darknet_computed_is_told_where_it_is_strange(folder: Path):
    net = load(folder / "net.cfg", flavor=folder.parent.name)
    strange = [warning for warning in net.warnings if "does not use" not in warning]
    assert bool(strange) == (folder.name in ("lists", "window_larger_than_input"))
