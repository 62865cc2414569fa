"""Models within a target's limits: of at most so many axes, without operators; exact in onnxruntime."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.drawn_patterns import rearrangements
from tests.every_form import Case, every_form, item_for, numbers_for

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException  # noqa: E402

import layoutbridge as lb  # noqa: E402
from layoutbridge.errors import ParameterError, UnknownNameError, UnsupportedError  # noqa: E402
from layoutbridge.frameworks.base import numpy_dtype  # noqa: E402
from layoutbridge.frameworks.onnx.limits import read_limits  # noqa: E402
from layoutbridge.frameworks.onnx.programs.limits import UNLIMITED, Limits  # noqa: E402
from layoutbridge.frameworks.onnx.programs.table import PROFILES  # noqa: E402
from layoutbridge.frameworks.onnx.sessions import run_in_onnxruntime  # noqa: E402
from tests.limited_models import most_axes, moved_bytes, operators, run  # noqa: E402

BLOCKS = ("SpaceToDepth", "DepthToSpace")


def ranks(case):
    return len(case.shape), len(case.operation.out_shape(case.shape))


def space_and_depth(case):
    return any(word in case.operation.name for word in ("depth", "shuffle", "reorg", "focus"))


def forms_at(size):
    """Every entry in every form at strides, patches and the like of one size, for the batches 1 and 2."""
    for entry in lb.catalog().values():
        for form in entry.forms:
            try:
                operation = entry.build(**form.values(numbers_for(form, (size,) * 3)))
            except ParameterError:  # heads that no groups share
                continue
            yield Case(operation, item_for(operation), entry.has_batch)


def shapes_of(case):
    """The input's shape as it is, with the batch open, with all lengths open."""
    return case.shape, (None, *case.shape[1:]), None


def assert_exact(case, model, limits, x=None):
    x = case.input() if x is None else x
    expected = case.expected(x)
    told = f"{case.operation.label}, {case.shape}, {limits}: {[node.op_type for node in model.graph.node]}"
    assert most_axes(model) <= limits.get("max_rank", 99), told
    assert not operators(model) & set(limits.get("without", ())), told
    np.testing.assert_array_equal(run(model, x), expected, told, strict=True)


# ---------------------------------------------------------------------- every entry of the catalogue


def assert_in_four_axes(cases, without=(), most_shapes=3):
    """All of them exact in four axes; returns the largest share of the bytes that the usual form moves."""
    limits, worst = {"max_rank": 4, "without": without}, 0
    for number, case in enumerate(cases):
        for shape in (*shapes_of(case)[number % 3 :], *shapes_of(case))[:most_shapes]:
            model = lb.emit(case.operation, "onnx", shape=shape, batch=case.batch, **limits)
            assert_exact(case, model, limits)
            if space_and_depth(case):
                usual = lb.emit(case.operation, "onnx", shape=shape, batch=case.batch)
                worst = max(worst, moved_bytes(model, case.input()) / max(moved_bytes(usual, case.input()), 1))
    return worst


def of_four_axes(size, batch=2):
    cases = (replace(case, leading=batch) for case in forms_at(size))
    return [case for case in cases if max(ranks(case)) <= 4]


def test_every_entry_of_four_axes_in_four_axes():
    cases = [case for number, case in enumerate(of_four_axes(2)) if number % 2 or space_and_depth(case)]
    assert len(cases) > 100
    assert assert_in_four_axes(cases, most_shapes=1) == 1  # what the usual form moves is the least that there is


@pytest.mark.thorough
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("size", [2, 3])
def test_every_entry_at_every_size_in_four_axes(size, batch):
    cases = of_four_axes(size, batch)
    assert len(cases) > 200
    assert assert_in_four_axes(cases) == 1


def test_blocks_are_moved_in_four_axes_by_transposes():
    cases = list(filter(space_and_depth, of_four_axes(2)))
    assert 1 < assert_in_four_axes(cases, (*BLOCKS, "Gather", "Einsum"), most_shapes=1) <= 3


