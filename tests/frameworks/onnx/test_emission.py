"""Emitted ONNX models, run in onnxruntime and in the reference evaluator against the gather tables."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.pictures import pictures

onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

import layoutbridge as lb  # noqa: E402
from layoutbridge.errors import (  # noqa: E402
    MissingFrameworkError,
    ParameterError,
    ShapeError,
    UnusableInputError,
)
from layoutbridge.frameworks.base import DTYPE_NAMES, numpy_dtype  # noqa: E402
from layoutbridge.frameworks.onnx.emission import emit, installed, runnables, save  # noqa: E402
from layoutbridge.frameworks.onnx.moves import NATIVE_DTYPES  # noqa: E402
from layoutbridge.frameworks.onnx.reading import load_callable, open_file  # noqa: E402
from layoutbridge.frameworks.onnx.sessions import highest_loadable_opset, run_in_onnxruntime  # noqa: E402

NAMES = tuple(pictures())
DTYPES = (*DTYPE_NAMES, "float64")


def entry_at(name, value):
    return lb.catalog()[name].build_at(value)


def item_of(op, multiples=(2, 1, 3)):
    return [op.domain.divisor(axis) * multiple for axis, multiple in enumerate(multiples)]


def numbered(shape, dtype="float32"):
    """Values that tell positions apart, as far as the dtype can; bool takes random ones."""
    count = int(np.prod(shape))
    if dtype == "bool":
        return np.random.default_rng(count).integers(0, 2, shape).astype(bool)
    return np.arange(count).reshape(shape).astype(numpy_dtype(dtype))


def by_table(op, x):
    return x.reshape(-1)[op.table(x.shape)].reshape(op.out_shape(x.shape))


def assert_same(result, expected):
    assert result.shape == expected.shape
    assert result.dtype == expected.dtype
    assert np.array_equal(result, expected)


def run(model, x):
    return run_in_onnxruntime(model.SerializeToString())(x)


def operators(model):
    return [node.op_type for node in model.graph.node]


def declared(value):
    return [length.dim_param or length.dim_value for length in value.type.tensor_type.shape.dim]


def check(model):
    onnx.checker.check_model(model, full_check=True)
    onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


# ---------------------------------------------------------------------- every entry gives its table


@pytest.mark.sample(30)
@pytest.mark.parametrize("value", [1, 2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_every_entry_gives_its_table_with_fixed_and_with_open_lengths(name, value):
    op = entry_at(name, value)
    x = numbered((2, *item_of(op)))
    expected = by_table(op, x)
    for shape in (x.shape, (None, *x.shape[1:]), (None, x.shape[1], None, None), None):
        model = emit(op, shape=shape)
        check(model)
        assert_same(run(model, x), expected)
        assert_same(ReferenceEvaluator(model).run(None, {"input": x})[0], expected)


@pytest.mark.sample(16)
@pytest.mark.parametrize("dtype", ["float32", "int32"])  # SpaceToDepth and DepthToSpace, or Transposes alone
@pytest.mark.parametrize("name", NAMES)
def test_any_of_the_lengths_may_be_open(name, dtype):
    op = entry_at(name, 2)
    x = numbered((2, *item_of(op)), dtype)
    expected = by_table(op, x)
    for keep in itertools.product((True, False), repeat=4):
        model = emit(op, shape=[n if kept else None for n, kept in zip(x.shape, keep, strict=True)], dtype=dtype)
        check(model)
        assert_same(run(model, x), expected)


@pytest.mark.parametrize("opset", [11, 12, 13, 14, 15, 17, 20, 23, 26])
def test_every_opset_from_the_lowest_on(opset):
    names = ("darknet_reorg", "focus", "pixel_shuffle", "channel_shuffle")
    for name, dtype in itertools.product(names, ("float32", "bool")):
        op = entry_at(name, 2)
        x = numbered((1, *item_of(op)), dtype)
        for shape in (x.shape, None):
            model = emit(op, shape=shape, dtype=dtype, opset=opset)
            check(model)
            assert model.opset_import[0].version == opset
            assert_same(run(model, x), by_table(op, x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_runs_in_both(name, dtype):
    op = entry_at(name, 2)
    x = numbered((1, *item_of(op, (1, 2, 3))), dtype)
    expected = by_table(op, x)
    for shape in (x.shape, None):
        model = emit(op, shape=shape, dtype=dtype)
        check(model)
        assert_same(run(model, x), expected)
        assert_same(ReferenceEvaluator(model).run(None, {"input": x})[0], expected)


def test_every_bit_pattern_of_a_half_survives():
    # onnxruntime casts float16 for SpaceToDepth and back, which changes signalling NaNs: Transposes do not
    bits = np.arange(2**16, dtype=np.uint16)
    for dtype in ("float16", "bfloat16"):
        x = bits.view(numpy_dtype(dtype)).reshape(1, 4, 128, 128)
        op = lb.op("space_to_depth")
        result = run(emit(op, dtype=dtype), x)
        assert np.array_equal(result.view(np.uint16), by_table(op, x).view(np.uint16))


def test_native_operators_are_written_for_the_dtypes_that_onnxruntime_has_kernels_for():
    for dtype in DTYPES:
        for name, operator in (("space_to_depth", "SpaceToDepth"), ("depth_to_space", "DepthToSpace")):
            node = helper.make_node(operator, ["x"], ["y"], blocksize=2)
            elem_type = helper.np_dtype_to_tensor_dtype(numpy_dtype(dtype))
            sides = [helper.make_tensor_value_info(n, elem_type, [None] * 4) for n in "xy"]
            graph = helper.make_graph([node], "g", sides[:1], sides[1:])
            bare = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
            try:
                run_in_onnxruntime(bare.SerializeToString())
                has_kernel = dtype != "float16"  # loads, by casting to float32 and back
            except Exception:
                has_kernel = False
            assert has_kernel == (dtype in NATIVE_DTYPES) == (operators(emit(lb.op(name), dtype=dtype)) == [operator])


def test_patterns_beyond_the_catalogue():
    cases = (
        ("a b -> b a", (3, 4, 5)),
        ("a b c d e -> e c a d b", (2, 3, 2, 2, 3, 2)),
        ("(a p:2) (b q:3) -> (q b) (p a)", (2, 4, 9)),
        ("c (h p:2) (w q:2) -> (c q p) h w", (2, 3, 4, 6)),
        ("c (h p:2) w -> (p c) h w", (1, 3, 4, 5)),
        ("A B | i:2 j:A*B/2 -> j i | A*B", (2, 6, 5)),
        ("a b c d e f g -> g f e d c b a", (1, 2, 1, 2, 3, 1, 2, 2)),
    )
    for pattern, shape in cases:
        op = lb.Rearrangement(pattern)
        x = numbered(shape)
        for given in (shape, (None, *shape[1:]), None):
            model = emit(op, shape=given)
            check(model)
            assert_same(run(model, x), by_table(op, x))


def test_a_chain_of_steps_without_common_digits():
    op = lb.Rearrangement("(a p:2) -> (p a)").then(lb.Rearrangement("(a p:3) -> (p a)"))
    x = numbered((2, 12))
    for shape in ((2, 12), None):
        assert_same(run(emit(op, shape=shape), x), by_table(op, x))


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("name", NAMES)
def test_open_lengths_that_do_not_fit_are_refused_when_the_model_runs(name, dtype):
    op = entry_at(name, 2)
    for shape in (None, (None, None, 4, 4), (None, 16, None, None)):
        function = run_in_onnxruntime(emit(op, shape=shape, dtype=dtype).SerializeToString())
        for item in itertools.product((2, 3, 4, 6, 8, 16), (3, 4, 5, 6, 8), (3, 4, 5, 8)):
            if shape is not None and any(a is not None and a != b for a, b in zip(shape[1:], item, strict=True)):
                continue
            try:
                expected = by_table(op, numbered((1, *item), dtype))
            except ShapeError:
                with pytest.raises(Exception, match="ONNXRuntimeError"):
                    function(np.zeros((1, *item), dtype))
            else:
                assert_same(function(numbered((1, *item), dtype)), expected)


# ---------------------------------------------------------------------- which operators, which names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("space_to_depth", ["SpaceToDepth"]),
        ("darknet_reorg3d", ["SpaceToDepth"]),
        ("darknet_reorg", ["Reshape", "SpaceToDepth", "Reshape"]),
        ("pixel_unshuffle", ["Reshape", "SpaceToDepth", "Reshape"]),
        ("darknet_reorg_reverse", ["DepthToSpace"]),
        ("pixel_shuffle", ["DepthToSpace"]),
        ("focus", ["SpaceToDepth", "Gather"]),
        ("channel_shuffle", ["Gather"]),
        ("nchw_to_nhwc", ["Transpose"]),
        ("darknet_flatten", ["Reshape", "Transpose", "Reshape"]),
        ("darknet_reorg3d_reverse", ["Reshape", "Transpose", "Reshape", "Transpose", "Reshape"]),
    ],
)
def test_the_operators_with_an_open_batch(name, expected):
    assert operators(emit(lb.op(name), shape=(None, 64, 26, 26))) == expected


@pytest.mark.parametrize("name", NAMES)
def test_with_native_off_there_are_transposes_and_gathers_alone(name):
    op = entry_at(name, 2)
    x = numbered((2, *item_of(op)))
    for shape in (x.shape, None):
        model = emit(op, shape=shape, native=False)
        assert not {"SpaceToDepth", "DepthToSpace"} & set(operators(model))
        assert_same(run(model, x), by_table(op, x))


def test_at_stride_one_nothing_moves():
    assert operators(emit(lb.op("pixel_shuffle", stride=1))) == ["Identity"]


def test_space_to_depth_has_a_mode_from_opset_28_on():
    if onnx.defs.onnx_opset_version() < 28:
        pytest.skip(f"onnx {onnx.__version__} has no opset 28")
    for name, mode in (("space_to_depth", b"DCR"), ("pixel_unshuffle", b"CRD")):
        op = lb.op(name)
        model = emit(op, opset=28)
        check(model)
        assert [(a.name, a.s) for a in model.graph.node[0].attribute if a.name == "mode"] == [("mode", mode)]
        x = numbered((2, 3, 4, 6))
        assert_same(ReferenceEvaluator(model).run(None, {"input": x})[0], by_table(op, x))


def test_names_and_metadata_tell_what_it_is():
    model = emit(lb.op("darknet_reorg", stride=2), shape=("images", 64, None, None))
    assert [node.name for node in model.graph.node if node.op_type == "SpaceToDepth"] == ["darknet_reorg/SpaceToDepth"]
    assert len({node.name for node in model.graph.node}) == len(model.graph.node)
    assert (model.producer_name, model.producer_version) == ("layoutbridge", lb.__version__)
    for part in ("darknet_reorg (stride 2)", "p q c h w", lb.catalog()["darknet_reorg"].provenance):
        assert part in model.doc_string
    assert declared(model.graph.input[0]) == ["images", 64, "H", "W"]
    assert declared(model.graph.output[0]) == ["images", 256, "H/2", "W/2"]
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)


def test_an_unnamed_pattern_and_a_name_outside_the_catalogue_have_a_doc_string_too():
    pattern = lb.Rearrangement("a b -> b a")
    assert emit(pattern).doc_string == "a b -> b a"
    assert emit(pattern.named("turned")).graph.name == "turned"


@pytest.mark.parametrize("opset", [10, 0, -1, 10**9, "17", 17.0, True])
def test_an_opset_out_of_range_is_refused_with_the_range(opset):
    with pytest.raises(ParameterError, match=r"must be from 11 to \d+"):
        emit(lb.op("focus"), opset=opset)


def test_bfloat16_needs_opset_13():
    with pytest.raises(ParameterError, match="for bfloat16 must be from 13"):
        emit(lb.op("focus"), dtype="bfloat16", opset=12)


@pytest.mark.parametrize("dtype", ["float128", "str", "", None, 3])
def test_an_unknown_dtype_is_refused(dtype):
    with pytest.raises(ParameterError, match="there are float32"):
        emit(lb.op("focus"), dtype=dtype)


@pytest.mark.parametrize(
    ("name", "shape", "complaint"),
    [
        ("darknet_reorg", (1, 3, 26, 26), "C = 3 is not a multiple of 4"),
        ("darknet_reorg", (None, 3, None, None), r"shape \(\?, 3, \?, \?\): C = 3 is not a multiple of 4"),
        ("space_to_depth", (1, 3, None, 5), "W = 5 is not a multiple of 2"),
        ("focus", (3, 4, 4), r"takes 4 axes \[N, C, H, W\], the batch axis in front, and shape \(3, 4, 4\) has 3"),
        ("focus", (1, 3, 0, 4), "at least 1"),
        ("focus", (1, 3, "H W", 4), "None or a name"),
        ("focus", (1, 3, 4.0, 4), "list of whole numbers"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(name, shape, complaint):
    with pytest.raises(ShapeError, match=complaint):
        emit(lb.op(name), shape=shape)


def test_a_length_that_the_pattern_fixes():
    op = lb.Rearrangement("(a b) c -> (b a) c, a=2, b=3")
    assert declared(emit(op).graph.input[0]) == ["N", 6, "C"]
    with pytest.raises(ShapeError, match="= 4 must be 6"):
        emit(op, shape=(1, 4, None))


# ---------------------------------------------------------------------- files


def test_save_writes_what_emit_makes_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "reorg.onnx"
    save(lb.op("darknet_reorg"), path, shape=(1, 64, 26, 26))
    x = numbered((1, 64, 26, 26))
    function = load_callable(path)
    assert function.dtype == "float32"
    assert_same(function(x), by_table(lb.op("darknet_reorg"), x))
    assert [file.name for file in tmp_path.iterdir()] == ["reorg.onnx"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "reorg.onnx"
    path.write_bytes(b"old")
    with pytest.raises(ShapeError):
        save(lb.op("darknet_reorg"), path, shape=(1, 3, 26, 26))
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(UnusableInputError, match="cannot write"):
        save(lb.op("darknet_reorg"), tmp_path / "nowhere" / "reorg.onnx")


@pytest.mark.sample(3, slow=3)
@pytest.mark.parametrize("dtype", DTYPES)
def test_load_callable_names_the_dtype(tmp_path, dtype):
    path = tmp_path / "a.onnx"
    save(lb.op("focus"), path, dtype=dtype)
    function = load_callable(path)
    assert function.dtype == dtype
    x = numbered((1, 3, 4, 6), dtype)
    assert_same(function(x), by_table(lb.op("focus"), x))


def test_load_callable_falls_back_to_the_reference_evaluator(tmp_path):
    path = tmp_path / "new.onnx"
    newest = onnx.defs.onnx_opset_version()
    if newest <= highest_loadable_opset():
        pytest.skip("onnxruntime loads all that onnx writes")
    save(lb.op("pixel_unshuffle"), path, opset=newest)
    x = numbered((1, 3, 4, 6))
    assert_same(load_callable(path)(x), by_table(lb.op("pixel_unshuffle"), x))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"hello, world\n", "no ONNX model"),
        (b"\x00" * 64, "no ONNX model"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n", "git-LFS pointer"),
        (b"\n<!DOCTYPE html><html></html>", "HTML page"),
        (b"PK\x03\x04 and so on", "zip archive"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(tmp_path, content, complaint):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(UnusableInputError, match=complaint) as caught:
        load_callable(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_a_folder_and_a_part_of_a_model_are_refused(tmp_path):
    for path, complaint in ((tmp_path / "none.onnx", "there is no model"), (tmp_path, "it is a folder")):
        with pytest.raises(UnusableInputError, match=complaint):
            load_callable(path)
    whole = emit(lb.op("darknet_reorg")).SerializeToString()
    for length in range(1, len(whole) - 1, 37):
        (tmp_path / "part.onnx").write_bytes(whole[:length])
        with pytest.raises(UnusableInputError):
            load_callable(tmp_path / "part.onnx")


def tensor_info(name, elem_type=TensorProto.FLOAT, shape=(2,)):
    return helper.make_tensor_value_info(name, elem_type, shape)


def write_model(path, nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_one_tensor_in_and_one_out_is_wanted(tmp_path):
    add = helper.make_node("Add", ["x", "w"], ["y"])
    weight = numpy_helper.from_array(np.ones(2, np.float32), "w")
    fine = write_model(tmp_path / "a", [add], [tensor_info("x"), tensor_info("w")], [tensor_info("y")], [weight])
    assert load_callable(fine)(np.zeros(2, np.float32)).tolist() == [1, 1]
    two = write_model(tmp_path / "b", [add], [tensor_info("x"), tensor_info("w")], [tensor_info("y")])
    with pytest.raises(UnusableInputError, match=r"2 inputs \(x, w\)"):
        load_callable(two)
    outputs = [tensor_info("y"), tensor_info("z")]
    split = write_model(tmp_path / "c", [helper.make_node("Split", ["x"], ["y", "z"])], [tensor_info("x")], outputs)
    with pytest.raises(UnusableInputError, match=r"2 outputs \(y, z\)"):
        load_callable(split)
    sequence = helper.make_tensor_sequence_value_info("s", TensorProto.FLOAT, None)
    joined = [helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0)]
    with pytest.raises(UnusableInputError, match="'s' is a sequence, not a tensor"):
        load_callable(write_model(tmp_path / "d", joined, [sequence], outputs[:1]))
    text = tensor_info("x", TensorProto.STRING)
    said = write_model(
        tmp_path / "e", [helper.make_node("Identity", ["x"], ["y"])], [text], [tensor_info("y", TensorProto.STRING)]
    )
    with pytest.raises(UnusableInputError, match="holds text"):
        load_callable(said)


def test_a_model_that_nothing_can_run_is_refused(tmp_path):
    node = helper.make_node("NoSuchOperator", ["x"], ["y"], domain="nowhere")
    path = write_model(tmp_path / "a", [node], [tensor_info("x")], [tensor_info("y")])
    with pytest.raises(UnusableInputError, match="cannot be run: onnxruntime: "):
        load_callable(path)


def external(location, inside="initializer", **more):
    """A model x + w whose w is 16 bytes in another file, as an initialiser, in a Constant or in a subgraph."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    nodes = [helper.make_node("Add", ["x", "w"], ["y"])]
    initializers = []
    if inside == "initializer":
        initializers.append(tensor)
    elif inside == "constant":
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    else:
        branch = helper.make_graph([helper.make_node("Constant", [], ["w"], value=tensor)], "b", [], [tensor_info("w")])
        nodes = [helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)]
    return nodes, [tensor_info("x", shape=(4,))], [tensor_info("y", shape=(4,))], initializers


