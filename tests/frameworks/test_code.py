"""Code to paste: every text is run, in a namespace of its own, and compared with the table element for element."""

import ast
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layoutbridge as lb
from layoutbridge.errors import ParameterError, ShapeError, UnknownNameError
from layoutbridge.frameworks.table import WRITTEN
from layoutbridge.frameworks.tensorflow.data_formats import has_data_format, layout_order
from tests.drawn_patterns import rearrangements
from tests.numpy_moves import CHAINS, ops_and_items
from tests.pasted_code import (
    READ,
    RUN,
    by_table,
    counting,
    forms,
    function_of,
    needs,
    run_jax,
    run_onnx,
    run_tensorflow,
    shapes,
    usual,
    with_batch,
)


def cases(name, operation, batch):
    """The code for `operation`, what it is given and what it must give, at two shapes and in each data format."""
    for item in shapes(operation):
        shape = (2, *item) if batch else item
        x, expected = counting(shape), by_table(operation, shape)
        if name == "tensorflow" and has_data_format(operation, batched=batch):
            yield lb.code(operation, name, batch=batch, data_format="channels_first"), x, expected
            order = layout_order(operation, "channels_last", batched=batch)
            last = (0, *(axis + 1 for axis in order)) if batch else order
            x, expected = x.transpose(last), expected.transpose(last)
        yield lb.code(operation, name, batch=batch), x, expected


def check(name, operations):
    """Each operation, with the batch axis or without."""
    found = [
        (operation, text, x, expected)
        for operation, batch in operations
        for text, x, expected in cases(name, operation, batch)
    ]
    functions = [function_of(text) for _, text, _, _ in found]
    arrays = [x for _, _, x, _ in found]
    if name == "onnx":
        fixed = [{axis + x.ndim - op.rank for axis, _ in op.domain.fixed} for op, _, x, _ in found]
        firsts = [x.ndim - op.rank for op, _, x, _ in found]
        free = [
            [axis for axis in range(first, x.ndim) if axis not in known]
            for first, x, known in zip(firsts, arrays, fixed, strict=True)
        ]
        results = [run_onnx(*each) for each in zip(functions, arrays, free, strict=True)]
    elif name == "jax":
        results = run_jax(functions, arrays)
    else:
        results = [RUN[name](function, x) for function, x in zip(functions, arrays, strict=True)]
    for (operation, _, _, expected), y in zip(found, results, strict=True):
        np.testing.assert_array_equal(y, expected, operation.label)


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("name", WRITTEN)
def test_every_form_of_every_entry(name):
    needs(name)
    check(name, [(operation, with_batch(operation)) for operation in forms()])


@pytest.mark.sample(2, slow=2)
@pytest.mark.parametrize("name", WRITTEN)
def test_patterns_chains_and_the_other_choice_of_a_batch(name):
    needs(name)
    patterns = [*map(lb.Rearrangement, READ), *CHAINS]
    check(name, [(operation, batch) for operation in patterns for batch in (True, False)])
    check(name, [(operation, not with_batch(operation)) for operation in usual()])


@pytest.mark.parametrize("name", WRITTEN)
def test_inverses(name):
    needs(name)
    asked = ("focus", "darknet_reorg", "pixel_shuffle", "space_to_batch", "rotate_90", "lstm_gates")
    check(name, [(lb.op(each).inverse(), True) for each in asked])


@pytest.mark.parametrize("name", ["numpy", "torch", "einops"])
@settings(max_examples=60, deadline=None)
@given(st.one_of(rearrangements(), ops_and_items()), st.booleans())
def test_drawn_patterns(name, made_and_shape, batch):
    needs(name)
    operation, item = made_and_shape
    shape = (2, *item) if batch else item
    function = function_of(lb.code(operation, name, batch=batch))
    np.testing.assert_array_equal(RUN[name](function, counting(shape)), by_table(operation, shape))


FOLLOWING = ["a b c -> c[::-1] a b[::-1]", "a b c -> a[::-1] (c b)", "a b c -> c b a[::-1]"]