@pytest.mark.sample(slow=2)
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("without", [BLOCKS, (*BLOCKS, "Gather"), (*BLOCKS, "Gather", "Einsum", "Split")])
def test_blocks_are_moved_at_every_size(size, batch, without):
    cases = list(filter(space_and_depth, of_four_axes(size, batch)))
    assert 1 < assert_in_four_axes(cases, without) <= 3


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("without", [["Transpose"], ["Gather"], ["Slice"], ["Concat"], ["Split", "Slice"]])
def test_every_entry_without_an_operator(without):
    refused = []
    for number, case in enumerate(every_form()[::5]):
        shape = case.shape if number % 2 else (None, *case.shape[1:])
        try:
            model = lb.emit(case.operation, "onnx", shape=shape, batch=case.batch, without=without)
        except UnsupportedError:
            refused.append(case)
            continue
        assert_exact(case, model, {"without": without})
    # one line of lengths is open that is no batch: a view of it is computed
    assert all(not case.batch and without == ["Concat"] for case in refused), refused


@pytest.mark.parametrize("most", [2, 3])
def test_every_entry_of_so_few_axes(most):
    fitting = [case for case in every_form() if max(ranks(case)) <= most]
    assert len(fitting) > 30
    for number, case in enumerate(fitting):
        shape = case.shape if number % 2 else None
        model = lb.emit(case.operation, "onnx", shape=shape, batch=case.batch, max_rank=most)
        assert_exact(case, model, {"max_rank": most})


def test_what_lies_on_more_axes_is_refused():
    for case in every_form():
        if max(ranks(case)) > 3:
            with pytest.raises(UnsupportedError, match=r"max_rank is 3, and the (input|result) has [4-6] axes"):
                lb.emit(case.operation, "onnx", batch=case.batch, max_rank=3)


# ---------------------------------------------------------------------- what is chosen, and why something is not


def kinds(name, shape=(None, 64, 26, 26), **options):
    model = lb.emit(lb.op(name), "onnx", shape=shape, **options)
    return [node.op_type for node in model.graph.node]


def test_the_form_with_the_fewest_bytes_then_nodes():
    assert kinds("darknet_reorg", max_rank=4) == ["Reshape", "SpaceToDepth", "Reshape"]
    assert kinds("space_to_depth", without=BLOCKS) == ["Reshape", "Transpose", "Reshape"]
    assert kinds("space_to_depth", without=BLOCKS, max_rank=4).count("Transpose") == 2
    # rows and columns are taken apart at once, as Focus was written first
    sliced = kinds("space_to_depth", without=(*BLOCKS, "Transpose", "Reshape", "Einsum"))
    assert sliced == ["Slice"] * 4 + ["Concat"]
    assert kinds("rgb_to_bgr", (None, 3, 8, 8), without=["Slice", "Gather"]) == ["Split", "Concat"]
    assert kinds("nchw_to_nhwc", without=["Transpose"]) == ["SpaceToDepth", "Reshape"]  # each picture is one block
    assert kinds("nchw_to_nhwc", None, without=["Transpose"]) == ["Einsum"]
    assert kinds("identity", without=["Identity"]) == ["Reshape"]
    # a limit that the usual form keeps, and that no other form undercuts, changes nothing
    assert kinds("channel_shuffle", max_rank=5) == kinds("channel_shuffle") == ["Gather"]
    assert kinds("focus", max_rank=4) == kinds("focus")


@pytest.mark.parametrize(
    ("name", "shape", "limits", "told"),
    [
        (
            "nchw_to_nhwc",
            None,
            {"without": ["Transpose", "Einsum"]},
            "need Einsum or Transpose or lengths that are all",
        ),
        ("flip_width", None, {"without": ["Slice"]}, "need Slice or lengths that are all known"),
        ("space_to_depth", (None, 3, 4, 6), {"max_rank": 3}, "max_rank is 3, and the input has 4 axes"),
        ("patchify", (2, 3, 16, 32), {"without": ["Reshape"]}, r"\(without Reshape\): it would need Reshape"),
        (
            "darknet_flatten",
            None,
            {"without": ["Shape"]},
            "without Shape, which computes lengths that the shape leaves",
        ),
        ("planes_to_bayer", (1, 4, 2, 2), {"max_rank": 2}, "max_rank is 2, and the input has 4 axes"),
    ],
)
def test_one_line_says_which_limit_is_in_the_way(name, shape, limits, told):
    with pytest.raises(UnsupportedError, match=told) as raised:
        lb.emit(lb.op(name), "onnx", shape=shape, **limits)
    assert "\n" not in str(raised.value)


