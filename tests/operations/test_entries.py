"""Every entry beyond pictures' blocks against einops, NumPy's own turns, or a loop written out."""

import itertools

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.errors import ParameterError, PatternError, ShapeError
from tests.pictures import NAMES

einops = pytest.importorskip("einops", reason="einops is not installed")

EINOPS = [  # entry, parameters, einops' pattern and lengths, a shape
    ("patchify", {"patch": 2}, "n c (h p) (w q) -> n (h w) (p q c)", {"p": 2, "q": 2}, (2, 3, 4, 6)),
    ("patchify", {"patch": 2, "order": "cpq"}, "n c (h p) (w q) -> n (h w) (c p q)", {"p": 2, "q": 2}, (2, 3, 4, 6)),
    ("patchify", {"patch": (3, 2)}, "n c (h p) (w q) -> n (h w) (p q c)", {"p": 3, "q": 2}, (2, 5, 6, 4)),
    ("patchify", {"patch": 2, "spatial": 3}, "n c (f e) (h p) (w q) -> n (f h w) (e p q c)", {"e": 2, "p": 2, "q": 2},
     (1, 3, 4, 2, 6)),
    ("unpatchify", {"patch": 2, "height": 3, "width": 5}, "n (h w) (p q c) -> n c (h p) (w q)",
     {"h": 3, "p": 2, "q": 2}, (2, 15, 12)),
    ("unpatchify", {"patch": 2, "height": 3, "width": 5, "order": "cpq"}, "n (h w) (c p q) -> n c (h p) (w q)",
     {"h": 3, "p": 2, "q": 2}, (2, 15, 12)),
    ("patch_merging", {}, "n (h p) (w q) c -> n h w (q p c)", {"p": 2, "q": 2}, (2, 4, 6, 5)),
    ("patch_merging", {"order": "cpq"}, "n (h p) (w q) c -> n h w (c p q)", {"p": 2, "q": 2}, (2, 4, 6, 5)),
    ("patch_merging_tokens", {"height": 4, "width": 6}, "n (h p w q) c -> n (h w) (q p c)",
     {"h": 2, "p": 2, "q": 2}, (2, 24, 5)),
    ("patch_expand", {}, "n h w (p q c) -> n (h p) (w q) c", {"p": 2, "q": 2}, (2, 3, 5, 8)),
    ("patch_expand_tokens", {"height": 3, "width": 5}, "n (h w) (p q c) -> n (h p w q) c",
     {"h": 3, "p": 2, "q": 2}, (2, 15, 8)),
    ("window_partition", {"window": 2}, "n (h p) (w q) c -> (n h w) p q c", {"p": 2, "q": 2}, (3, 4, 6, 5)),
    ("window_reverse", {"window": 2, "height": 4, "width": 6}, "(n h w) p q c -> n (h p) (w q) c",
     {"h": 2, "w": 3}, (18, 2, 2, 5)),
    ("space_to_batch", {"stride": (2, 1)}, "n c (h p) w -> (p n) c h w", {"p": 2}, (3, 5, 4, 3)),
    ("space_to_batch", {}, "n c (h p) (w q) -> (p q n) c h w", {"p": 2, "q": 2}, (3, 5, 4, 6)),
    ("batch_to_space", {}, "(p q n) c h w -> n c (h p) (w q)", {"p": 2, "q": 2}, (12, 5, 2, 3)),
    ("split_heads", {"heads": 4}, "n l (h d) -> n h l d", {"h": 4}, (2, 5, 12)),
    ("split_heads", {"heads": 4, "order": "dh"}, "n l (d h) -> n h l d", {"h": 4}, (2, 5, 12)),
    ("merge_heads", {}, "n h l d -> n l (h d)", {}, (2, 4, 5, 3)),
    ("merge_heads", {"order": "dh"}, "n h l d -> n l (d h)", {}, (2, 4, 5, 3)),
    ("bshd_to_bhsd", {}, "b s h d -> b h s d", {}, (2, 4, 5, 3)),
    ("qkv_rows", {"heads": 4}, "(h t d) k -> (t h d) k", {"h": 4, "t": 3}, (24, 5)),
    ("qkv_rows", {"heads": 4, "source": "3hd", "target": "hd3"}, "(t h d) k -> (h d t) k", {"h": 4, "t": 3}, (24, 5)),
    ("nchw_to_nhwc", {"spatial": 1}, "c w -> w c", {}, (4, 5)),
    ("nchw_to_nhwc", {"spatial": 3}, "c d h w -> d h w c", {}, (4, 2, 3, 5)),
    ("nhwc_to_nchw", {"spatial": 1}, "w c -> c w", {}, (5, 4)),
    ("nhwc_to_nchw", {"spatial": 3}, "d h w c -> c d h w", {}, (2, 3, 5, 4)),
    ("rotary_pairs_to_halves", {"heads": 2}, "(h e r) d -> (h r e) d", {"h": 2, "r": 2}, (12, 5)),
    ("rotary_halves_to_pairs", {"heads": 2}, "(h r e) d -> (h e r) d", {"h": 2, "r": 2}, (12, 5)),
    ("rotary_halves_to_pairs", {"heads": 2, "axes": 1}, "(h r e) -> (h e r)", {"h": 2, "r": 2}, (12,)),
    ("transpose", {}, "k d -> d k", {}, (3, 4)),
    ("dense_chw_to_hwc", {"height": 2, "width": 3}, "k (c h w) -> k (h w c)", {"h": 2, "w": 3}, (4, 30)),
    ("dense_hwc_to_chw", {"height": 2, "width": 3}, "k (h w c) -> k (c h w)", {"h": 2, "w": 3}, (4, 30)),
    ("depthwise_oihw_to_hwio", {"multiplier": 2}, "(c m) 1 h w -> h w c m", {"m": 2}, (6, 1, 3, 4)),
    ("depthwise_hwio_to_oihw", {}, "h w c m -> (c m) 1 h w", {}, (3, 4, 3, 2)),
    ("depthwise_oihw_to_ihwo", {}, "o 1 h w -> 1 h w o", {}, (6, 1, 3, 4)),
    ("depthwise_ihwo_to_oihw", {}, "1 h w o -> o 1 h w", {}, (1, 3, 4, 6)),
    ("grouped_iohw_to_oihw", {"groups": 3}, "(g i) o h w -> (g o) i h w", {"g": 3}, (6, 5, 3, 4)),
    ("nchw_to_nchwc", {"block": 4}, "n (c b) h w -> n c h w b", {"b": 4}, (2, 8, 3, 5)),
    ("nchwc_to_nchw", {}, "n c h w b -> n (c b) h w", {}, (2, 2, 3, 5, 4)),
    ("interleaved_to_planar", {"parts": 3}, "n (w r) -> n (r w)", {"r": 3}, (2, 12)),
    ("planar_to_interleaved", {"parts": 3}, "n (r w) -> n (w r)", {"r": 3}, (2, 12)),
    ("interleaved_to_planes", {}, "n h (w r) -> n r h w", {"r": 2}, (2, 3, 8)),
    ("planes_to_interleaved", {}, "n r h w -> n h (w r)", {}, (2, 2, 3, 4)),
    ("transpose_hw", {}, "n c h w -> n c w h", {}, (2, 2, 3, 4)),
    ("bayer_to_planes", {}, "n (h p) (w q) -> n (p q) h w", {"p": 2, "q": 2}, (2, 4, 6)),
    ("planes_to_bayer", {}, "n (p q) h w -> n (h p) (w q)", {"p": 2, "q": 2}, (2, 4, 3, 5)),
    ("identity", {}, "n c h w -> n c h w", {}, (2, 2, 3, 4)),
]  # fmt: skip
LAYOUTS = [
    (source, target)
    for source, target in itertools.product(("oihw", "hwio", "ohwi", "iohw", "hwoi"), repeat=2)
    if f"{source}_to_{target}" in lb.catalog()
]
TURNS = {
    "flip_width": lambda x: x[..., ::-1],
    "flip_height": lambda x: x[..., ::-1, :],
    "rotate_90": lambda x: np.rot90(x, 1, (-2, -1)),
    "rotate_180": lambda x: np.rot90(x, 2, (-2, -1)),
    "rotate_270": lambda x: np.rot90(x, 3, (-2, -1)),
}
# what each gate of a weight stands for there, and its number
LSTM = {"onnx": "iofc", "pytorch": "ifco", "keras": "ifco", "cudnn": "ifco"}
GRU = {"onnx": "zrh", "pytorch": "rzh", "keras": "zrh", "cudnn": "rzh"}
# a result whose axis does not say what it was made of: its way back has the lengths as parameters, or none
UNTOLD = {
    "patchify",
    "window_partition",
    "merge_heads",
    "depthwise_hwio_to_oihw",
    "nchwc_to_nchw",
    "planes_to_interleaved",
}
LOOPS = {"qkv_rows_grouped", "rgb_to_bgr", "focus_bgr", "lstm_gates", "gru_gates"}


