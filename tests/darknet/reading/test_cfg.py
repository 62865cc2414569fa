"""cfg files: the grammar as Darknet reads it, the structure built from it, and every way to be unusable."""

import tracemalloc
from time import process_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from layoutbridge.darknet import load
from layoutbridge.darknet.reading.build import build_network
from layoutbridge.darknet.reading.cfg import LARGEST_CFG, parse_cfg
from layoutbridge.darknet.structure.choices import FLAVORS
from layoutbridge.darknet.structure.kinds import KINDS
from layoutbridge.errors import CfgError, LayoutBridgeError, ParameterError
from tests.darknet_files import GOLDEN, NETS, built

NET = "[net]\nwidth=8\nheight=6\nchannels=4\n"  # the next section stands in line 5


def first(text, flavor="alexey", **options):
    return built(NET + text, flavor, **options).layers[-1]


# ---------------------------------------------------------------------- grammar


def test_blanks_comments_and_line_ends():
    text = "# c\r\n ; d\r\n [ net ] \r\n width = 8\r\n\theight=6\r\nchan nels=4\r\n[conv]\r\n fil ters = 1 2\r\n"
    network = built(text)
    assert network.in_shape == (4, 6, 8)
    assert network.layers[0].out_shape == (12, 6, 8)
    assert network.warnings == ()


def test_first_of_repeated_keys_wins_with_a_warning():
    network = built(NET + "[conv]\nfilters=3\nfilters=5\n")
    assert network.layers[0].settings.filters == 3
    assert network.warnings == (
        "net.cfg, line 7: [conv] repeats filters=5; the first, filters=3 in line 6, holds, as in Darknet",
    )


def test_unused_keys_are_reported_at_their_line():
    assert built(NET + "[conv]\nfilters=3\nflters=5\nstopbackward=1\n").warnings == (
        "net.cfg, line 7: [conv] does not use 'flters' (5)",
    )
    flatten = NET + "[reorg]\nflatten=1\nstride=1\n"
    assert built(flatten).warnings == ("net.cfg, line 6: [reorg] does not use 'flatten' (1)",)
    assert built(flatten, "pjreddie").warnings == ()


def test_what_darknet_reads_of_net_for_training_is_used():
    """Keys are what parse_net_options asks for, not what the fields of its structure are called."""
    known = "sgdr_cycle=2\nsgdr_mult=3\nloss_scale=1\ndynamic_minibatch=1\nuse_cuda_graph=0\nshow_receptive_field=1\n"
    assert built(NET + known + "[conv]\n").warnings == ()
    assert built(NET + "batches_per_cycle=2\n[conv]\n").warnings == (
        "net.cfg, line 5: [net] does not use 'batches_per_cycle' (2)",
    )


@pytest.mark.parametrize(
    "line, said",
    [
        ("activation=leaky # fast", "net.cfg, line 7: [conv] the note behind activation is dropped; "
         "Darknet would have read 'leaky#fast'"),
        ("activation=leaky;fast", "Darknet would have read 'leaky;fast'"),
        ("pad=1 # comma, comma", None),
    ],
)  # fmt: skip
def test_notes_behind_values(line, said):
    network = built(f"{NET}[conv]\nfilters=2 # two\n{line}\n")
    assert network.layers[0].settings.filters == 2
    assert network.layers[0].settings.activation in ("leaky", "logistic")
    assert [warning for warning in network.warnings if said and said in warning] == list(network.warnings)
    assert bool(network.warnings) == (said is not None)


def test_a_note_behind_a_list_is_read_on_by_darknet():
    text = f"{NET}[conv]\n[conv]\n[shortcut]\nfrom=-2 # not 0, "
    network = built(text + "1\n")
    assert network.layers[2].inputs == (1, 0)
    assert "line 8" in network.warnings[0]
    assert "-2#not0,1" in network.warnings[0]
    assert built(f"{NET}[route]\nlayers=0\n".replace("[route]", "[conv]\n[route]") + "#, 1\n").warnings == ()


def test_a_note_behind_a_section():
    network = built(NET + "[conv] # the first\nfilters=2\n")
    assert network.layers[0].kind == "convolutional"
    assert "line 5" in network.warnings[0]


def test_lists():
    head = "[yolo]\nclasses=1\nnum=2\nmask = 0, 1\nanchors = 0.1,0.2, 0.3 ,4e1,\n"
    network = built(f"{NET}[conv]\nfilters=12\n{head}")
    assert network.layers[1].settings.anchors == (0.1, 0.2, 0.3, 40.0)
    assert network.layers[1].settings.mask == (0, 1)
    assert network.warnings == ("net.cfg, line 11: [yolo] anchors ends in a comma, which is left out",)