def test_nothing_is_written_where_no_form_is_found(tmp_path):
    with pytest.raises(UnsupportedError):
        lb.export(lb.op("nchw_to_nhwc"), "onnx", tmp_path / "a.onnx", without=["Transpose", "Einsum"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"max_rank": 0}, ParameterError, "max_rank is a number of at least 1"),
        ({"max_rank": True}, ParameterError, "max_rank is a number of at least 1"),
        ({"max_rank": 4.0}, ParameterError, "max_rank is a number of at least 1"),
        ({"without": "Gather"}, ParameterError, "without is a list of ONNX operators"),
        ({"without": ["gather"]}, UnknownNameError, "did you mean Gather or"),
        ({"without": ["Permute"]}, UnknownNameError, "ONNX has no operator 'Permute'"),
        ({"without": [None]}, UnknownNameError, "ONNX has no operator None"),
        ({"runtime": "qmn"}, UnknownNameError, "did you mean qnn?"),
        ({"runtime": 4}, UnknownNameError, "there is onnxruntime, openvino"),
        ({"runtime": "opset11", "opset": 12}, ParameterError, "must be from 11 to 11"),
    ],
)
def test_what_is_no_limit_is_refused(options, error, told):
    with pytest.raises(error, match=re.escape(told)):
        lb.emit(lb.op("focus"), "onnx", **options)


def test_limits_are_values():
    assert read_limits(4, ["Gather", "Concat"]) == Limits(4, frozenset({"Concat", "Gather"}))
    assert not read_limits() and read_limits(without=["Gather"])
    assert Limits(max_rank=5) | Limits(max_rank=4) == Limits(max_rank=4) == UNLIMITED | Limits(max_rank=4)
    focus = lb.op("focus")
    told = lb.emit(focus, "onnx", limits=Limits(without=frozenset({"Gather"})), max_rank=4)
    assert told == lb.emit(focus, "onnx", without=["Gather"], max_rank=4)


# ---------------------------------------------------------------------- dtypes, opsets, lengths that do not fit


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("opset", [11, 12, 13, 17, 18, 21, 26])
def test_every_opset(opset):
    for name, shape, limits in (
        ("darknet_reorg", (2, 8, 4, 6), {"without": BLOCKS, "max_rank": 4}),
        ("pixel_shuffle", (2, 8, 2, 3), {"without": (*BLOCKS, "Transpose", "Gather", "Einsum")}),
        ("focus_bgr", (2, 3, 4, 6), {"without": ("Slice", "Gather"), "max_rank": 4}),
        ("space_to_depth", (2, 3, 4, 6), {"without": ("Reshape", *BLOCKS)}),
    ):
        case = Case(lb.op(name), shape[1:], True)
        model = lb.emit(case.operation, "onnx", shape=shape, opset=opset, **limits)
        onnx.checker.check_model(model, full_check=True)
        assert_exact(case, model, limits)


@pytest.mark.sample(3)
@pytest.mark.parametrize("dtype", ["float16", "float64", "uint8", "int8", "int32", "int64", "bool"])
def test_every_dtype(dtype):
    for limits in ({"max_rank": 4}, {"without": ["Transpose"]}, {"without": [*BLOCKS, "Gather"], "max_rank": 4}):
        case = Case(lb.op("pixel_unshuffle"), (3, 4, 6), True)
        x = (case.input() % 2).astype(numpy_dtype(dtype))
        model = lb.emit(case.operation, "onnx", shape=case.shape, dtype=dtype, **limits)
        assert_exact(case, model, limits, x)