def numbered(shape):
    return np.random.default_rng(5).permutation(int(np.prod(shape))).reshape(shape)


def test_every_entry_is_compared():
    named = {name for name, *_ in EINOPS} | {f"{a}_to_{b}" for a, b in LAYOUTS} | {*TURNS} | LOOPS
    assert named | set(NAMES) == set(lb.catalog())


@pytest.mark.parametrize(("name", "parameters", "pattern", "lengths", "shape"), EINOPS)
def test_einops_moves_alike(name, parameters, pattern, lengths, shape):
    operation, x = lb.op(name, **parameters), numbered(shape)
    expected = einops.rearrange(x, pattern, **lengths)
    np.testing.assert_array_equal(operation(x), expected)
    if name in UNTOLD:
        with pytest.raises(PatternError, match="does not tell its parts"):
            operation.inverse()
    else:
        np.testing.assert_array_equal(operation.inverse()(expected), x)
    assert lb.Rearrangement(operation.pattern) == operation


@pytest.mark.parametrize(("source", "target"), LAYOUTS)
def test_convolution_weights(source, target):
    x = numbered((2, 3, 4, 5))
    operation = lb.op(f"{source}_to_{target}")
    np.testing.assert_array_equal(operation(x), einops.rearrange(x, f"{' '.join(source)} -> {' '.join(target)}"))
    volume, flat = numbered((2, 3, 4, 5, 6)), numbered((2, 3, 4))
    long = [" ".join(layout.replace("hw", "dhw")) for layout in (source, target)]
    short = [" ".join(layout.replace("hw", "w")) for layout in (source, target)]
    made = lb.op(f"{source}_to_{target}", spatial=3), lb.op(f"{source}_to_{target}", spatial=1)
    np.testing.assert_array_equal(made[0](volume), einops.rearrange(volume, " -> ".join(long)))
    np.testing.assert_array_equal(made[1](flat), einops.rearrange(flat, " -> ".join(short)))