def test_a_line_without_a_value_is_left_out():
    network = built(NET + "[conv]\nfilters=\nnonsense\n")
    assert network.layers[0].settings.filters == 1
    assert [warning.split(":")[0] for warning in network.warnings] == ["net.cfg, line 6", "net.cfg, line 7"]


def test_a_fraction_is_cut_as_atoi_does():
    network = built(NET + "[conv]\nfilters=3.7\nsize=1.0\n")
    assert network.layers[0].settings.filters == 3
    assert len(network.warnings) == 1


@pytest.mark.parametrize(
    "written, kind",
    [("conv", "convolutional"), ("conn", "connected"), ("max", "maxpool"), ("avg", "avgpool"), ("soft", "softmax"),
     ("normalization", "lrn"), ("local_avg", "local_avgpool"), ("silence", "empty")],
)  # fmt: skip
def test_aliases(written, kind):
    assert first(f"[{written}]\n").kind == kind
    assert built(NET.replace("net", "network") + f"[{written}]\n").layers[0].kind == kind


# ---------------------------------------------------------------------- structure


def test_defaults_of_darknet():
    conv = first("[conv]\n")
    assert conv.settings.activation == "logistic"
    assert (conv.settings.filters, conv.settings.size, conv.settings.padding) == (1, 1, 0)
    assert first("[conv]\nsize=4\npad=1\nstride=2\n").out_shape == (1, 4, 5)
    assert first("[conv]\nsize=3\npadding=2\n").out_shape == (1, 8, 10)
    assert first("[conv]\nsize=3\npad=1\nstride_x=2\n").out_shape == (1, 6, 4)
    assert first("[conv]\nsize=3\npad=1\nstride_x=2\n", "pjreddie").out_shape == (1, 6, 8)
    assert first("[max]\nstride=2\n").out_shape == (4, 3, 4)
    assert first("[max]\nsize=3\nstride=2\npadding=0\n").out_shape == (4, 2, 3)
    assert first("[activation]\n").settings.activation == "linear"
    assert first("[connected]\n").out_shape == (1, 1, 1)


def test_file_order_of_parameters():
    conv = first("[conv]\nfilters=6\ngroups=2\nsize=3\npad=1\nbatch_normalize=1\n")
    assert [(p.name, p.shape) for p in conv.parameters] == [
        ("biases", (6,)), ("scales", (6,)), ("means", (6,)), ("variances", (6,)), ("weights", (6, 2, 3, 3)),
    ]  # fmt: skip
    connected = first("[connected]\noutput=5\nbatch_normalize=1\n")
    assert [p.name for p in connected.parameters] == ["biases", "weights", "scales", "means", "variances"]
    assert [p.stored for p in first("[batchnorm]\n").parameters] == [4, 4, 4, 4]
    assert [p.stored for p in first("[batchnorm]\n", "pjreddie").parameters] == [0, 4, 4, 4]


def test_only_part_is_stored():
    conv = "[conv]\nfilters=6\nbatch_normalize=1\n"
    assert [p.leading for p in first(conv + "dontload=1\n").parameters] == [0, 0, 0, 0, 0]
    assert [p.leading for p in first(conv + "dontloadscales=1\n").parameters] == [6, 0, 0, 0, 6]
    assert [p.leading for p in first(conv + "numload=4\n", "pjreddie").parameters] == [4, 4, 4, 4, 4]
    assert [p.leading for p in first(conv + "numload=4\n").parameters] == [6, 6, 6, 6, 6]


def test_routes_of_different_sizes_are_flat():
    text = NET + "[conv]\nfilters=2\n[max]\nsize=2\nstride=2\n[route]\nlayers=-1,0\n"
    assert built(text).layers[2].out_shape == (2 * 12 + 2 * 48,)
    assert built(text + "[connected]\noutput=3\n").layers[3].out_shape == (3, 1, 1)


def test_misspelled_normalization_is_taken_with_a_warning():
    network = built(
        NET + "[conv]\nfilters=4\n[shortcut]\nfrom=0\nweights_type=per_feature\nweights_normalizion=softmax\n"
    )
    assert network.layers[1].settings.way.weights_normalization == "softmax"
    assert "line 10" in network.warnings[0]


