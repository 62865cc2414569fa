"""Modules for inference: the same outputs, and what they refuse."""

import copy
import io
import pickle

import numpy as np
import pytest

from layoutbridge.darknet import Detector, load
from layoutbridge.errors import ParameterError, ShapeError, WeightsError
from tests.darknet_files import GOLDEN, MORE, MORE_NETS, NETS, RECURRENT, SEQUENCES, made, read

torch = pytest.importorskip("torch")

from layoutbridge.frameworks.torch.packing import PackedConvolution  # noqa: E402

TOLERANCE = 1e-5  # of a layer's largest value
needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")


def near(found, wanted, tolerance=TOLERANCE):
    assert found.shape == wanted.shape
    return np.abs(found - wanted).max() <= tolerance * np.abs(wanted).max()


def network():
    return read("alexey/passthrough")


@pytest.mark.parametrize("name", GOLDEN)
def test_every_layer_is_darknets(name):
    net, x, recorded = read(name)
    module = net.to_torch(for_inference=True)
    for batch in (1, 3):
        outputs = module(torch.from_numpy(np.stack([x] * batch)), every_layer=True)
        for layer, output, wanted in zip(net.layers, outputs, recorded, strict=True):
            assert not output.requires_grad
            for picture in output.numpy():
                assert near(picture, wanted), layer.name


@pytest.mark.parametrize("name", SEQUENCES)
def test_sequences_are_those_of_the_module_for_training(name):
    folder = RECURRENT / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0])
    x = torch.rand(3, 2, *net.network.in_shape, generator=torch.Generator().manual_seed(0))
    wanted, found = net.to_torch(steps=3), net.to_torch(steps=3, for_inference=True)
    assert near(found(x).numpy(), wanted(x).detach().numpy(), 1e-4)
    module, states = net.to_torch(for_inference=True), None
    for step in x:
        output, states = module.step(step, states)
    assert near(output.numpy(), wanted(x)[-1].detach().numpy(), 1e-4)


@pytest.mark.parametrize("name", MORE_NETS)
def test_networks_of_more_sections(name):
    folder = MORE / name
    net = load(folder / "net.cfg", folder / "net.weights", flavor=name.split("/")[0])
    x = torch.rand(2, *net.network.in_shape, generator=torch.Generator().manual_seed(0))
    assert near(net.to_torch(for_inference=True)(x).numpy(), net.to_torch()(x).detach().numpy(), 1e-4)


@needs_onednn
def test_weights_are_packed_with_the_activation():
    net, x, _ = network()
    module = net.to_torch(for_inference=True)
    convolutions = [each for each in module.modules() if isinstance(each, PackedConvolution)]
    assert len(convolutions) == sum(layer.kind == "convolutional" for layer in net.network.layers)
    assert all(each.weights is None for each in convolutions)
    output = convolutions[0](torch.from_numpy(x)[None])
    wanted = net.to_torch()(torch.from_numpy(x)[None], every_layer=True)[0].detach()
    assert near(output.numpy(), wanted.numpy())
    assert output.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("activation", ["leaky", "relu", "swish", "mish", "logistic", "linear", "lhtan"])
def test_activations_apply_once(activation, tmp_path):
    """Also where a layer reads what was before: shortcut and route follow the same convolution."""
    conv = f"[convolutional]\nfilters=6\nsize=3\npad=1\nactivation={activation}\nbatch_normalize=1\n"
    net = made(
        f"[net]\nwidth=9\nheight=7\nchannels=6\n{conv}{conv}[shortcut]\nfrom=-2\n[route]\nlayers=-1,-3\n", tmp_path
    )
    x = torch.rand(2, 6, 7, 9, generator=torch.Generator().manual_seed(0))
    for found, wanted in zip(
        net.to_torch(for_inference=True)(x, every_layer=True), net.to_torch()(x, every_layer=True), strict=True
    ):
        assert near(found.numpy(), wanted.detach().numpy())


def test_heads_are_those_of_the_module_for_training():
    net, x, _ = read("alexey/yolo_head")
    given = torch.from_numpy(x)[None]
    for head in ("darknet", "raw", "boxes", "yolov5", "yolov8"):
        found, wanted = net.to_torch(head, for_inference=True)(given), net.to_torch(head)(given)
        pairs = [(found, wanted)] if isinstance(found, torch.Tensor) else zip(found, wanted, strict=True)
        assert all(near(one.numpy(), other.detach().numpy()) for one, other in pairs)