@pytest.mark.parametrize("name", TURNS)
def test_flips_and_turns(name):
    x = numbered((2, 3, 4, 5))
    np.testing.assert_array_equal(lb.op(name)(x), TURNS[name](x))


@pytest.mark.parametrize("mosaic", ["RGGB", "BGGR", "GRBG", "GBRG"])
def test_planes_of_a_mosaic_are_its_colours(mosaic):
    """Each plane holds one colour, the green one beside red before the one beside blue."""
    colours = np.array([list(mosaic[:2]), list(mosaic[2:])])
    x = np.empty((4, 6), "U2")
    for row, column in np.ndindex(x.shape):
        colour = str(colours[row % 2, column % 2])
        x[row, column] = colour if colour != "G" else "G" + str(colours[row % 2, (column + 1) % 2])
    planes = lb.op("bayer_to_planes", mosaic=mosaic)(x)
    assert [set(plane.ravel().tolist()) for plane in planes] == [{"R"}, {"GR"}, {"GB"}, {"B"}]
    y = numbered((3, 4, 6))
    np.testing.assert_array_equal(
        lb.op("planes_to_bayer", mosaic=mosaic)(lb.op("bayer_to_planes", mosaic=mosaic)(y)), y
    )


@pytest.mark.parametrize(("name", "orders"), [("lstm_gates", LSTM), ("gru_gates", GRU)])
@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(LSTM, 2)))
def test_gates(name, orders, source, target):
    weights = {gate: numbered((3, 5)) + 100 * k for k, gate in enumerate(sorted(orders["onnx"]))}
    given, wanted = (np.concatenate([weights[gate] for gate in orders[side]]) for side in (source, target))
    np.testing.assert_array_equal(lb.op(name, source=source, target=target)(given), wanted)
    np.testing.assert_array_equal(lb.op(name, source=source, target=target, axes=1)(given[:, 0]), wanted[:, 0])


