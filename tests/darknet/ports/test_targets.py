"""What every target must get right alike: cases at which one of them once went wrong."""

import numpy as np
import pytest

from layoutbridge.darknet.ports.check import check_network
from tests.darknet_files import made
from tests.targets import EVERY_FORM, EVERY_TARGET, IN_WINOGRADS_FORM

NET = "[net]\nwidth=6\nheight=4\nchannels=3\n"
CONV = "[convolutional]\nfilters=4\nsize=3\npad=1\n"
NORMED = "batch_normalize=1\n"
YOLO = "[convolutional]\nfilters=7\n[yolo]\nmask=0\nanchors=1,2\nclasses=2\nnum=1\n"


@pytest.mark.sample(3, slow=2)
@pytest.mark.parametrize("target", [*EVERY_TARGET, *IN_WINOGRADS_FORM])
@pytest.mark.parametrize(("first", "second"), [("", ""), (NORMED, ""), (NORMED, NORMED)])
def test_shared_weights_with_batch_norm_in_one_of_two(first, second, target, tmp_path):
    net = made(f"{NET}channels=4\n{CONV}{first}{CONV}{second}share_index=0\n".replace("channels=3\n", ""), tmp_path)
    checked = check_network(net.network, net.parameters, [target], tolerance=1e-5)
    assert checked.ok, checked.first_over


@pytest.mark.parametrize("target", EVERY_TARGET)
@pytest.mark.parametrize("factor", [2, 3, 41, 47, 55, 97])
def test_upsampling_repeats_places_exactly(factor, target, tmp_path):
    """1/factor in float32 lies below it for some: 41 · (1/41) is then no whole place."""
    net = made(f"{NET}[upsample]\nstride={factor}\n", tmp_path)
    x = np.random.default_rng(0).random((2, 3, 4, 6), np.float32)
    np.testing.assert_array_equal(net.run(x, framework=target), x.repeat(factor, 2).repeat(factor, 3))


@pytest.mark.parametrize("target", EVERY_TARGET)
@pytest.mark.parametrize("layer", ["[convolutional]\nfilters=3\n", "[maxpool]\nsize=1\n"])
def test_a_blur_that_is_larger_than_its_input_counts_as_one(layer, target, tmp_path):
    """The mean of 2 × 2 over one row: what lies below is 0."""
    net = made(f"[net]\nwidth=6\nheight=1\nchannels=3\n{layer}stride=2\nantialiasing=2\n", tmp_path)
    assert net.layers[0].out_shape == (3, 1, 3)
    x = np.random.default_rng(0).random((2, 3, 1, 6), np.float32)
    found = net.run(x, framework=target)
    np.testing.assert_allclose(found, net.run(x), rtol=0, atol=1e-6)
    if "maxpool" in layer:
        np.testing.assert_allclose(found, x.reshape(2, 3, 1, 3, 2).sum(-1) / 4, rtol=0, atol=1e-6)


@pytest.mark.parametrize("target", EVERY_TARGET)
@pytest.mark.parametrize("activation", ["linear", "relu", "leaky"])
def test_steps_of_one_place_over_a_padded_picture(activation, target, tmp_path):
    """OpenVINO hands the steps to what comes before, and pads the smaller picture then."""
    text = f"{NET}{CONV}activation={activation}\n[convolutional]\nfilters=4\nsize=1\nstride=2\npadding=1\n"
    net = made(text, tmp_path)
    x = np.random.default_rng(0).random((2, 3, 4, 6), np.float32)
    np.testing.assert_allclose(net.run(x, framework=target), net.run(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("target", EVERY_TARGET)
def test_the_last_layer_behind_a_detection_layer(target, tmp_path):
    """It is no output of the head, and what `run` returns without `every_layer` all the same."""
    net = made(f"{NET}{CONV}{YOLO}[route]\nlayers=-3\n{CONV}activation=leaky\n", tmp_path)
    x = np.random.default_rng(0).random((2, 3, 4, 6), np.float32)
    np.testing.assert_allclose(net.run(x, framework=target), net.run(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("target", EVERY_TARGET)
@pytest.mark.parametrize(("classes", "ids"), [(2, 1), (3, 0), (0, 3)])
def test_instance_segmentation(classes, ids, target, tmp_path):
    net = made(f"{NET}[iseg]\nclasses={classes}\nids={ids}\n", tmp_path, "pjreddie")
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 6)).astype(np.float32)
    wanted = np.concatenate([1 / (1 + np.exp(-x[:, :classes])), x[:, classes:]], axis=1)
    np.testing.assert_allclose(net.run(x, framework=target), wanted, rtol=0, atol=1e-6)


@pytest.mark.sample(2)
@pytest.mark.parametrize("target", EVERY_TARGET)
def test_what_computes_in_training_alone(target, tmp_path):
    """Behind detection layers, as in the fork's own cfg: it changes none of their outputs."""
    net = made(f"{NET}{CONV}{YOLO}[route]\nlayers=-3\n[contrastive]\nclasses=1\nyolo_layer=-2\n", tmp_path)
    assert net.warnings == ()
    assert check_network(net.network, net.parameters, [target], tolerance=1e-5).ok


@pytest.mark.sample(16, slow=12)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy tells of powers of what is not positive
@pytest.mark.parametrize("target", [*EVERY_TARGET, *EVERY_FORM])
@pytest.mark.parametrize("beta", [0.75, 0.5, 0.2, -0.3, -1.5, 0, 1, 2, 3, -1, -2])
def test_a_norm_of_any_sign(beta, target, tmp_path):
    """[lrn] over two channels: x·(x₀² − 1)^(−beta) in the first, x·(−1)^(−beta) in the second."""
    net = made(f"[net]\nwidth=7\nheight=5\nchannels=2\n[lrn]\nsize=2\nalpha=1\nkappa=-1\nbeta={beta}\n", tmp_path)
    x = np.random.default_rng(0).choice(np.array([-2, -1.5, -0.5, 0.25, 3], np.float32), (1, 2, 5, 7))
    norms = np.stack([x[:, 0].astype(np.float64) ** 2 - 1, np.full((1, 5, 7), -1.0)], axis=1)
    atol = 2e-2 if "half" in target else 1e-5
    np.testing.assert_allclose(net.run(x, framework=target), x * np.power(norms, -beta), rtol=atol, atol=atol)


@pytest.mark.sample(30, slow=20)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("target", [*EVERY_TARGET, *EVERY_FORM])
@pytest.mark.parametrize(("beta", "factor"), [(0.75, np.inf), (2, np.inf), (0, 1), (-0.2, 0), (-0.75, 0), (-1, 0)])
def test_a_norm_of_zero(beta, factor, target, tmp_path):
    """Where it divides, Darknet has infinity; so have all but ncnn, whose own division by 0 may give NaN."""
    net = made(f"[net]\nwidth=7\nheight=5\nchannels=2\n[lrn]\nsize=2\nalpha=0\nkappa=0\nbeta={beta}\n", tmp_path)
    x = np.random.default_rng(0).uniform(0.5, 2, (1, 2, 5, 7)).astype(np.float32)
    y = net.run(x, framework=target)
    if target == "ncnn" and np.isinf(factor):
        assert not np.isfinite(y).any()
    else:
        np.testing.assert_allclose(y, x * factor, rtol=2e-2 if "half" in target else 1e-5)
