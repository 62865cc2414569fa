"""Pictures of other kinds than RGB of 8 bits, frames that are broken, cameras that are not there: right, or told."""

import io

import numpy as np
import pytest

from layoutbridge.darknet import Classifier, Detector
from layoutbridge.errors import UnsupportedError, UnusableInputError
from tests.command_line import refused, run
from tests.conftest import FIXTURES
from tests.darknet_files import made

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

NETS = FIXTURES / "nets/alexey"
YOLO, CLASSES = NETS / "yolo_head", NETS / "classifier"


@pytest.fixture(scope="module")
def looks():
    """What is found by a detector, and shown by a classifier, as numbers that can be compared."""
    detector = Detector(YOLO / "net.cfg", YOLO / "net.weights", framework="reference")
    classifier = Classifier(CLASSES / "net.cfg", CLASSES / "net.weights", framework="reference")

    def look(picture, **options):
        found = detector.detect(picture, confidence=0.1, **options)
        return (
            found.xyxy.tolist(),
            found.scores.tolist(),
            classifier.classify(picture, **options).probabilities.tolist(),
        )

    return look


def colors(height=40, width=60):
    return np.random.default_rng(8).integers(0, 255, (height, width, 3), dtype=np.uint8)


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_cmyk(looks):
    image = Image.fromarray(colors()).convert("CMYK")
    plain = looks(np.asarray(image.convert("RGB")))
    assert looks(image) == looks(saved(image, "TIFF")) == plain
    assert looks(saved(image, "JPEG", quality=95)) != plain  # JPEG loses something, and is taken


