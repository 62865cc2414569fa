"""PyTorch: the emitted module against the tables and einops, under every transformation that users put it through."""

import copy
import io
import itertools
import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import einops
import numpy as np
import pytest

from tests.pictures import pictures

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch.nn import functional  # noqa: E402

from layoutbridge.algebra.rearrangement import Rearrangement  # noqa: E402
from layoutbridge.errors import (  # noqa: E402
    LayoutBridgeError,
    MissingFrameworkError,
    ParameterError,
    ShapeError,
)
from layoutbridge.frameworks import base, emit, export  # noqa: E402
from layoutbridge.frameworks.table import framework as framework_named  # noqa: E402
from layoutbridge.frameworks.torch import emission as backend  # noqa: E402
from layoutbridge.operations.catalog import catalog, op  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
DTYPES = ("float32", "float16", "bfloat16", "float64", "uint8", "int8", "int16", "int32", "int64", "bool", "complex64")


def at_stride(name, stride):
    return catalog()[name].build_at(stride)


def fitting_shape(stride, batch=2):
    """A shape that every entry takes at this stride, with four different lengths."""
    channels = 2 * stride**4 if stride > 1 else 3
    return (batch, channels, 2 * stride, 3 * stride)


def numbered(shape, dtype=torch.float32):
    count = int(np.prod(shape))
    return torch.arange(count, dtype=torch.int64).to(dtype).reshape(shape)


def by_table(rearrangement, x):
    """The oracle: PyTorch's own indexing with the gather table."""
    table = torch.from_numpy(rearrangement.table(tuple(x.shape)).reshape(-1))
    return x.contiguous().reshape(-1)[table].reshape(rearrangement.out_shape(tuple(x.shape)))


def layouts(x):
    """The same values behind different strides."""
    wide = torch.zeros(*x.shape[:-1], 2 * x.shape[-1], dtype=x.dtype)
    wide[..., ::2] = x
    made = {
        "contiguous": x,
        "every second": wide[..., ::2],
        "reversed axes": x.permute(*reversed(range(x.dim()))).contiguous().permute(*reversed(range(x.dim()))),
    }
    if x.dim() == 4:
        made["channels last"] = x.contiguous(memory_format=torch.channels_last)
    made["broadcast"] = x[:1].expand(x.shape)
    return made


ENTRIES = pytest.mark.parametrize("name", [*pictures()])
# Tracers take a second each: by default one entry of every kind (crossing axes, or cutting them; in and out of blocks).
KINDS = ("darknet_reorg", "darknet_reorg3d_reverse", "focus", "pixel_shuffle", "darknet_flatten")
CHAINS = {
    "two without common digits": lambda: op("channel_shuffle", groups=2).then(op("channel_shuffle", groups=3)),
    "flatten twice": lambda: op("darknet_flatten").then(op("darknet_flatten")),
    "reorg and flatten": lambda: op("darknet_reorg").then(op("darknet_flatten")),
}


# ---------------------------------------------------------------------- values


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@ENTRIES
def test_every_entry_moves_what_its_table_says(name, stride):
    rearrangement = at_stride(name, stride)
    module = emit(rearrangement, "torch")
    x = numbered(fitting_shape(stride))
    for layout, laid in layouts(x).items():
        made = module(laid)
        assert torch.equal(made, by_table(rearrangement, laid)), layout
        assert made.is_contiguous(), layout
        assert torch.equal(module(laid[0]), made[0]), layout


@pytest.mark.parametrize("chain", CHAINS)
def test_chains_of_steps_move_what_their_tables_say(chain):
    rearrangement = CHAINS[chain]()
    x = numbered((2, 24, 4, 6))
    for laid in layouts(x).values():
        assert torch.equal(emit(rearrangement, "torch")(laid), by_table(rearrangement, laid))


def test_all_but_one_chain_has_several_steps():
    assert sum(len(make().steps) > 1 for make in CHAINS.values()) >= 2


