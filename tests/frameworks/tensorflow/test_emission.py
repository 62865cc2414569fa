"""Rearrangements as Keras layers: what they compute, in which dtypes and shapes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from layoutbridge import Rearrangement, catalog, op
from layoutbridge.errors import ParameterError, ShapeError, UnsupportedError
from layoutbridge.frameworks import emit
from layoutbridge.frameworks.base import DTYPE_NAMES, FLOAT_NAMES, numpy_dtype
from layoutbridge.frameworks.table import framework as framework_named
from layoutbridge.frameworks.tensorflow import emission as framework
from layoutbridge.frameworks.tensorflow.data_formats import in_layout
from tests.keras_layers import FORMATS, KINDS, LAYOUT_CHANGES, counting, entry_at, gathered, held, same, shape_for
from tests.pictures import pictures

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
keras = pytest.importorskip("keras", reason="Keras is not installed")

from layoutbridge.frameworks.tensorflow.rearrange import (  # noqa: E402
    Rearrange,
    fastest_lowering,
    step_patterns,
    with_inferred,
)

ROOT = Path(__file__).resolve().parents[3]
NAMES = sorted(pictures())


# ---------------------------------------------------------------------- what a layer computes


@pytest.mark.sample(60)
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_every_entry_agrees_with_its_table(name, stride, data_format):
    rearrangement = entry_at(name, stride)
    layer = emit(rearrangement, "tensorflow", data_format=data_format)
    for batch, multiples in [(1, (1, 1, 1)), (2, (2, 3, 5)), (3, (3, 4, 2))]:
        x = counting(shape_for(rearrangement, batch, multiples))
        given = held(x, data_format, name)
        expected = held(gathered(rearrangement, x), data_format, name)
        assert same(layer(given), expected)
        assert layer.compute_output_shape(given.shape) == expected.shape


def test_layers_agree_with_the_tables_of_the_real_darknet(golden_cases):
    compared = 0
    for case in golden_cases:
        if case["gradient"] or not case["bijective"]:
            continue
        name = f"darknet_{case['layer']}{'_reverse' * case['reverse']}"
        x = counting((case["batch"], *case["in_shape"]))
        expected = x.reshape(-1)[case["table"]].reshape(case["batch"], *case["out_shape"])
        for data_format in FORMATS:
            layer = framework.emit(op(name, stride=case["stride"]), data_format=data_format)
            assert same(layer(held(x, data_format)), held(expected, data_format)), case["key"]
        compared += 1
    assert compared > 40


@pytest.mark.parametrize("channels", [3, 64])
def test_space_to_depth_and_back_are_tensorflows_own(channels):
    x = counting((2, 6, 8, channels))
    assert same(emit(op("space_to_depth"), "keras")(x), tf.nn.space_to_depth(x, 2).numpy())
    y = counting((2, 3, 4, 4 * channels))
    assert same(emit(op("depth_to_space"), "keras")(y), tf.nn.depth_to_space(y, 2).numpy())


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("dtype", [*DTYPE_NAMES, "float64", "complex64", "uint16"])
def test_every_dtype_passes_through_bit_for_bit(dtype, data_format):
    kind = numpy_dtype(dtype)
    for name in KINDS:
        rearrangement = op(name) if catalog()[name].parameters else entry_at(name, 1)
        shape = shape_for(rearrangement)
        bits = np.random.default_rng(0).integers(0, 256, (*shape, kind.itemsize), np.uint8)
        x = (bits[..., 0] % 2).astype(bool) if dtype == "bool" else bits.reshape(-1).view(kind).reshape(shape)
        layer = framework.emit(rearrangement, data_format=data_format)
        assert same(layer(held(x, data_format, name)), held(gathered(rearrangement, x), data_format, name))


def test_integers_of_any_rank_are_not_images():
    """Where items do not have three axes, there is no data format to speak of."""
    blocks = Rearrangement("(h p) w -> h w p, p=2")
    x = counting((3, 4, 5))
    for data_format in FORMATS:
        assert same(emit(blocks, "tensorflow", data_format=data_format)(x), gathered(blocks, x))
    merging = Rearrangement("c h w -> (h w) c")
    y = counting((2, 3, 4, 5))
    assert same(emit(merging, "tensorflow")(y), gathered(merging, y))


def test_the_layout_change_takes_the_tensor_as_it_is():
    x = counting((2, 3, 4, 5))
    for data_format in FORMATS:
        assert same(emit(op("nchw_to_nhwc"), "keras", data_format=data_format)(x), x.transpose(0, 2, 3, 1))


def test_chains_and_compositions():
    chain = op("darknet_reorg").then(op("channel_shuffle")).then(op("focus"))
    x = counting((2, 8, 12, 20))
    for data_format in FORMATS:
        assert same(emit(chain, "tensorflow", data_format=data_format)(held(x, data_format)),
                    held(gathered(chain, x), data_format))  # fmt: skip
    identity = op("space_to_depth").then(op("depth_to_space"))
    assert same(emit(identity, "tensorflow")(x), x)


def test_an_empty_batch():
    for name in ("space_to_depth", "darknet_reorg", "focus"):
        assert framework.emit(op(name))(np.zeros((0, 6, 6, 64), np.float32)).shape == (0, 3, 3, 256)


# ---------------------------------------------------------------------- unknown lengths, graphs, XLA


@pytest.mark.sample(6, slow=6)
@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_unknown_lengths_in_a_function(name, data_format):
    rearrangement = entry_at(name, 2)
    layer = framework.emit(rearrangement, data_format=data_format)
    x = counting(shape_for(rearrangement))
    given, expected = held(x, data_format, name), held(gathered(rearrangement, x), data_format, name)
    channels = 3 if data_format == "channels_last" and name not in LAYOUT_CHANGES else 1
    for known in [(), (channels,), (1, 2, 3)]:
        signature = tf.TensorSpec([given.shape[axis] if axis in known else None for axis in range(4)], tf.int32)
        traced = tf.function(layer.call, input_signature=[signature], autograph=False)
        assert same(traced(given), expected)


@pytest.mark.parametrize("data_format", FORMATS)
def test_unknown_lengths_stay_unknown_and_known_ones_known(data_format):
    shapes = {
        "darknet_reorg": ((None, 64, None, 26), (None, 256, None, 13)),
        "pixel_shuffle": ((7, 64, 13, None), (7, 16, 26, None)),
        "darknet_flatten": ((None, None, 3, 4), (None, None, 3, 4)),
    }
    order = (0, 2, 3, 1) if data_format == "channels_last" else (0, 1, 2, 3)
    for name, (given, wanted) in shapes.items():
        given, wanted = ([shape[axis] for axis in order] for shape in (given, wanted))
        layer = framework.emit(entry_at(name, 2), data_format=data_format)
        assert layer.compute_output_shape(given) == tuple(wanted)
        traced = tf.function(layer.call, autograph=False).get_concrete_function(tf.TensorSpec(given))
        assert traced.output_shapes.as_list() == wanted


@pytest.mark.parametrize("name", KINDS)
def test_xla_computes_the_same(name):
    rearrangement = entry_at(name, 2)
    x = counting(shape_for(rearrangement), "float32")
    for data_format in FORMATS:
        compiled = tf.function(framework.emit(rearrangement, data_format=data_format), jit_compile=True)
        assert same(compiled(held(x, data_format, name)), held(gathered(rearrangement, x), data_format, name))


@pytest.mark.parametrize("data_format", FORMATS)
def test_a_functional_model_keeps_open_lengths_and_dtypes(data_format):
    first = op("darknet_reorg")
    for dtype in ("float32", "uint8", "bool", "int64", "bfloat16"):
        inputs = keras.Input((None, None, 16) if data_format == "channels_last" else (16, None, None), dtype=dtype)
        made = framework.emit(first, data_format=data_format)(inputs)
        back = framework.emit(first.inverse(), data_format=data_format)(made)
        assert (made.dtype, back.dtype) == (dtype, dtype)
        assert made.shape == ((None, None, None, 64) if data_format == "channels_last" else (None, 64, None, None))
        x = held(counting((2, 16, 6, 8)) % 2, data_format).astype(numpy_dtype(dtype))
        assert same(keras.Model(inputs, back)(x), x)


def test_mixed_precision_does_not_cast():
    before = keras.config.dtype_policy()
    try:
        for policy in ("mixed_float16", "bfloat16", "float64"):
            keras.config.set_dtype_policy(policy)
            layer = framework.emit(op("focus"))
            for dtype in ("float32", "float16", "float64", "int64"):
                assert layer(np.zeros((1, 2, 2, 3), dtype)).dtype == dtype
                assert layer(keras.Input((2, 2, 3), dtype=dtype)).dtype == dtype
    finally:
        keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_the_inverse(name, data_format):
    rearrangement = entry_at(name, 2)
    layer = framework.emit(rearrangement, data_format=data_format)
    shape = shape_for(rearrangement)
    draw = np.random.default_rng(1)
    for dtype in FLOAT_NAMES:
        x = tf.constant(held(draw.standard_normal(shape), data_format, name).astype(numpy_dtype(dtype)))
        upstream = draw.standard_normal(rearrangement.out_shape(shape)).astype(numpy_dtype(dtype))
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        made = tape.gradient(y, x, output_gradients=tf.constant(held(upstream, data_format, name)))
        assert same(made, held(gathered(rearrangement.inverse(), upstream), data_format, name))


def test_a_gradient_under_xla_with_unknown_lengths():
    layer = framework.emit(op("darknet_reorg"))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 4])], jit_compile=True)
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
        return tape.gradient(y, x, output_gradients=tf.reshape(tf.range(tf.size(x), dtype=tf.float32), tf.shape(y)))

    upstream = counting((1, 3, 2, 16), "float32")
    expected = gathered(op("darknet_reorg").inverse(), np.ascontiguousarray(upstream.transpose(0, 3, 1, 2)))
    assert same(gradient(tf.zeros([1, 6, 4, 4])), held(expected, "channels_last"))


# ---------------------------------------------------------------------- the form


def moves_of(name, lengths, data_format="channels_last", stride=2):
    rearrangement = in_layout(entry_at(name, stride), data_format)
    lowering = fastest_lowering(rearrangement, rearrangement.domain, lengths)
    return [move.kind for move in lowering.moves], lowering


def test_native_ops_where_they_pay():
    assert moves_of("space_to_depth", (None, None, None, None))[0] == ["space_to_depth"]
    assert moves_of("leimao_reorg", (None, None, 26, 64))[0] == ["space_to_depth"]
    assert moves_of("darknet_reorg_reverse", (8, 13, 13, 256))[0] == ["depth_to_space"]
    _, lowering = moves_of("depth_to_space", (None, 13, 13, 256))
    assert lowering.moves[0].view == lowering.in_shape and lowering.moves[0].written == lowering.result
    assert moves_of("space_to_depth", (None, None, None, 3))[0] == ["transpose"]
    assert moves_of("space_to_depth", (None, 64, None, None), "channels_first")[0] == ["transpose"]


def test_own_axes_are_transposed_without_a_view():
    _, lowering = moves_of("nchw_to_nhwc", (None, None, None, None))
    assert lowering.moves[0].order == (0, 2, 3, 1)
    assert lowering.moves[0].view == lowering.in_shape and lowering.moves[0].written == lowering.result


def test_known_lengths_merge_steps():
    """Three transposes where 26 rows are no multiple of 4, one where 28 are; one in Darknet's own layout."""
    assert len(moves_of("darknet_reorg", (None, None, None, None))[0]) == 3
    assert len(moves_of("darknet_reorg", (None, 26, 26, 64))[0]) == 3
    assert len(moves_of("darknet_reorg", (None, 28, 26, 64))[0]) == 1
    assert len(moves_of("darknet_reorg", (None, 64, None, None), "channels_first")[0]) == 1
    for name in NAMES:
        if not name.startswith("darknet_reorg"):
            assert len(moves_of(name, (None, None, None, None))[0]) == 1, name