@pytest.mark.parametrize("name", ["numpy", "torch", "einops"])
@settings(max_examples=40, deadline=None)
@given(rearrangements(), st.sampled_from(FOLLOWING), st.booleans())
def test_drawn_patterns_and_what_is_read_backwards_behind_them(name, made_and_shape, following, batch):
    needs(name)
    operation, item = made_and_shape[0].then(lb.Rearrangement(following)), made_and_shape[1]
    shape = (2, *item) if batch else item
    function = function_of(lb.code(operation, name, batch=batch))
    np.testing.assert_array_equal(RUN[name](function, counting(shape)), by_table(operation, shape))


@pytest.mark.parametrize("name", ["numpy", "torch", "einops", "tensorflow"])
def test_a_shape_that_does_not_fit_fails(name):
    needs(name)
    options = {"data_format": "channels_first"} if name == "tensorflow" else {}
    for operation in usual():
        function = function_of(lb.code(operation, name, **options))
        item = next(shapes(operation))
        for axis in range(operation.rank):
            for more in (1, 2):
                misfit = tuple(length + more * (place == axis) for place, length in enumerate(item))
                shape = (6, *misfit) if with_batch(operation) else misfit
                if not operation.domain.accepts(misfit):
                    with pytest.raises(Exception):  # noqa: B017 - whatever the framework says
                        RUN[name](function, counting(shape))
                    continue
                np.testing.assert_array_equal(RUN[name](function, counting(shape)), by_table(operation, shape))