@pytest.mark.parametrize("stride", [2, 3])
def test_einops_reads_the_patterns_alike(stride):
    x = numbered(fitting_shape(stride))
    patterns = {
        "space_to_depth": "n c (h p) (w q) -> n (p q c) h w",
        "focus": "n c (h p) (w q) -> n (q p c) h w",
        "depth_to_space": "n (p q c) h w -> n c (h p) (w q)",
        "pixel_shuffle": "n (c p q) h w -> n c (h p) (w q)",
    }
    for name, pattern in patterns.items():
        assert torch.equal(emit(at_stride(name, stride), "torch")(x), einops.rearrange(x, pattern, p=stride, q=stride))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_pytorchs_own_operations_give_the_same(stride):
    x = numbered(fitting_shape(stride))
    for name in ("pixel_unshuffle", "pixel_shuffle", "channel_shuffle"):
        assert torch.equal(emit(at_stride(name, stride), "torch")(x), getattr(functional, name)(x, stride))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_keeps_its_bits(dtype):
    kind = getattr(torch, dtype)
    bits = torch.randint(0, 256, (2, 16, 4, 6 * kind.itemsize), dtype=torch.uint8)
    bits = bits % 2 if dtype == "bool" else bits
    x = bits.view(kind)  # not-a-numbers, infinities and denormals among them
    for name in ("darknet_reorg", "depth_to_space", "nchw_to_nhwc", "channel_shuffle"):
        made, expected = emit(op(name), "torch")(x), by_table(op(name), x)
        assert made.dtype is kind
        assert torch.equal(made.view(torch.uint8), expected.view(torch.uint8))


def test_the_result_is_a_new_tensor_even_where_nothing_moves():
    x = numbered((1, 1, 4, 4))
    for rearrangement in (op("darknet_reorg", stride=1), op("nchw_to_nhwc"), op("channel_shuffle", groups=1)):
        made = emit(rearrangement, "torch")(x)
        made.zero_()
        assert x.count_nonzero() == 15


def test_meta_and_fake_tensors_and_vmap():
    module = emit(op("darknet_reorg"), "torch")
    assert module(torch.empty(1, 64, 26, 26, device="meta")).shape == (1, 256, 13, 13)
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        assert module(torch.empty(3, 64, 26, 26)).shape == (3, 256, 13, 13)
    x = numbered((3, 2, 8, 4, 4))
    assert torch.equal(torch.vmap(module)(x), torch.stack([module(part) for part in x]))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_cuda_gives_the_same():
    x = numbered(fitting_shape(2))
    for name in pictures():
        assert torch.equal(emit(op(name), "torch")(x.cuda()).cpu(), by_table(op(name), x))


# ---------------------------------------------------------------------- the module


def test_module_says_what_it_is_and_has_no_state():
    module = emit(op("pixel_unshuffle", stride=3), "torch")
    assert repr(module) == "Rearrange(pixel_unshuffle, stride=3, 'c (h p:s) (w q:s) -> (c p q) h w, s=3')"
    assert repr(emit(Rearrangement("c h w -> c w h"), "torch")) == "Rearrange('c h w -> c w h')"
    assert not module.state_dict()
    assert not [*module.parameters(), *module.buffers()]


def test_module_can_be_copied_and_pickled_and_saved():
    x = numbered((2, 16, 4, 6))
    module = emit(op("darknet_reorg"), "torch")
    expected = module(x)
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), loaded):
        assert torch.equal(other(x), expected)
        assert repr(other) == repr(module)


@pytest.mark.parametrize(
    "shape", [(1, 65, 26, 26), (1, 64, 25, 26), (64, 26, 27), (26, 26), (2, 1, 4, 4, 4), (0, 4, 2, 2)]
)
def test_unfit_shapes_are_refused_as_the_rearrangement_refuses_them(shape):
    rearrangement = op("darknet_reorg")
    with pytest.raises(ShapeError) as expected:
        rearrangement.out_shape(shape)
    with pytest.raises(ShapeError) as raised:
        emit(rearrangement, "torch")(torch.zeros(shape))
    assert str(raised.value) == str(expected.value)


def test_a_refusal_does_not_stay_behind():
    module = emit(op("space_to_depth"), "torch")
    for _ in range(2):
        with pytest.raises(ShapeError):
            module(torch.zeros(1, 3, 5, 4))
    assert module(torch.zeros(1, 3, 4, 4)).shape == (1, 12, 2, 2)