def test_the_batch_is_never_multiplied_out():
    """A view's unknown length that holds the batch is -1, so what is computed stays far below 2^31."""
    for name in NAMES:
        for data_format in FORMATS:
            _, lowering = moves_of(name, (None, None, None, None), data_format)
            for view in [lowering.result, *(move.view for move in lowering.moves)]:
                computed = [size for size in with_inferred(view) if not isinstance(size, int)]
                assert all(0 not in dict(size.powers) for size in computed), name


# ---------------------------------------------------------------------- config, names, errors


@pytest.mark.parametrize("name", NAMES)
def test_a_config_is_json_and_makes_the_same_layer(name):
    for data_format in FORMATS:
        layer = framework.emit(entry_at(name, 3), data_format=data_format)
        config = json.loads(json.dumps(layer.get_config()))
        again = Rearrange.from_config(config)
        assert again.rearrangement == layer.rearrangement
        assert again.rearrangement.label == layer.rearrangement.label
        assert (again.data_format, again.name) == (data_format, layer.name)
        assert again.get_config() == layer.get_config()


def test_a_chain_keeps_a_pattern_for_each_step():
    chain = in_layout(op("darknet_reorg"), "channels_last")
    config = json.loads(json.dumps(framework.emit(chain, data_format="channels_first").get_config()))
    assert len(config["rearrangement"]) == 3 and config["rearrangement"] == step_patterns(chain)
    assert Rearrange.from_config(config).rearrangement == chain