@pytest.mark.parametrize(("heads", "groups", "size"), [(8, 2, 3), (6, 3, 2), (4, 4, 5), (5, 1, 2), (64, 8, 1)])
def test_rows_of_queries_that_share_keys_and_values(heads, groups, size):
    """InternLM2's wqkv: each group has its queries, then their key, then their value, of `size` rows each."""
    weight, each = numbered(((heads + 2 * groups) * size, 2)), heads // groups
    queries, keys, values, row = [], [], [], 0
    for _ in range(groups):
        for _ in range(each):
            queries += [weight[row + k] for k in range(size)]
            row += size
        for own in (keys, values):
            own += [weight[row + k] for k in range(size)]
            row += size
    split = np.array([*queries, *keys, *values])
    parameters = {"heads": heads, "groups": groups}
    operation = lb.op("qkv_rows_grouped", **parameters)
    np.testing.assert_array_equal(operation(weight), split)
    back = lb.op("qkv_rows_grouped", source="3hd", target="g", **parameters)
    np.testing.assert_array_equal(back(split), weight)
    bias = lb.op("qkv_rows_grouped", axes=1, **parameters)
    np.testing.assert_array_equal(bias(weight[:, 0]), split[:, 0])
    assert lb.prove(operation.inverse(), back).for_all_sizes
    assert lb.Rearrangement(operation.pattern) == operation
    found = lb.identify(lambda x: operation(x), weight.shape)
    if groups == 1:
        assert operation.is_identity
    elif heads == groups:
        assert found.names[0] == "qkv_rows" and lb.prove(operation, lb.op("qkv_rows", heads=heads)).for_all_sizes
    else:
        assert {**found.parameters, **parameters} == found.parameters and "qkv_rows_grouped" in found.names


def test_colours_in_the_other_order():
    x = numbered((2, 3, 4, 6))
    np.testing.assert_array_equal(lb.op("rgb_to_bgr")(x), x[:, ::-1])
    np.testing.assert_array_equal(lb.op("focus_bgr")(x), lb.op("focus")(x[:, ::-1]))


@pytest.mark.parametrize(
    ("name", "parameters", "shape", "told"),
    [
        ("split_heads", {"heads": 5}, (2, 7, 12), "12"),
        ("patch_merging_tokens", {"height": 4, "width": 4}, (1, 15, 8), "15"),
        ("unpatchify", {"patch": 2, "height": 3, "width": 3}, (1, 8, 12), "8"),
        ("rgb_to_bgr", {}, (4, 8, 8), "4"),
    ],
)
def test_parameters_that_do_not_fit(name, parameters, shape, told):
    with pytest.raises(ShapeError, match=told):
        lb.op(name, **parameters)(np.zeros(shape))