def test_many_shapes_do_not_pile_up():
    module = emit(op("space_to_depth"), "torch")
    for width in range(2, 1202, 2):
        module(torch.empty(1, 1, 2, width, device="meta"))
    assert len(module._known) <= 256


# ---------------------------------------------------------------------- gradients


@pytest.mark.parametrize("stride", [1, 2, 3])
@ENTRIES
def test_gradient_is_the_inverse_bit_for_bit(name, stride):
    rearrangement = at_stride(name, stride)
    module, inverse = emit(rearrangement, "torch"), rearrangement.inverse()
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        x = torch.randn(fitting_shape(stride)).to(dtype).requires_grad_()
        upstream = torch.randn(rearrangement.out_shape(tuple(x.shape))).to(dtype)
        (gradient,) = torch.autograd.grad(module(x), x, upstream)
        assert torch.equal(gradient, by_table(inverse, upstream))
        assert torch.equal(gradient, emit(inverse, "torch")(upstream))


@pytest.mark.parametrize("name", ["darknet_reorg", "depth_to_space", "nchw_to_nhwc", "channel_shuffle"])
def test_gradients_of_first_and_second_order(name):
    module = emit(op(name), "torch")
    x = torch.randn(1, 4, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(module, x)
    assert torch.autograd.gradgradcheck(module, x)
    last = x.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    assert torch.autograd.gradcheck(module, last)


@pytest.mark.parametrize("name", ["darknet_reorg", "depth_to_space"])
def test_double_backward_is_the_rearrangement_again(name):
    module = emit(op(name), "torch")
    x = torch.randn(2, 8, 4, 4, requires_grad=True)
    upstream = torch.randn(module(x).shape, requires_grad=True)
    (gradient,) = torch.autograd.grad(module(x), x, upstream, create_graph=True)
    direction = torch.randn(x.shape)
    (second,) = torch.autograd.grad(gradient, upstream, direction)
    assert torch.equal(second, module(direction))
    cubed = module(x**3)
    (first,) = torch.autograd.grad(cubed.sum(), x, create_graph=True)
    (again,) = torch.autograd.grad(first.sum(), x)
    assert torch.allclose(again, 6 * x)


# ---------------------------------------------------------------------- compilers and tracers


@pytest.mark.sample(slow=4)
@ENTRIES
def test_torch_compile_takes_it_whole_and_keeps_lengths_open(name):
    torch._dynamo.reset()
    rearrangement = op(name)
    compiled = torch.compile(emit(rearrangement, "torch"), backend="aot_eager", fullgraph=True, dynamic=True)
    torch._dynamo.utils.counters.clear()
    for shape in ((2, 32, 12, 20), (3, 48, 8, 16), (4, 16, 28, 24)):
        x = numbered(shape)
        assert torch.equal(compiled(x), by_table(rearrangement, x))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
    x = numbered((2, 32, 12, 20)).contiguous(memory_format=torch.channels_last)
    assert torch.equal(compiled(x), by_table(rearrangement, x))


@pytest.mark.slow
def test_compiled_modules_refuse_like_the_others():
    torch._dynamo.reset()
    module = emit(op("darknet_reorg"), "torch")
    for shape in ((1, 65, 26, 26), (64, 26, 27), (26, 26)):
        with pytest.raises(ShapeError) as expected:
            module(torch.zeros(shape))
        with pytest.raises(ShapeError) as raised:
            torch.compile(module, backend="aot_eager")(torch.zeros(shape))
        assert str(raised.value) == str(expected.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["darknet_reorg", "depth_to_space"])
def test_inductor_compiles_it_with_its_gradient(name):
    torch._dynamo.reset()
    rearrangement = op(name)
    module = emit(rearrangement, "torch")
    first = torch.nn.Conv2d(3, 16, 1)
    net = torch.compile(torch.nn.Sequential(first, module, torch.nn.ReLU()), fullgraph=True)
    x = torch.randn(2, 3, 8, 12, requires_grad=True)
    made = net(x)
    (gradient,) = torch.autograd.grad(made.square().sum(), x)
    plain = torch.relu(by_table(rearrangement, first(x)))
    (expected,) = torch.autograd.grad(plain.square().sum(), x)
    torch.testing.assert_close(made, plain)
    torch.testing.assert_close(gradient, expected)


def dynamic_shape(rearrangement, axes=(0, 2, 3)):
    made = {}
    for axis in axes:
        divisor = rearrangement.domain.divisor(axis - 1) if axis else 1
        made[axis] = torch.export.Dim(f"axis{axis}") if divisor == 1 else divisor * torch.export.Dim(f"axis{axis}")
    return made


@pytest.mark.sample(slow=7, first=KINDS[:2])
@ENTRIES
def test_torch_export_keeps_batch_height_and_width_open(name):
    rearrangement = op(name)
    module = emit(rearrangement, "torch")
    x = numbered((2, 32, 8, 12))
    program = torch.export.export(module, (x,), dynamic_shapes=(dynamic_shape(rearrangement),))
    for shape in ((2, 32, 8, 12), (3, 32, 4, 20), (7, 32, 6, 4), (1, 32, 12, 8)):
        x = numbered(shape)
        for laid in (x, x.contiguous(memory_format=torch.channels_last)):
            assert torch.equal(program.module()(laid), by_table(rearrangement, laid)), shape


def test_torch_export_of_a_chain_keeps_the_batch_open():
    rearrangement = CHAINS["two without common digits"]()
    batch = {0: torch.export.Dim("N")}
    program = torch.export.export(emit(rearrangement, "torch"), (numbered((2, 24, 4, 6)),), dynamic_shapes=(batch,))
    assert torch.equal(program.module()(numbered((5, 24, 4, 6))), by_table(rearrangement, numbered((5, 24, 4, 6))))


@pytest.mark.parametrize("name", ["darknet_reorg", "depth_to_space"])
def test_torch_export_in_strict_mode(name):
    x = numbered((2, 32, 8, 12))
    program = torch.export.export(emit(op(name), "torch"), (x,), strict=True)
    assert torch.equal(program.module()(x), by_table(op(name), x))


def test_torch_export_refuses_what_the_rearrangement_refuses():
    complaint = r"does not take shape \(1, 8, 2, 2\): C = 8 is not a multiple of 16"
    with pytest.raises(ShapeError, match=complaint):
        torch.export.export(emit(op("darknet_reorg3d_reverse"), "torch"), (torch.zeros(1, 8, 2, 2),))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["darknet_reorg", "depth_to_space", "nchw_to_nhwc"])