def test_external_data_beside_the_model_is_read(tmp_path):
    np.arange(4, dtype=np.float32).tofile(tmp_path / "w.bin")
    path = write_model(tmp_path / "a.onnx", *external("w.bin"))
    assert load_callable(path)(np.ones(4, np.float32)).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("inside", ["initializer", "constant", "subgraph"])
def test_external_data_elsewhere_is_refused_with_its_location(tmp_path, inside):
    folder = tmp_path / "model"
    folder.mkdir()
    secret = tmp_path / "secret.bin"
    np.arange(4, dtype=np.float32).tofile(secret)
    (folder / "link.bin").symlink_to(secret)
    (folder / "out").symlink_to(tmp_path)
    for location, complaint in (
        (str(secret), "an absolute path"),
        ("C:\\secret.bin", "an absolute path"),
        ("../secret.bin", "outside the model's folder"),
        ("a/../../secret.bin", "outside the model's folder"),
        ("..\\secret.bin", "outside the model's folder"),
        ("link.bin", "a link that leads outside"),
        ("out/secret.bin", "a link that leads outside"),
        ("absent.bin", "not there"),
        ("", "names no file"),
    ):
        path = write_model(folder / "a.onnx", *external(location, inside))
        with pytest.raises(UnusableInputError, match=complaint) as caught:
            load_callable(path)
        assert location in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("more", [{"offset": 8, "length": 16}, {"length": 10**12}, {"offset": -4}, {"offset": "four"}])