def test_copies_types_and_files():
    net, x, _ = network()
    module, given = net.to_torch(for_inference=True), torch.from_numpy(x)[None]
    wanted = module(given)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), torch.load(file, weights_only=False)):
        assert torch.equal(other(given), wanted)
    double = copy.deepcopy(module).double()
    assert double(given.double()).dtype == torch.float64
    assert near(double(given.double()).float().numpy(), wanted.numpy())
    assert torch.equal(double.float()(given), wanted)
    low = copy.deepcopy(module).bfloat16()(given.bfloat16())
    assert low.dtype == torch.bfloat16
    assert near(low.float().numpy(), wanted.numpy(), 0.05)
    assert module.to("meta")(given.to("meta")).shape == wanted.shape


@needs_onednn
def test_a_move_that_fails_leaves_the_weights_packed():
    def refuse(_):
        raise RuntimeError("there is no such device")

    net, x, _ = network()
    module, given = net.to_torch(for_inference=True), torch.from_numpy(x)[None]
    wanted = module(given)
    with pytest.raises(RuntimeError, match="no such device"):
        module._apply(refuse)
    packed = [one for one in module.modules() if isinstance(one, PackedConvolution)]
    assert packed and all(one._packed is not None and one.weights is None for one in packed)
    assert torch.equal(module(given), wanted)


@pytest.mark.slow
def test_compiled():
    net, x, _ = network()
    module, given = net.to_torch(for_inference=True), torch.from_numpy(x)[None]
    assert near(torch.compile(module)(given).numpy(), module(given).numpy())


def test_what_is_refused(tmp_path):
    net, _, _ = network()
    module = net.to_torch(for_inference=True)
    assert not module.training
    assert not module.eval().training
    assert [*module.parameters()] == [] and module.state_dict() == {}
    with pytest.raises(ParameterError, match="nothing to train"):
        module.train()
    with pytest.raises(WeightsError, match="folded weights alone"):
        net.from_torch(module)
    with pytest.raises(WeightsError, match="folded weights alone"):
        module.save_darknet(tmp_path / "net.weights")
    assert not (tmp_path / "net.weights").exists()
    with pytest.raises(ShapeError):
        module(torch.zeros(1, 2, 3, 4))


@needs_onednn
def test_export_is_refused():
    if not hasattr(torch.compiler, "is_exporting"):
        pytest.skip("this PyTorch does not tell that it exports")
    net, x, _ = network()
    with pytest.raises(Exception, match=r"export that of to_torch\(\) without"):
        torch.export.export(net.to_torch(for_inference=True), (torch.from_numpy(x)[None],), strict=False)


@needs_onednn
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_a_trace_is_refused():
    net, x, _ = network()
    with pytest.raises(Exception, match=r"export that of to_torch\(\) without"):
        torch.jit.trace(net.to_torch(for_inference=True), torch.from_numpy(x)[None])


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_dtypes_are_not_mixed(weights, given):
    net, x, _ = network()
    module, x = net.to_torch(for_inference=True).to(weights), torch.from_numpy(x)[None].to(given)
    if weights == given:
        assert module(x).dtype == given
    else:
        with pytest.raises(ParameterError, match=f"the input is {given} and the weights are {weights}: convert one"):
            module(x)


def test_autocast_is_followed():
    net, x, _ = network()
    x = torch.from_numpy(x)[None]
    module = net.to_torch(for_inference=True)
    wanted = module(x).numpy()
    with torch.autocast("cpu", torch.bfloat16):
        assert near(module(x).float().numpy(), wanted, 0.05)
        assert near(module(x.bfloat16()).float().numpy(), wanted, 0.05)


def test_detector_takes_it():
    pytest.importorskip("PIL", reason="Pillow is not installed")
    net = load(NETS / "alexey/yolo_head" / "net.cfg", NETS / "alexey/yolo_head" / "net.weights")
    picture = np.random.default_rng(9).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    found, wanted = (
        Detector(net, framework=framework).detect(picture, confidence=0.01) for framework in ("torch", "reference")
    )
    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted, strict=True):
        assert one.class_index == other.class_index
        assert one.score == pytest.approx(other.score, abs=1e-4)