def test_input_size_and_cutoff():
    text = NET + "[conv]\nsize=3\nstride=2\n[max]\nstride=2\n[rnn]\n"
    network = built(text, size=(32, 16), upto=2)
    assert network.in_shape == (4, 16, 32)
    assert [layer.out_shape for layer in network.layers] == [(1, 7, 15), (1, 4, 8)]
    assert network.upto == 2
    for upto in (0, 4, -1):
        with pytest.raises(ParameterError, match=f"upto={upto} must be between 1 and the 3 layers"):
            built(text, upto=upto)
    for size in ((0, 4), (4,), "ab", (4, -1)):
        with pytest.raises(ParameterError, match="size is"):
            built(text, size=size, upto=1)


def test_flat_input():
    network = built("[net]\ninputs=10\n[connected]\noutput=4\n[softmax]\n")
    assert network.in_shape == (10,)
    assert network.layers[0].parameters[1].shape == (4, 10)
    with pytest.raises(ParameterError, match="no picture"):
        built("[net]\ninputs=10\n[connected]\n", size=(4, 4))


def test_structure_is_immutable():
    layer = first("[conv]\n")
    with pytest.raises(AttributeError):
        layer.settings.filters = 2
    with pytest.raises(AttributeError):
        layer.index = 3


def test_summary_counts_like_darknet():
    net = load(NETS / "alexey" / "grouped_conv" / "net.cfg")
    rows = net.summary()
    assert [(row.kind, row.filters, row.size, row.stride) for row in rows][2] == ("convolutional", 8, (3, 3), (2, 2))
    assert [row.parameters for row in rows] == [8 * 27 + 32, 12 * 18 + 48, 8 * 54 + 32]
    assert rows[1].flops == 2 * 12 * 18 * 12 * 16
    assert repr(net) == "<DarknetNetwork net.cfg: 3 layers, no weights>"


# ---------------------------------------------------------------------- errors

CONV = "[conv]\nfilters=2\n"  # lines 5 and 6
BAD = [
    ("", "has no section at all"),
    ("width=3\n", "line 1: 'width=3' stands before any section"),
    ("[conv]\n", "line 1: the first section is '[conv]'; a cfg begins with [net]"),
    (NET, "line 1: [net] has no layer behind it"),
    (NET + CONV + NET, "line 7: a second [net]"),
    (NET + "[conv\n", "line 5: '[conv' lacks its closing ]"),
    (NET + "[conv]x\n", "line 5: '[conv]x' is no section"),
    (NET + "[convolutionnal]\n", "line 5: unknown section '[convolutionnal]'; did you mean [convolutional]?"),
    (NET + "[deconv]\n", "line 5: [deconv] exists only in the original Darknet: read it with flavor 'pjreddie'"),
    (NET + CONV + "xnor=1\ngroups=2\n", "line 8: [conv] xnor=1 with groups=2 cannot be run"),
    (
        NET + "[conv]\nactivation=silu\n",
        "line 6: [conv] activation 'silu' is unknown, who writes it means swish; Darknet computes relu. "
        "Choose: --activation silu=swish or --activation silu=relu",
    ),
    (NET + "[conv]\nactivation=leeky\n", "line 6: [conv] activation 'leeky' is unknown: did you mean leaky?"),
    (NET + "[conv]\nfilters=many\n", "line 6: [conv] filters=many must be a whole number"),
    (NET + "[conv]\nfilters=0x10\n", "line 6: [conv] filters=0x10 must be a whole number"),
    (NET + "[conv]\nfilters=-3\n", "line 6: [conv] filters=-3 must be at least 1"),
    (NET + "[conv]\nfilters=99999999999\n", "line 6: [conv] filters=99999999999 must be at most 2147483647"),
    (NET + "[upsample]\nscale=nan\n", "line 6: [upsample] scale=nan must be a number"),
    (NET + "[conv]\nsize=9\n", "line 5: [conv] a window of 9 does not fit the input's height 6"),
    (NET + "[conv]\nfilters=40000000\nsize=9\npad=1\n", "are 12,960,000,000 values, over 2,147,483,647"),
    (NET + "[conn]\noutput=2000000000\n", "line 5: [conn] its weights 2000000000×192 are 384,000,000,000 values"),
    (NET + "[conv]\nfilters=3\ngroups=2\n", "line 7: [conv] filters 3 cannot be split into groups=2"),
    (NET + "[conv]\nsize=3\ndilation=2\n", "line 7: [conv] dilation=2 needs the padding (size − 1)/2, not 0"),
    (NET + "[conv]\nsize=3\npad=1\ndilation=99999999\n", "line 5: [conv] its input 4×6×8 with 199,999,998 of padding"),
    (NET + "[max]\nsize=99999999\n", "line 5: [max] its input 4×6×8 with 99,999,998 of padding"),
    (NET + CONV + "[route]\n", "line 7: [route] needs layers=: the layers that it takes"),
    (NET + CONV + "[route]\nlayers=1\n", "line 8: [route] layers=1 is layer 1, not before this layer"),
    (NET + CONV + "[route]\nlayers=-2\n", "line 8: [route] layers=-2 is layer -1, before the first layer"),
    (NET + CONV + "[route]\nlayers=0,x\n", "line 8: [route] layers=x must be a whole number"),
    (NET + CONV + "[shortcut]\nfrom=7\n", "line 8: [shortcut] from=7 is layer 7, not before this layer"),
    (NET + CONV + "[max]\nstride=2\n[shortcut]\nfrom=0\n", "line 10: [shortcut] layer 0 is 2×6×8 and the previous"),
    (
        NET + CONV + "[sam]\nfrom=0\n[avg]\n[sam]\nfrom=0\n",
        "line 11: [sam] layer 0 is 2×6×8 and the previous one 2×1×1",
    ),
    (NET + CONV + "[scale_channels]\nfrom=0\n", "the previous layer are 2×6×8 and must be 2×1×1"),
    (NET + "[reorg]\nstride=4\n", "line 6: [reorg] "),
    (NET + "[reorg]\nstride=3\n", "divides by zero"),
    (NET + "[upsample]\nstride=-4\n", "line 6: [upsample] stride=-4 needs a height that it divides, not 6"),
    (NET + "[upsample]\nstride=1000000\n", "has 192,000,000,000,000 values, over"),
    (NET + "[crop]\ncrop_height=9\ncrop_width=2\n", "does not fit the input's 6 × 8"),
    (NET + "[max]\npadding=9\nsize=3\n", "see nothing but padding"),
    (NET + "[yolo]\nclasses=4\n", "has 4 channels and must have 9 = 1 masks × (4 + 1 + classes=4)"),
    (NET + "[softmax]\n[conv]\n", "line 6: [conv] needs a picture [C, H, W], and its input is flat: 192"),
    (NET + "[softmax]\ntree=nowhere.tree\n", "line 6: [softmax] its tree 'nowhere.tree' is not found"),
    ("[net]\nwidth=4\n[conv]\n", "line 1: [net] gives no input: width=4, height=0"),
    ("[net]\nwidth=99999\nheight=99999\nchannels=3\n[conv]\n", "the input would have 29,999,400,003 values"),
]