def test_external_data_that_is_too_short_is_refused(tmp_path, more):
    np.arange(4, dtype=np.float32).tofile(tmp_path / "w.bin")
    path = write_model(tmp_path / "a.onnx", *external("w.bin", **more))
    with pytest.raises(UnusableInputError, match=r"w\.bin"):
        load_callable(path)


# ---------------------------------------------------------------------- verification


def test_runnables_run_in_both_and_say_what_cannot():
    listed = list(runnables(2, [lb.op("focus"), lb.op("darknet_reorg")]))
    versions = {f"onnxruntime {ort.__version__}", f"onnx {onnx.__version__} reference"}
    assert {runnable.version for runnable in listed} == versions
    native = [runnable for runnable in listed if not runnable.emitted]
    assert {runnable.entry for runnable in native} == {
        "space_to_depth", "space_to_depth_crd", "depth_to_space", "depth_to_space_crd",
    }  # fmt: skip
    for runnable in listed:
        if runnable.unavailable is not None:
            assert runnable.unavailable.startswith("SpaceToDepth mode needs opset 28; onnxruntime")
            assert runnable.unavailable.endswith(str(highest_loadable_opset()))
            continue
        x = numbered((2, 4, 4, 6))
        assert_same(runnable.run(x), by_table(lb.op(runnable.entry), x))
        assert (runnable.gradient is not None) == runnable.emitted
        if runnable.gradient is not None:
            assert_same(runnable.gradient(x, by_table(lb.op(runnable.entry), x)), x)