def test_jit_trace_takes_other_shapes_afterwards(name):
    module = emit(op(name), "torch")
    x = numbered((2, 16, 4, 6))
    module(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error", torch.jit.TracerWarning)
        traced = torch.jit.trace(module, x)
    for shape in ((2, 16, 4, 6), (3, 32, 8, 2)):
        assert torch.equal(traced(numbered(shape)), by_table(op(name), numbered(shape)))


@pytest.mark.slow
def test_symbolic_tracing_keeps_lengths_open():
    from torch.fx.experimental.proxy_tensor import make_fx

    rearrangement = op("darknet_reorg")
    traced = make_fx(emit(rearrangement, "torch"), tracing_mode="symbolic")(numbered((2, 16, 4, 6)))
    x = numbered((3, 32, 8, 10))
    assert torch.equal(traced(x), by_table(rearrangement, x))


# ---------------------------------------------------------------------- ONNX


def onnx_model(module, x, **options):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    if options.get("dynamo"):
        pytest.importorskip("onnxscript", reason="onnxscript is not installed: torch.onnx.export needs it")
        return torch.onnx.export(module, (x,), verbose=False, **options).model_proto
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    buffer = io.BytesIO()
    torch.onnx.export(module, (x,), buffer, **options)
    return onnx.load_from_string(buffer.getvalue())


def run_onnx(model, x):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]


NODES = {
    "darknet_reorg": ["Reshape", "Transpose", "Reshape"],
    "darknet_reorg3d_reverse": ["Reshape", "DepthToSpace", "Reshape"],
    "pixel_shuffle": ["Reshape", "DepthToSpace", "Reshape"],
    "nchw_to_nhwc": ["Transpose"],
}


@pytest.mark.sample(slow=1)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NODES)
def test_onnx_export(name):
    rearrangement = op(name)
    module = emit(rearrangement, "torch")
    x = numbered((2, 32, 4, 6))
    model = onnx_model(module, x, dynamo=True)
    assert [node.op_type for node in model.graph.node] == NODES[name]
    assert (run_onnx(model, x) == by_table(rearrangement, x).numpy()).all()