@pytest.mark.parametrize("text, said", BAD, ids=range(len(BAD)))
def test_one_clear_line(text, said, tmp_path):
    (tmp_path / "net.cfg").write_text(text)
    tracemalloc.start()
    try:
        with pytest.raises(CfgError) as caught:
            load(tmp_path / "net.cfg")
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert said in message
    assert message.startswith("net.cfg")
    assert "\n" not in message
    assert len(message) < 400


def test_files_that_are_no_cfg(tmp_path):
    huge = tmp_path / "huge.cfg"
    with huge.open("wb") as file:
        file.truncate(100 << 20)  # sparse: takes no room
    tracemalloc.start()
    with pytest.raises(CfgError, match=r"huge\.cfg' has 104,857,600 bytes, and a cfg file at most"):
        load(huge)
    assert tracemalloc.get_traced_memory()[1] < LARGEST_CFG
    tracemalloc.stop()
    (tmp_path / "binary.cfg").write_bytes(bytes(range(256)) * 4)
    with pytest.raises(CfgError, match=r"binary\.cfg is a binary file"):
        load(tmp_path / "binary.cfg")
    with pytest.raises(CfgError, match=r"there is no cfg file"):
        load(tmp_path / "missing.cfg")
    with pytest.raises(CfgError, match=r"it is a folder"):
        load(tmp_path)
    (tmp_path / "many.cfg").write_text(NET + "[max]\n" * 100_001)
    with pytest.raises(CfgError, match="more than 10,000 sections"):
        load(tmp_path / "many.cfg")


def test_flavor_is_checked(tmp_path):
    with pytest.raises(ParameterError, match="flavor is 'alexey' or 'pjreddie', not 'opencv'"):
        load(tmp_path / "any.cfg", flavor="opencv")