def test_shared_heads_are_looked_for_among_few():
    """Of a matrix with 2^20 elements: all pairs of numbers would take seconds."""
    (form, *_) = lb.catalog()["qkv_rows_grouped"].forms
    found = [*form.candidates([2**k for k in range(21)] + [3 * 2**k for k in range(20)])]
    assert (8, 2) in found and (32, 8) in found and len(found) <= 128  # not the 350,000 pairs below a million


def test_heads_that_the_groups_do_not_share_evenly():
    with pytest.raises(ParameterError, match="heads 7 is no multiple of groups 2"):
        lb.op("qkv_rows_grouped", heads=7, groups=2)


def test_words_that_an_entry_does_not_know():
    with pytest.raises(ParameterError, match="lstm_gates has no form for source=caffe"):
        lb.op("lstm_gates", source="caffe")
    with pytest.raises(ParameterError, match="order of patchify must be a word such as pqc, not 3"):
        lb.op("patchify", order=3)


# what is the same map as a better known operation, or as it is with its channels last, goes by that name
ELSEWHERE = {
    "patch_merging",
    "patch_expand",
    "dense_chw_to_hwc",
    "dense_hwc_to_chw",
    "planes_to_bayer",
    "interleaved_to_planar",
    "planar_to_interleaved",
    "space_to_batch",
}


@pytest.mark.parametrize(("name", "parameters", "pattern", "lengths", "shape"), EINOPS)
def test_each_is_named_or_what_it_equals_is(name, parameters, pattern, lengths, shape):
    operation = lb.op(name, **parameters)
    found = lb.identify(lambda x: einops.rearrange(x, pattern, **lengths), shape)
    assert found.names and (name in found.names or name in ELSEWHERE), found.explain()
    x = numbered(shape)
    result = lb.Rearrangement(found.pattern)(x)
    np.testing.assert_array_equal(result.ravel(), operation(x).ravel())


WAYS_BACK = [  # entry, what undoes it, a shape
    (("patchify", {"patch": 2}), ("unpatchify", {"patch": 2, "height": 2, "width": 3}), (2, 5, 4, 6)),
    (("window_partition", {"window": 2}), ("window_reverse", {"window": 2, "height": 4, "width": 6}), (2, 4, 6, 5)),
    (("space_to_batch", {}), ("batch_to_space", {}), (2, 5, 4, 6)),
    (("split_heads", {"heads": 3}), ("merge_heads", {}), (2, 5, 12)),
    (("bshd_to_bhsd", {}), ("bshd_to_bhsd", {}), (2, 5, 3, 4)),
    (("rotary_pairs_to_halves", {"heads": 2}), ("rotary_halves_to_pairs", {"heads": 2}), (12, 5)),
    (("transpose", {}), ("transpose", {}), (3, 4)),
    (("dense_chw_to_hwc", {"height": 2, "width": 3}), ("dense_hwc_to_chw", {"height": 2, "width": 3}), (4, 30)),
    (("depthwise_oihw_to_hwio", {"multiplier": 2}), ("depthwise_hwio_to_oihw", {}), (6, 1, 3, 4)),
    (("depthwise_oihw_to_ihwo", {}), ("depthwise_ihwo_to_oihw", {}), (6, 1, 3, 4)),
    (("grouped_iohw_to_oihw", {"groups": 3}), ("grouped_iohw_to_oihw", {"groups": 3}), (6, 5, 3, 4)),
    (("nchw_to_nchwc", {"block": 4}), ("nchwc_to_nchw", {}), (2, 8, 3, 5)),
    (("interleaved_to_planar", {"parts": 3}), ("planar_to_interleaved", {"parts": 3}), (2, 12)),
    (("interleaved_to_planes", {}), ("planes_to_interleaved", {}), (2, 3, 8)),
    (("rotate_90", {}), ("rotate_270", {}), (2, 3, 4, 5)),
    *(((name, {}), (name, {}), (2, 3, 4, 5)) for name in ("flip_width", "flip_height", "rotate_180", "transpose_hw")),
    (("rgb_to_bgr", {}), ("rgb_to_bgr", {}), (2, 3, 4, 5)),
    (("patch_merging", {}), ("patch_expand", {"order": "qpc"}), (2, 4, 6, 5)),
    *(((f"{a}_to_{b}", {}), (f"{b}_to_{a}", {}), (2, 3, 4, 5)) for a, b in LAYOUTS),
]