@pytest.mark.sample(slow=1)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["darknet_reorg", "depth_to_space", "darknet_flatten"])
def test_onnx_export_with_open_lengths(name):
    rearrangement = op(name)
    options = {"dynamo": True, "dynamic_shapes": (dynamic_shape(rearrangement),)}
    model = onnx_model(emit(rearrangement, "torch"), numbered((2, 32, 4, 6)), **options)
    for shape in ((2, 32, 4, 6), (1, 32, 2, 8), (5, 32, 10, 2)):
        x = numbered(shape)
        assert (run_onnx(model, x) == by_table(rearrangement, x).numpy()).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_onnx_export_of_integers_runs_where_depth_to_space_does_not():
    x = numbered((1, 16, 2, 4), torch.int32)
    model = onnx_model(emit(op("depth_to_space"), "torch"), x, dynamo=True)
    assert (run_onnx(model, x) == by_table(op("depth_to_space"), x).numpy()).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["darknet_reorg", "depth_to_space", "channel_shuffle"])
def test_the_older_onnx_exporter(name):
    rearrangement = op(name)
    axes = {"x": {0: "N", 2: "H", 3: "W"}}
    model = onnx_model(
        emit(rearrangement, "torch"), numbered((2, 32, 4, 6)), dynamo=False, input_names=["x"], dynamic_axes=axes
    )
    for shape in ((2, 32, 4, 6), (1, 32, 2, 8)):
        x = numbered(shape)
        assert (run_onnx(model, x) == by_table(rearrangement, x).numpy()).all()


# ---------------------------------------------------------------------- files


LOAD_AND_RUN = """
import sys
import numpy as np, torch
for number, path in enumerate(sys.argv[2:]):
    module = torch.export.load(path).module()
    for key, x in np.load(sys.argv[1]).items():
        np.save(f"{path}.{key}.npy", module(torch.from_numpy(x)).numpy())
assert "layoutbridge" not in sys.modules
"""


@pytest.mark.slow
def test_saved_programs_run_in_a_process_without_layoutbridge(tmp_path):
    names = ("darknet_reorg", "depth_to_space", "channel_shuffle")
    inputs = {"first": numbered((2, 16, 4, 6)).numpy(), "second": numbered((1, 16, 2, 10)).numpy()}
    np.savez(tmp_path / "inputs.npz", **inputs)
    for name in names:
        export(op(name), "torch", tmp_path / f"{name}.pt2", shape=(None, 16, None, None))
    paths = [str(tmp_path / f"{name}.pt2") for name in names]
    command = [sys.executable, "-c", LOAD_AND_RUN, str(tmp_path / "inputs.npz"), *paths]
    subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"})
    for name, (key, x) in itertools.product(names, inputs.items()):
        made = np.load(tmp_path / f"{name}.pt2.{key}.npy")
        assert np.array_equal(made, op(name)(x))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int64", "bool"])
def test_saved_program_of_another_dtype_and_one_shape(tmp_path, dtype):
    path = tmp_path / "program.pt2"
    backend.save(op("space_to_depth", stride=3), path, shape=(3, 6, 9), dtype=dtype)
    x = numbered((3, 6, 9), getattr(torch, dtype))
    module = torch.export.load(path).module()
    assert torch.equal(module(x), by_table(op("space_to_depth", stride=3), x))
    with pytest.raises(AssertionError):
        module(numbered((3, 9, 9), getattr(torch, dtype)))


@pytest.mark.sample(1, slow=2)
@pytest.mark.parametrize("name", ["darknet_reorg", "darknet_reorg3d_reverse", "darknet_flatten", "focus"])
def test_open_lengths_of_a_saved_program_start_at_the_least_there_is(tmp_path, name):
    rearrangement = op(name)
    path = tmp_path / "program.pt2"
    backend.save(rearrangement, path, shape=(None, None, None, None))
    module = torch.export.load(path).module()
    least = [1, *(rearrangement.domain.divisor(axis) for axis in range(3))]
    for factors in itertools.product((1, 3), repeat=4):
        x = numbered([length * factor for length, factor in zip(least, factors, strict=True)])
        assert torch.equal(module(x), by_table(rearrangement, x))