@pytest.mark.parametrize("name", GOLDEN)
def test_recorded_cfgs_read_without_surprise(name):
    net = load(NETS / name / "net.cfg", flavor=name.split("/")[0])
    expected = ["'background' (1)"] if name == "alexey/region_background" else []
    if name.split("/")[1] not in ("lists", "window_larger_than_input"):  # strange ones, of which much is told
        assert [warning.rsplit("use ")[-1] for warning in net.warnings] == expected


# ---------------------------------------------------------------------- fuzz

KEYS = sorted(
    {"filters", "size", "stride", "pad", "padding", "groups", "dilation", "activation", "batch_normalize", "from",
     "layers", "group_id", "weights_type", "weights_normalization", "classes", "num", "mask", "anchors", "coords",
     "side", "output", "reverse", "extra", "flatten", "scale", "antialiasing", "maxpool_depth", "out_channels",
     "crop_height", "crop_width", "share_index", "numload", "tree", "temperature", "alpha", "beta", "kappa", "flipped",
     "stride_x", "stride_y", "second_order", "epsilon", "atoms", "softmax", "background", "scale_wh", "xnor"}
)  # fmt: skip
SECTIONS = sorted({*KINDS, "conv", "max", "rnn", "net", "nothing"})
VALUES = st.one_of(
    st.integers(-4, 9).map(str),
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(str),
    st.lists(st.integers(-6, 6).map(str), max_size=5).map(",".join),
    st.sampled_from(["leaky", "linear", "mish", "per_channel", "softmax", "relu", "1#2,3", "1;", ".5", "1e99", ""]),
    st.text(max_size=6),
)
LINES = st.one_of(
    st.sampled_from(SECTIONS).map("[{}]".format),
    st.tuples(st.sampled_from(KEYS), VALUES).map("=".join),
    st.text(max_size=12),
)


@settings(max_examples=300)
@given(lines=st.lists(LINES, max_size=25), flavor=st.sampled_from(FLAVORS), head=st.booleans())
@example(["[conv]", "size=0"], "alexey", True)
@example(["[softmax]", "tree=\x00"], "alexey", True)
def test_no_cfg_text_does_worse_than_a_clear_error(lines, flavor, head):
    text = (NET if head else "") + "\n".join(lines)
    try:
        sections, warnings = parse_cfg(text, flavor=flavor)
        network = build_network(sections, flavor=flavor, warnings=warnings)
    except LayoutBridgeError as error:
        assert all(line.isprintable() for line in str(error).split("\n"))
    else:
        assert all(warning.isprintable() for warning in network.warnings)
        assert all(min(layer.out_shape) >= 1 for layer in network.layers)


@settings(max_examples=150)
@given(data=st.binary(max_size=400), head=st.booleans())
def test_no_file_does_worse_than_a_clear_error(tmp_path_factory, data, head):
    path = tmp_path_factory.getbasetemp() / "fuzz.cfg"
    path.write_bytes(NET.encode() * head + data)
    try:
        load(path)
    except LayoutBridgeError as error:
        assert all(line.isprintable() for line in str(error).split("\n"))


@pytest.mark.parametrize("flavor", FLAVORS)
def test_an_unknown_activation_is_what_was_chosen(flavor):
    network = built(NET + "[conv]\nactivation=silu\n[activation]\nactivation=none\n[conv]\nactivation=leaky\n", flavor,
                    activations={"silu": "swish", "none": "linear", "unused": "relu"})  # fmt: skip
    assert [layer.settings.activation for layer in network.layers] == ["swish", "linear", "leaky"]
    assert network.activations == (("silu", "swish"), ("none", "linear"))
    assert network.warnings == ("net.cfg: no layer has the activation 'unused'",)


@pytest.mark.parametrize(
    "chosen, said", [({"leaky": "relu"}, "has a meaning of its own"), ({"silu": "swosh"}, "there is linear, logistic")]
)
def test_activations_that_cannot_be_chosen(chosen, said):
    with pytest.raises(ParameterError, match=said):
        built(NET + "[conv]\n", activations=chosen)


def test_a_tree_with_millions_of_empty_lines_behind_it(tmp_path):
    """They were taken away one by one, each time with a copy of the others."""
    (tmp_path / "net.cfg").write_text("[net]\ninputs=4\n[connected]\noutput=2\n[softmax]\ntree=a.tree\n")
    (tmp_path / "a.tree").write_bytes(b"a -1\nb -1" + b"\n" * 2_000_000)
    started = process_time()
    net = load(tmp_path / "net.cfg")
    assert net.layers[-1].settings.tree.names == ("a", "b")
    assert process_time() - started < 5