def test_verification_finds_what_was_emitted():
    verdict = lb.verify(frameworks=("onnx",), ops=("darknet_reorg", "pixel_shuffle"), strides=(3,))
    emitted = [row for row in verdict.rows if row.emitted]
    assert verdict.ok
    assert {row.status for row in emitted} == {"matches"}
    assert {row.dtype for row in emitted} == set(DTYPE_NAMES)
    assert {row.direction for row in emitted} == {"forward", "backward"}


def run_python(code):
    root = Path(__file__).parents[3]
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=root)


def test_emitting_imports_no_runtime_and_importing_imports_nothing():
    code = """
import sys
import layoutbridge as lb, layoutbridge.frameworks.onnx.emission as module
heavy = {"onnx", "onnxruntime", "torch", "tensorflow"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
module.emit(lb.op("focus"))
assert heavy & set(sys.modules) == {"onnx"}, heavy & set(sys.modules)
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_onnxruntime_prints_nothing_about_what_it_cannot_load():
    done = run_python(
        "from layoutbridge.frameworks.onnx.sessions import highest_loadable_opset; print(highest_loadable_opset())"
    )
    assert (done.stdout.strip(), done.stderr) == (str(highest_loadable_opset()), "")


def test_without_onnxruntime_the_reference_evaluator_runs_alone(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    listed = list(runnables(2, [lb.op("focus")]))
    missing = [runnable for runnable in listed if runnable.version.startswith("onnxruntime")]
    assert missing
    assert all("onnxruntime is not installed" in runnable.unavailable for runnable in missing)
    assert all(runnable.unavailable is None for runnable in listed if runnable not in missing)
    save(lb.op("focus"), tmp_path / "a.onnx")
    x = numbered((1, 3, 4, 6))
    assert_same(open_file(tmp_path / "a.onnx")(x), by_table(lb.op("focus"), x))


def test_without_onnx_everything_says_what_to_install(monkeypatch):
    for module in list(sys.modules):
        if module.startswith(("onnx.", "layoutbridge.frameworks.onnx.graph")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingFrameworkError, match=r"pip install .*\[onnx\]"):
        emit(lb.op("focus"))
    with pytest.raises(MissingFrameworkError, match=r"pip install .*\[onnx\]"):
        load_callable(__file__)
    listed = list(runnables(2, [lb.op("focus")]))
    assert listed
    assert all("onnx is not installed" in runnable.unavailable for runnable in listed)


def test_installed_names_both_versions():
    assert installed() == f"onnx {onnx.__version__}, onnxruntime {ort.__version__}"