def test_saving_refuses_what_it_cannot_do_and_leaves_nothing(tmp_path):
    path = tmp_path / "program.pt2"
    calls = {
        "needs a shape": (ParameterError, {}),
        "has 5": (ShapeError, {"shape": (None, None, 16, 4, 6)}),
        "must be at least 1": (ShapeError, {"shape": (None, 16, 0, 6)}),
        "no dtype 'float33'": (ParameterError, {"shape": (1, 16, 4, 6), "dtype": "float33"}),
        "not a multiple of 4": (ShapeError, {"shape": (1, 15, 4, 6)}),
    }
    for message, (error, options) in calls.items():
        with pytest.raises(error, match=message):
            backend.save(op("darknet_reorg"), path, **options)
    with pytest.raises(LayoutBridgeError):
        backend.save(op("darknet_reorg"), tmp_path / "nowhere" / "program.pt2", shape=(1, 16, 4, 6))
    assert not [*tmp_path.iterdir()]


# ---------------------------------------------------------------------- what verification uses


def all_runnables(stride=2):
    return {(r.op, r.emitted): r for r in backend.runnables(stride, [at_stride(name, stride) for name in pictures()])}


def test_runnables_are_the_native_operations_and_every_entry():
    made = all_runnables()
    assert {op for op, emitted in made if not emitted} == {"pixel_unshuffle", "pixel_shuffle", "channel_shuffle"}
    assert {r.entry for r in made.values() if r.emitted} == set(pictures())
    assert {r.version for r in made.values()} == {f"torch {torch.__version__}"}


@pytest.mark.parametrize("stride", [2, 3])
def test_runnables_run_and_differentiate_numpy_arrays(stride):
    for runnable in all_runnables(stride).values():
        rearrangement = at_stride(runnable.entry, stride)
        for dtype in base.DTYPE_NAMES:
            x = np.random.default_rng(0).integers(0, 2, fitting_shape(stride)).astype(base.numpy_dtype(dtype))
            x.flags.writeable = False
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                made = runnable.run(x)
            assert made.dtype == x.dtype
            assert np.array_equal(made, rearrangement(x))
            if dtype in runnable.differentiable_dtypes:
                gradient = runnable.gradient(x, made)
                assert gradient.dtype == x.dtype
                assert np.array_equal(gradient, x)


def test_arrays_are_shared_with_pytorch_where_it_can():
    bfloat16 = base.numpy_dtype("bfloat16")
    for x in (np.ones((2, 3), np.float32), np.ones((2, 3), bfloat16), np.ones((4, 6), bfloat16)[::2, ::2]):
        tensor = backend.to_tensor(x)
        assert tensor.shape == x.shape
        assert tensor.data_ptr() == x.ctypes.data
        back = backend.to_numpy(tensor)
        assert back.ctypes.data == x.ctypes.data
        assert back.dtype == x.dtype
    assert backend.to_tensor(np.arange(4)[::-1]).tolist() == [3, 2, 1, 0]


def test_without_pytorch_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # as Python marks what cannot be imported
    for call in (lambda: backend.emit(op("focus")), lambda: backend.save(op("focus"), "x.pt2", shape=(1, 3, 4, 4))):
        with pytest.raises(MissingFrameworkError, match=r"pip install .*\[torch\]'"):
            call()


def test_importing_the_module_does_not_import_pytorch():
    code = (
        "import sys, layoutbridge.frameworks.torch.emission as t; "
        "assert 'torch' not in sys.modules; print(t.installed())"
    )
    made = subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True)
    assert made.stdout.strip() == framework_named("pytorch").installed() == torch.__version__


def test_an_open_length_that_the_pattern_fixes_is_that_one(tmp_path):
    operation = Rearrangement("(a:3) (h p) -> h p a, p=2")
    backend.save(operation, tmp_path / "fixed.pt2", shape=(None, None, None))
    program = torch.export.load(tmp_path / "fixed.pt2").module()
    x = torch.arange(5 * 3 * 8).view(5, 3, 8)
    assert np.array_equal(program(x).numpy(), operation(x.numpy()))
