"""Ports of Darknet networks in PyTorch, by other people's names: what comes back computes what the port does."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch")

from layoutbridge.comparing.comparison import compare  # noqa: E402
from layoutbridge.comparing.returning import back_to_darknet  # noqa: E402
from layoutbridge.darknet import load  # noqa: E402
from layoutbridge.darknet.returning.opening import torch_source  # noqa: E402
from layoutbridge.errors import UnusableInputError, WeightsError  # noqa: E402
from tests.darknet.returning.torch_modules import OwnConvolution, Port, by_index, nested, pairs  # noqa: E402
from tests.darknet_files import NETS  # noqa: E402

NETWORKS = (
    "alexey/residual", "pjreddie/residual", "alexey/route_groups", "alexey/connected", "alexey/depthwise_dilated",
    "pjreddie/spp",
)  # fmt: skip
PORTS = {
    "eriklindernoren": (by_index("module_list", "conv_{i}", "batch_norm_{i}"), "numbers"),
    "ultralytics": (by_index("module_list", "Conv2d", "BatchNorm2d"), "numbers"),
    "marvis": (by_index("models", "conv{k}", "bn{k}"), "numbers"),
    "Tianxiaomo": (nested({"down1": 1, "neek": 1, "head": 0}), "order"),
    "torchvision": (pairs(), "order"),
}


def loaded(name):
    return load(NETS / name / "net.cfg", flavor=name.split("/", maxsplit=1)[0])


def refuse_difference(back, port):
    found = compare(back, port)
    assert found.equal, str(found)


@pytest.mark.sample(12, slow=10)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("port", PORTS)
def test_state_dicts_of_known_ports(name, port, tmp_path):
    naming, how = PORTS[port]
    net = loaded(name)
    model = Port(net, naming, eps=1e-4 if port == "ultralytics" else 1e-5)
    torch.save(model.state_dict(), tmp_path / "port.pth")
    back = net.from_torch(tmp_path / "port.pth")
    assert back.returned.how == how
    refuse_difference(back, model)


@pytest.mark.parametrize("port", PORTS)
def test_safetensors_keep_no_order_and_names_are_enough(port, tmp_path):
    files = pytest.importorskip("safetensors.torch", reason="needs safetensors")
    naming, _ = PORTS[port]
    net = loaded("alexey/residual")
    model = Port(net, naming)
    files.save_file(model.state_dict(), tmp_path / "port.safetensors")
    refuse_difference(net.from_torch(tmp_path / "port.safetensors", epsilon=1e-5), model)


def test_layers_under_one_name_are_moved_together(tmp_path):
    """`head` sorts before `neek` and stands behind it."""
    net = loaded("alexey/residual")
    model = Port(net, nested({"down1": 1, "neek": 2, "head": 0}, order=("down1", "head", "neek")))
    back = net.from_torch(model.state_dict())
    assert any("first words" in note for note in back.returned.notes)
    refuse_difference(back, model)


def test_modules_are_run_to_see_their_order():
    net = loaded("alexey/route_groups")
    model = Port(net, pairs(reverse=True))
    back = net.from_torch(model)
    assert any("compute" in note for note in back.returned.notes)
    refuse_difference(back, model)
    assert not model.training


def test_modules_that_cannot_run_are_taken_by_definition():
    net = loaded("alexey/residual")
    model = Port(net, pairs())
    model.forward = None  # no function
    back = net.from_torch(model)
    assert any("order of definition" in note and "TypeError" in note for note in back.returned.notes)
    del model.forward
    refuse_difference(back, model)


def test_wrapped_names_and_half_precision():
    net = loaded("pjreddie/residual")
    model = Port(net, pairs()).half().float()
    state = {f"module.{name}": values.half() for name, values in model.state_dict().items()}
    back = net.from_torch({"model": state, "epoch": 12})
    refuse_difference(back, model)


def test_other_epsilons_come_out_the_same():
    for name in ("alexey/residual", "pjreddie/residual"):
        net = loaded(name)
        for eps in (1e-12, 1e-7, 1e-3, 0.1):
            model = Port(net, pairs(), eps=eps)
            with torch.no_grad():
                model.bn1.running_var[:3] = torch.tensor([0.0, 1e-9, 5e-6])  # where no variance may be small enough
            refuse_difference(net.from_torch(model), model)


def test_a_batch_norm_that_the_cfg_lacks_is_folded():
    net = loaded("alexey/residual")
    model = Port(net, pairs())
    text = (NETS / "alexey/residual/net.cfg").read_text().replace("batch_normalize=1", "batch_normalize=0")
    from layoutbridge.darknet.networks.network import DarknetNetwork
    from tests.darknet_files import built

    back = DarknetNetwork(built(text)).from_torch(model)
    assert {row.parameter for row in back.returned.rows} == {"biases", "weights"}
    refuse_difference(back, model)


# ---------------------------------------------------------------------- what does not fit


def test_faults_are_told_with_their_layers(tmp_path):
    net = loaded("alexey/residual")
    state = Port(net, pairs()).state_dict()
    less = {name: values for name, values in state.items() if not name.startswith(("conv2", "bn2"))}
    with pytest.raises(WeightsError, match=r"3 layers with weights, and net.cfg 4: nothing .* 1_conv.* 4×8×1×1"):
        net.from_torch(less)
    with pytest.raises(WeightsError, match=r"too many are extra"):
        net.from_torch(state | {"extra.weight": torch.zeros(5, 5, 3, 3)})
    with pytest.raises(WeightsError, match=r"line \d+: no layer of the model fits 1_convolutional, which .* 4×8×1×1"):
        net.from_torch(state | {"conv2.weight": torch.zeros(4, 7, 1, 1)})
    with pytest.raises(WeightsError, match=r"weights of layer 1_convolutional hold NaN"):
        net.from_torch(state | {"conv2.weight": torch.full((4, 8, 1, 1), torch.nan)})
    with pytest.raises(WeightsError, match=r"variances of layer 0_convolutional hold"):
        net.from_torch(state | {"bn1.running_var": -torch.ones(8)})
    with pytest.raises(UnusableInputError, match="no state dict"):
        net.from_torch({"epoch": 3})


def test_files_with_code_are_refused_and_others_told(tmp_path):
    net = loaded("alexey/residual")
    model = Port(net, pairs())
    torch.save(torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3)), tmp_path / "module.pth")
    with pytest.raises(UnusableInputError, match=r"pickled code.*state_dict\(\)"):
        net.from_torch(tmp_path / "module.pth")
    torch.save(model.state_dict(), tmp_path / "port.pth")
    whole = (tmp_path / "port.pth").read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 5):
        (tmp_path / "cut.pth").write_bytes(whole[:cut])
        with pytest.raises(UnusableInputError, match=r"cut.pth"):
            net.from_torch(tmp_path / "cut.pth")
    (tmp_path / "cut.safetensors").write_bytes(whole[:100])
    with pytest.raises(UnusableInputError, match=r"no whole safetensors file"):
        net.from_torch(tmp_path / "cut.safetensors")
    with pytest.raises(UnusableInputError, match=r"is no state dict by its ending"):
        net.from_torch(tmp_path / "port.npz")


def test_what_belongs_to_no_layer_is_told():
    net = loaded("alexey/residual")
    state = Port(net, pairs()).state_dict() | {"anchor_grid": torch.ones(3, 2)}
    back = net.from_torch(state)
    assert any("anchor_grid" in note for note in back.returned.notes)
    assert np.isfinite(back.run(np.zeros((1, *net.network.in_shape), np.float32))).all()


def test_wrapped_modules_leave_nothing_out():
    net = loaded("alexey/residual")
    model = Port(net, pairs())
    for wrapped in (torch.nn.DataParallel(model), torch.compile(model, backend="eager")):
        back = net.from_torch(wrapped)
        assert not any("left out" in note for note in back.returned.notes), back.returned.notes
        refuse_difference(back, model)


def test_parametrized_weights_are_taken_as_they_come_out():
    net = loaded("alexey/residual")
    model = Port(net, pairs())
    torch.nn.utils.parametrizations.weight_norm(model.conv1)
    with torch.no_grad():
        model.conv1.parametrizations.weight.original0.mul_(1.5)
    back = net.from_torch(model)
    assert not any("left out" in note for note in back.returned.notes), back.returned.notes
    refuse_difference(back, model)


def test_layers_of_other_classes_are_taken_by_their_state_dict():
    net = loaded("alexey/residual")
    model = Port(net, pairs(), eps=1e-3)
    x = torch.zeros(1, *net.network.in_shape)
    traced = torch.jit.trace(model, x)
    program = torch.export.export(model, (x,)).module()
    for module in (traced, program):
        refuse_difference(net.with_weights_of(torch_source(net.network, module, epsilon=1e-3)), model)
    for index, parts in model.of.items():
        model.of[index] = (OwnConvolution(parts[0]), *parts[1:])
        setattr(model, f"conv{list(model.of).index(index) + 1}", model.of[index][0])
    back = net.from_torch(model)  # its batch norms tell their epsilon
    assert not any("taken to be" in note for note in back.returned.notes), back.returned.notes
    refuse_difference(back, model)


def test_scripts_are_not_proven_and_say_why():
    net = loaded("alexey/residual")
    model = Port(net, pairs())
    brought = back_to_darknet(net, torch.jit.trace(model, torch.zeros(1, *net.network.in_shape)))
    assert brought.proven is None
    assert any("give the module it was made of" in note for note in brought.notes), brought.notes
    refuse_difference(brought.network, model)