@pytest.mark.parametrize(("there", "back", "shape"), WAYS_BACK, ids=[case[0][0] for case in WAYS_BACK])
def test_what_undoes_it(there, back, shape):
    x = numbered(shape)
    np.testing.assert_array_equal(lb.op(back[0], **back[1])(lb.op(there[0], **there[1])(x)), x)


def test_tensorflow_and_torch_have_these_maps():
    """The frameworks' own ops that provenance names, of pictures with channels last where they are that."""
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x = numbered((3, 5, 4, 6)).astype(np.float32)
    last = x.transpose(0, 2, 3, 1)
    apart = tf.space_to_batch(last, [2, 3], [[0, 0], [0, 0]])
    np.testing.assert_array_equal(apart.numpy().transpose(0, 3, 1, 2), lb.op("space_to_batch", stride=(2, 3))(x))
    together = tf.batch_to_space(apart, [2, 3], [[0, 0], [0, 0]]).numpy()
    np.testing.assert_array_equal(together.transpose(0, 3, 1, 2), x)
    patches = torch.nn.functional.unfold(torch.tensor(x), 2, stride=2).transpose(1, 2).numpy()
    np.testing.assert_array_equal(lb.op("patchify", patch=2, order="cpq")(x), patches)
    folded = torch.nn.functional.fold(torch.tensor(patches).transpose(1, 2), (4, 6), 2, stride=2).numpy()
    np.testing.assert_array_equal(
        lb.op("unpatchify", patch=2, order="cpq", height=2, width=3)(np.ascontiguousarray(patches)), folded
    )
    for name, native in (("flip_width", tf.image.flip_left_right), ("rotate_90", tf.image.rot90)):
        np.testing.assert_array_equal(native(last).numpy().transpose(0, 3, 1, 2), lb.op(name)(x))


@pytest.mark.parametrize(("name", "kind"), [("lstm_gates", "LSTM"), ("gru_gates", "GRU")])
def test_torchs_gates_in_onnxs_order_compute_the_same(name, kind):
    """PyTorch's weights in ONNX's order, run by onnxruntime, against PyTorch's own layer."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    onnx = pytest.importorskip("onnx", reason="ONNX is not installed")
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    layer, hidden = getattr(torch.nn, kind)(3, 4), 4
    turn = lb.op(name, source="pytorch", target="onnx")
    bias = lb.op(name, source="pytorch", target="onnx", axes=1)
    held = {key: value.detach().numpy() for key, value in layer.named_parameters()}
    weights = {
        "W": turn(held["weight_ih_l0"])[None],
        "R": turn(held["weight_hh_l0"])[None],
        "B": np.concatenate([bias(held["bias_ih_l0"]), bias(held["bias_hh_l0"])])[None],
    }
    helper, floats = onnx.helper, onnx.TensorProto.FLOAT
    options = {"hidden_size": hidden} | ({"linear_before_reset": 1} if kind == "GRU" else {})
    graph = helper.make_graph(
        [helper.make_node(kind, ["X", "W", "R", "B"], ["Y"], **options)],
        "one",
        [helper.make_tensor_value_info("X", floats, [5, 2, 3])],
        [helper.make_tensor_value_info("Y", floats, [5, 1, 2, hidden])],
        [onnx.numpy_helper.from_array(np.ascontiguousarray(value), key) for key, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    (y,) = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"X": x})
    np.testing.assert_allclose(y[:, 0], layer(torch.tensor(x))[0].detach().numpy(), rtol=1e-5, atol=1e-6)