def test_a_name_that_is_no_entry_any_more_is_kept():
    config = framework.emit(Rearrangement("c h w -> w h c").named("my_own", (("stride", 5),))).get_config()
    assert Rearrange.from_config(config).rearrangement.label == "my_own (stride 5)"
    other = {**config, "operation": "focus", "parameters": {"stride": 2}}
    assert Rearrange.from_config(other).rearrangement == Rearrangement("c h w -> w h c")


def test_layers_of_one_model_have_names_of_their_own():
    keras.utils.clear_session()
    first, second = framework.emit(op("focus")), framework.emit(op("focus"))
    assert (first.name, second.name) == ("focus", "focus_1")
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, second(first(inputs)))
    clone = keras.models.clone_model(model)
    x = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    assert same(clone(x), model(x).numpy())
    assert framework.emit(Rearrangement("a b -> b a")).name == "rearrangement"


def test_errors_are_one_line():
    layer = framework.emit(op("darknet_reorg"))
    traced = tf.function(layer, autograph=False)
    calls = {
        r"H = 5 is not a multiple of 2": lambda: layer(np.zeros((1, 5, 6, 4), np.float32)),
        r"C = 3 is not a multiple of 4.*divides by zero": lambda: layer(np.zeros((1, 6, 6, 3), np.float32)),
        r"shape \(\?, \?, \?, 6\): C = 6 is not a multiple of 4": lambda: layer(keras.Input((None, None, 6))),
        r"takes 4 axes \[N, H, W, C\], the batch axis in front.*has 3": lambda: layer(np.zeros((6, 6, 4), np.float32)),
        r"number of axes is unknown": lambda: traced.get_concrete_function(tf.TensorSpec(None)),
    }
    for message, call in calls.items():
        with pytest.raises(ShapeError, match=message) as caught:
            call()
        if "unknown" not in message:
            assert str(caught.value).startswith("darknet_reorg on channels-last tensors (stride 2)")
        assert "\n" not in str(caught.value)
    with pytest.raises(ParameterError, match="data_format is channels_last or channels_first, not 'NHWC'"):
        framework.emit(op("focus"), data_format="NHWC")
    fixed = framework.emit(Rearrangement("c h w -> h w c, c=3"), data_format="channels_first")
    with pytest.raises(ShapeError, match="C = 4 must be 3"):
        fixed(keras.Input((4, None, None)))