def test_bfloat16_moves_as_other_numbers_do():
    for limits in ({"max_rank": 4}, {"without": ["Transpose"]}):
        model = lb.emit(lb.op("pixel_unshuffle"), "onnx", shape=(2, 3, 4, 6), dtype="bfloat16", **limits)
        x = Case(lb.op("pixel_unshuffle"), (3, 4, 6), True).input(numpy_dtype("bfloat16"))
        made = run_in_onnxruntime(model.SerializeToString())(x)
        assert np.array_equal(made.view(np.uint16), lb.op("pixel_unshuffle")(x).view(np.uint16))


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize(
    "limits",
    [
        {"max_rank": 4},
        {"max_rank": 4, "without": BLOCKS},
        {"without": [*BLOCKS, "Transpose", "Einsum"]},
        {"without": ["Reshape"]},
        {"without": ["Reshape", *BLOCKS]},
    ],
)
def test_lengths_that_do_not_divide_fail_in_the_model(limits):
    """Parts of unequal lengths must not be joined along the axis that they were cut from, nor views pass them by."""
    tried = 0
    for pattern in (
        lb.op("pixel_unshuffle").pattern,
        "c (h p:2) w -> c (p h) w",
        "c (h p:2) (w q:2) -> (p c) h (q w)",
        "(c p:2) h w -> (p c) h w",
        "(c p:2) h w -> (p c) w h",
        "(p:2 c) (h q:2) w -> (c p) (q h) w",
    ):
        operation = lb.Rearrangement(pattern)
        for opened in ((None, 4, None, None), None):
            try:
                model = lb.emit(operation, "onnx", shape=opened, **limits)
            except UnsupportedError:
                continue
            for shape in ((1, 4, 5, 6), (3, 4, 6, 5), (1, 5, 6, 6), (2, 3, 3, 6)):
                misfits = (
                    given is not None and given != length for given, length in zip(opened or (), shape, strict=False)
                )
                if any(misfits) or operation.domain.accepts(shape[1:]):
                    continue
                tried += 1
                with pytest.raises((Fail, InvalidArgument, RuntimeException)):
                    run(model, np.zeros(shape, np.float32))
    assert tried > 5


@pytest.mark.thorough
@settings(max_examples=40)
@given(rearrangements(), st.sampled_from([{"max_rank": 4}, {"max_rank": 3}, {"without": ["Transpose", "Einsum"]}]))
def test_drawn_patterns_of_known_lengths_have_a_form(drawn, limits):
    operation, shape = drawn
    case = Case(operation, shape, False)
    assert_exact(case, lb.emit(operation, "onnx", shape=shape, batch=False, **limits), limits)


# ---------------------------------------------------------------------- programs by name


@pytest.mark.sample(8)
@pytest.mark.parametrize("name", PROFILES)
def test_models_for_a_program_keep_its_limits(name):
    limits = PROFILES[name].limits
    for entry in ("darknet_reorg", "focus", "pixel_shuffle", "channel_shuffle", "patchify", "depth_to_space"):
        case = Case(lb.op(entry), item_for(lb.op(entry)), True)
        for shape in (case.shape, (None, *case.shape[1:])):
            model = lb.emit(case.operation, "onnx", shape=shape, runtime=name)
            assert_exact(case, model, {"max_rank": limits.max_rank or 99, "without": limits.without})
            assert model.opset_import[0].version == min(17, limits.max_opset or 17)


def test_the_programs_in_the_documentation_are_those_of_the_table():
    text = (Path(__file__).parents[3] / "docs" / "runtimes.md").read_text(encoding="utf-8")
    rows = [
        f"| `{name}` | {profile.title} | {each.told}{more} | [{each.what}]({each.where}) |"
        for name, profile in PROFILES.items()
        if not profile.title.startswith("OpenCV")
        for each, more in documented(profile)
    ] + rows_of_opencv()
    tables = text[text.index("## Limits of a target") : text.index("## OpenCV from")]
    assert [line for line in tables.splitlines() if re.match(r"\| `\w+` \|", line)] == rows


def documented(profile):
    return [*((each, "") for each in profile.documented), *((each, " (networks)") for each in profile.of_networks)]


def rows_of_opencv():
    """One a limit, with the versions that have it, and where it stands in the first of these."""
    versions, first = {}, {}
    for profile in PROFILES.values():
        if profile.title.startswith("OpenCV"):
            for each, more in documented(profile):
                key = f"{each.told}{more}"
                versions.setdefault(key, []).append(profile.title.partition(" ")[2])
                first.setdefault(key, f"[{each.what}]({each.where})")
    return [f"| `opencv` | {', '.join(found)} | {told} | {first[told]} |" for told, found in versions.items()]


def test_every_limit_of_a_program_is_documented():
    for profile in PROFILES.values():
        every = (*profile.documented, *profile.of_networks)
        assert every and all(each.where.startswith("https://") and each.what for each in every)
        read_limits(profile.limits.max_rank, sorted(profile.network_limits.without))