@pytest.mark.sample(2, slow=2)
@pytest.mark.parametrize("name", WRITTEN)
def test_only_that_framework_is_imported(name):
    for operation in (*forms(), *map(lb.Rearrangement, READ), *CHAINS):
        imported = set()
        for node in ast.walk(ast.parse(lb.code(operation, name))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(node.module.partition(".")[0])
        assert imported == {name}, operation.label


@pytest.mark.slow
def test_texts_are_in_the_common_form(tmp_path):
    if find_spec("ruff") is None:
        pytest.skip("ruff is not installed")
    long = lb.Rearrangement("(" + " ".join(f"digit_{k}:2" for k in range(12)) + " rest) -> "
                            "(rest " + " ".join(f"digit_{k}" for k in reversed(range(12))) + ")")  # fmt: skip
    order = lb.Rearrangement("c h -> c[" + " ".join(map(str, np.random.default_rng(0).permutation(37))) + "] h")
    operations = [*forms(), *map(lb.Rearrangement, READ), *CHAINS, long, order, lb.op("darknet_reorg3d_reverse")]
    for name in WRITTEN:
        for number, operation in enumerate(operations):
            text = lb.code(operation, name, batch=bool(number % 2))
            assert text == lb.code(operation, name, batch=bool(number % 2))
            (tmp_path / f"{name}_{number}.py").write_text(text, encoding="utf-8")
    ruff = [sys.executable, "-m", "ruff"]
    rules = ["--isolated", "--line-length", "100"]
    done = subprocess.run([*ruff, "format", "--diff", *rules, "."], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[:5000]
    chosen = ["--select", "F,I,E4,E7,E9,UP,B", "--target-version", "py311"]
    done = subprocess.run([*ruff, "check", *rules, *chosen, "."], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[:5000]


def test_einops_code_runs_on_arrays_of_any_framework():
    needs("einops")
    operations = [lb.op(name) for name in ("focus", "darknet_reorg", "rotate_90", "rgb_to_bgr", "lstm_gates")]
    for operation in operations:
        function, shape = function_of(lb.code(operation, "einops")), (2, *next(shapes(operation)))
        for module, made in (("torch", "tensor"), ("jax.numpy", "asarray"), ("tensorflow", "constant")):
            if find_spec(module.partition(".")[0]) is not None:
                x = getattr(pytest.importorskip(module), made)(counting(shape))
                np.testing.assert_array_equal(np.asarray(function(x)), by_table(operation, shape))


def test_keras_layers_and_pasted_code_are_the_same():
    needs("tensorflow")
    for name in ("space_to_depth", "pixel_shuffle", "focus", "darknet_reorg", "nchw_to_nhwc", "patch_merging"):
        operation = lb.op(name)
        shape = (2, 8, 4, 4) if has_data_format(operation) else (2, 4, 4, 8)
        x = np.moveaxis(counting(shape), 1, -1) if has_data_format(operation) else counting(shape)
        function = function_of(lb.code(operation, "tensorflow"))
        np.testing.assert_array_equal(run_tensorflow(function, x), lb.emit(operation, "tensorflow")(x).numpy())


def test_tensorflow_code_is_traced_with_an_open_batch():
    needs("tensorflow")
    import tensorflow as tf

    function = tf.function(function_of(lb.code(lb.op("darknet_reorg"), "tensorflow")))
    traced = function.get_concrete_function(tf.TensorSpec([None, 26, 26, 64], tf.float32))
    assert traced.output_shapes == tf.TensorShape([None, 13, 13, 256])


def test_flips_of_many_digits_in_tensorflow():
    needs("tensorflow")
    operation = lb.Rearrangement("a b c d e (f g:2) (h i:2) j -> a b c d e (f g) (h[::-1] i) j")
    check("tensorflow", [(operation, True)])


# ---------------------------------------------------------------------- the idiom, word for word


GOLDEN = {
    ("pixel_unshuffle", "torch"): """\
import torch
import torch.nn.functional as F


def pixel_unshuffle(x: torch.Tensor) -> torch.Tensor:
    \"\"\"pixel_unshuffle (stride 2): c (h p:s) (w q:s) -> (c p q) h w, s=2\"\"\"
    return F.pixel_unshuffle(x, 2)
""",
    ("space_to_depth", "onnx"): """\
from onnx import ModelProto, TensorProto, helper


def space_to_depth(dtype: int = TensorProto.FLOAT) -> ModelProto:
    \"\"\"space_to_depth (stride 2): c (h p:s) (w q:s) -> (p q c) h w, s=2\"\"\"
    nodes = [helper.make_node("SpaceToDepth", ["x"], ["y"], blocksize=2)]
    x = helper.make_tensor_value_info("x", dtype, ["N", "C", "H", "W"])
    y = helper.make_tensor_value_info("y", dtype, ["N", None, None, None])
    graph = helper.make_graph(nodes, "space_to_depth", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
""",
    ("focus", "torch"): """\
import torch


def focus(x: torch.Tensor) -> torch.Tensor:
    \"\"\"focus (stride 2): c (h p:s) (w q:s) -> (q p c) h w, s=2\"\"\"
    n, c, h, w = x.shape
    x = x.reshape(n, c, h // 2, 2, w // 2, 2)
    x = x.permute(0, 5, 3, 1, 2, 4)
    return x.reshape(n, c * 4, h // 2, w // 2)
""",
    ("darknet_reorg", "numpy"): """\
import numpy as np


def darknet_reorg(x: np.ndarray) -> np.ndarray:
    \"\"\"darknet_reorg (stride 2)

    C H W | c:C/s^2 h:H p:s w:W q:s -> p q c h w | C*s^2 H/s W/s, s=2
    \"\"\"
    n, c, h, w = x.shape
    x = x.reshape(n, c // 4, h, 2, w, 2)
    x = x.transpose(0, 3, 5, 1, 2, 4)
    return x.reshape(n, c * 4, h // 2, w // 2)
""",
    ("window_partition", "torch"): """\
import torch


def window_partition(x: torch.Tensor) -> torch.Tensor:
    \"\"\"window_partition (window 7): n (h p:window) (w q:window) c -> (n h w) p q c, window=7\"\"\"
    n, h, w, c = x.shape
    x = x.reshape(n, h // 7, 7, w // 7, 7, c)
    x = x.permute(0, 1, 3, 2, 4, 5)
    return x.reshape(n * h * w // 49, 7, 7, c)
""",
    ("rgb_to_bgr", "torch"): """\
import torch


def rgb_to_bgr(x: torch.Tensor) -> torch.Tensor:
    \"\"\"rgb_to_bgr: c:3 h w -> c[::-1] h w\"\"\"
    assert x.shape[-3] == 3
    return x.flip(-3)
""",
}


@pytest.mark.parametrize(("name", "framework"), GOLDEN)
def test_the_idiom(name, framework):
    assert lb.code(lb.op(name), framework) == GOLDEN[name, framework]


@pytest.mark.parametrize(
    ("name", "framework", "last"),
    [
        ("pixel_shuffle", "pytorch", "return F.pixel_shuffle(x, 2)"),
        ("depth_to_space_crd", "torch", "return F.pixel_shuffle(x, 2)"),
        ("channel_shuffle", "torch", "return F.channel_shuffle(x, 2)"),
        ("space_to_depth", "keras", "return tf.nn.space_to_depth(x, 2)"),
        ("depth_to_space", "tensorflow", "return tf.nn.depth_to_space(x, 2)"),
        ("space_to_batch", "tensorflow", "return tf.space_to_batch(x, [2, 2], [[0, 0]] * 2)"),
        ("batch_to_space", "tensorflow", "return tf.batch_to_space(x, [2, 2], [[0, 0]] * 2)"),
        ("nchw_to_nhwc", "jax", "return x.transpose(0, 2, 3, 1)"),
        ("oihw_to_hwio", "torch", "return x.permute(2, 3, 1, 0)"),
        ("flip_width", "numpy", "return x[..., ::-1]"),
        ("pixel_unshuffle", "einops", 'return rearrange(x, "n c (h p) (w q) -> n (c p q) h w", p=2, q=2)'),
        ("gru_gates", "numpy", "return x.reshape(n, 3, d // 3, k).take([1, 0, 2], axis=-3).reshape(n, d, k)"),
        ("depthwise_oihw_to_ihwo", "numpy", "return x.transpose(1, 2, 3, 0)"),
        ("split_heads", "einops", 'return rearrange(x, "n l (h d) -> n h l d", h=8)'),
        ("split_heads", "numpy", "return x.reshape(n, length, 8, d // 8).transpose(0, 2, 1, 3)"),
    ],
)
def test_what_is_returned(name, framework, last):
    assert lb.code(lb.op(name), framework).splitlines()[-1].strip() == last


def test_depth_to_space_in_onnx_has_its_mode():
    for name, mode in (("depth_to_space", "DCR"), ("pixel_shuffle", "CRD")):
        assert f'"DepthToSpace", ["x"], ["y"], blocksize=2, mode="{mode}"' in lb.code(lb.op(name), "onnx")


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("framework", "options", "error", "says"),
    [
        ("caffe", {}, UnknownNameError, "there are einops, numpy, torch"),
        ("torch", {"batch": 3}, ParameterError, "batch is True, False or None"),
        ("torch", {"opset": 3}, ParameterError, "takes no 'opset'"),
        ("keras", {"data_format": "x"}, ParameterError, "channels_last or channels_first"),
    ],
)
def test_what_cannot_be_is_refused(framework, options, error, says):
    with pytest.raises(error, match=says):
        lb.code(lb.op("focus"), framework, **options)


def test_what_is_no_operation_is_refused():
    with pytest.raises(ParameterError, match="not for 'focus'"):
        lb.code("focus", "torch")
    with pytest.raises(ShapeError, match="takes no shape"):
        lb.code(lb.op("focus", stride=2**40), "torch")


@pytest.mark.parametrize("name", WRITTEN)
def test_digits_as_large_as_can_be_cost_nothing(name):
    huge = lb.Rearrangement("(a:1000000000000 b) c -> (b a[::-1]) c")
    assert "1000000000000" in lb.code(huge, name)


def test_names_that_are_no_identifiers_make_code():
    for name in ("for", "2 fast", 'a"b\\n', "rearrange", "np", "größe", "..."):
        function = function_of(lb.code(lb.Rearrangement("a b -> b a").named(name), "numpy", batch=False))
        np.testing.assert_array_equal(function(counting((2, 3))), counting((2, 3)).T)
    text = lb.code(lb.Rearrangement("a b -> b a").named("rearrange"), "einops", batch=False)
    np.testing.assert_array_equal(function_of(text)(counting((2, 3))), counting((2, 3)).T)


def test_no_framework_is_imported_for_it():
    code = (
        "import sys, layoutbridge as lb\nfrom layoutbridge.frameworks.table import WRITTEN\n"
        "print([lb.code(lb.op('focus'), name) for name in WRITTEN])\n"
        "heavy = {'torch', 'tensorflow', 'keras', 'onnx', 'jax', 'einops'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