# ---------------------------------------------------------------------- verification's view


def test_what_there_is_to_verify():
    entries = [entry_at(name, 2) for name in NAMES]
    found = list(framework_named("tensorflow").runnables(2, entries))
    emitted = [runnable for runnable in found if runnable.emitted]
    assert len(emitted) == 2 * len(NAMES) - len(LAYOUT_CHANGES)
    assert {runnable.layout for runnable in emitted if runnable.entry in LAYOUT_CHANGES} == {"NCHW"}
    natives = {(runnable.op, runnable.layout): runnable for runnable in found if not runnable.emitted}
    x = counting((1, 4, 6, 8), "float32")
    for layout in ("NHWC", "NCHW"):
        native = natives["tf.nn.space_to_depth", layout]
        assert (native.entry, native.version) == ("space_to_depth", f"tensorflow {tf.__version__}")
    if not tf.config.list_physical_devices("GPU"):
        with pytest.raises(UnsupportedError, match=r"^tf.nn.space_to_depth has no NCHW kernel for float32 .*\(CPU\)$"):
            natives["tf.nn.space_to_depth", "NCHW"].run(x)
    patches = natives["tf.image.extract_patches", "NHWC"]
    assert patches.entry is None
    assert same(patches.run(x), natives["tf.nn.space_to_depth", "NHWC"].run(x))
    for (_, layout), runnable in natives.items():
        if runnable.entry is not None and (runnable.op, layout) in {("tf.nn.depth_to_space", "NHWC")}:
            upstream = counting((1, 8, 12, 2), "float32")
            assert same(runnable.gradient(x, upstream), tf.nn.space_to_depth(upstream, 2).numpy())


def test_importing_the_module_imports_no_framework():
    program = (
        "import sys, layoutbridge.frameworks.tensorflow.emission as f; "
        "f.installed(); print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