def test_sixteen_bits(looks):
    high = colors()[..., 0].astype(np.uint16)
    low = np.random.default_rng(2).integers(0, 255, high.shape, dtype=np.uint16)
    deep = Image.fromarray((high << 8 | low).astype(np.uint16))
    plain = looks(high.astype(np.uint8))
    assert looks(saved(deep)) == looks(saved(deep, "TIFF")) == looks(deep) == plain
    with pytest.raises(UnsupportedError, match="holds floating-point numbers of no known range"):
        looks(saved(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF"))


def test_grey_alpha_and_palettes(looks):
    rgb = Image.fromarray(colors())
    plain = looks(colors())
    see_through = rgb.copy()
    see_through.putalpha(Image.fromarray(colors()[..., 1]))
    assert looks(see_through) == looks(saved(see_through)) == plain
    grey = rgb.convert("L")
    assert looks(grey) == looks(saved(grey)) == looks(np.asarray(grey.convert("RGB")))
    assert looks(saved(grey.convert("LA"))) == looks(grey)
    few = rgb.quantize(16)
    assert looks(saved(few)) == looks(np.asarray(few.convert("RGB")))
    assert looks(saved(rgb.convert("1"))) == looks(np.asarray(rgb.convert("1").convert("RGB")))


def test_exif(looks):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter
    turned = saved(Image.fromarray(colors()), exif=exif)
    assert looks(turned) == looks(np.ascontiguousarray(np.rot90(colors(), -1)))
    assert looks(turned, upright=False) == looks(colors())


@pytest.mark.parametrize("channels", [1, 4])
def test_networks_of_other_channels(channels, tmp_path):
    net = made(YOLO_OF.format(channels), tmp_path)
    detector = Detector(net, framework="reference")
    rgb = Image.fromarray(colors())
    wanted = rgb if channels == 1 else rgb.convert("RGBA")
    found = detector.detect(rgb, confidence=0.05)
    assert detector.channels == channels and len(found) > 0
    assert found.scores.tolist() == detector.detect(saved(wanted), confidence=0.05).scores.tolist()
    if channels == 1:
        weights = np.array([77, 150, 29])
        grey = (colors() @ weights >> 8).astype(np.uint8)
        assert detector.detect(grey, confidence=0.05).scores.tolist() == found.scores.tolist()


def test_networks_that_take_no_picture(tmp_path):
    net = made(YOLO_OF.format(5), tmp_path)
    with pytest.raises(UnsupportedError, match="a picture has 1, 3 or 4 channels, and the network takes 5"):
        Detector(net, framework="reference").detect(colors())


YOLO_OF = """[net]
width=32
height=32
channels={}
[convolutional]
filters=8
size=3
stride=8
pad=1
activation=leaky
[convolutional]
filters=14
size=1
stride=1
activation=linear
[yolo]
mask=0,1
anchors=4,4, 9,9
classes=2
num=2
"""


def film(path, broken=()):
    av = pytest.importorskip("av", reason="PyAV is not installed")
    random = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "bgr0", 1  # each frame by itself
        for number in range(6):
            array = random.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")):
                if number in broken:
                    damaged = av.Packet(b"\x13\x37" * 40)
                    damaged.pts, damaged.dts, damaged.time_base = packet.pts, packet.dts, packet.time_base
                    damaged.stream = stream
                    container.mux(damaged)
                else:
                    container.mux(packet)
    return path


def test_frames_that_are_broken_are_told_by_number(tmp_path, capfd):
    detector = Detector(YOLO / "net.cfg", YOLO / "net.weights", framework="reference")
    classifier = Classifier(CLASSES / "net.cfg", CLASSES / "net.weights", framework="reference")
    whole, part = film(tmp_path / "whole.mkv"), film(tmp_path / "part.mkv", broken=(2, 3))
    for look in (detector.detect, classifier.classify):
        for batch in (1, 4):
            wanted, found = look(whole, batch=batch), look(part, batch=batch)
            assert [one.frame for one in found] == [0, 1, 4, 5] and wanted.unreadable == []
            assert [told.split(":")[0] for told in found.unreadable] == [
                f"'{part}', frame {number}" for number in (2, 3)
            ]
            assert [one.scores.tolist() for one in found] == [wanted[k].scores.tolist() for k in (0, 1, 4, 5)]
    for command, net in (("detect", YOLO), ("predict", YOLO), ("classify", CLASSES)):
        called = (command, str(net / "net.cfg"), str(net / "net.weights"), str(part), "--framework", "reference")
        code, out, err = run(capfd, *called)
        assert code == 0 and len(out.splitlines()) == 4 and err.count("left out: ") == 2 and "frame 2: " in err


def test_a_camera_that_is_not_there(capfd):
    pytest.importorskip("av", reason="PyAV is not installed")
    for command, net in (("detect", YOLO), ("classify", CLASSES)):
        called = (command, str(net / "net.cfg"), str(net / "net.weights"))
        for camera in ("camera:77", "rtsp://127.0.0.1:1/none"):
            assert f"cannot open '{camera}'" in refused(capfd, *called, camera, "--framework", "reference")


def test_what_is_no_picture_at_all(looks, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    for wrong in (tmp_path / "a.png", b"none", tmp_path / "none.png"):
        with pytest.raises(UnusableInputError):
            looks(wrong)


@pytest.mark.parametrize("command", ["detect", "classify"])
def test_pictures_whose_metadata_are_broken_are_not_called_left_out(command, capfd, tmp_path):
    about = Image.Exif()
    about[0x10E] = "a description that is cut off " * 3
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (40, 30)).save(tmp_path / name, exif=about.tobytes()[:60])
    net = FIXTURES / "nets/alexey" / {"detect": "yolo_head", "classify": "classifier"}[command]
    called = (command, str(net / "net.cfg"), str(net / "net.weights"), str(tmp_path), "--framework", "reference")
    code, out, err = run(capfd, *called)
    assert (code, len(out.splitlines())) == (0, 2), err
    assert "left out" not in err
    (tmp_path / "c.jpg").write_bytes(b"none")
    code, out, err = run(capfd, *called)
    assert (code, len(out.splitlines()), err.count("left out")) == (0, 2, 1), err
    assert "left out: '" in err and "c.jpg' is no picture" in err
