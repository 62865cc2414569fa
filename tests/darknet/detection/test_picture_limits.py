"""What reading a picture costs: told before a pixel is read, measured in a process of its own, and refused."""

import io
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from layoutbridge.darknet.detection import pictures, resizing
from layoutbridge.errors import UnusableInputError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

ROOT = Path(__file__).resolve().parents[3]
RGB = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 56, 3), np.uint8))
DEEP = Image.fromarray(np.arange(40 * 56, dtype=np.uint16).reshape(40, 56) * 29)
TURNED = Image.Exif()
TURNED[0x112] = 6

KINDS: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "bits": (RGB.convert("1"), "PNG", {}),
    "grey": (RGB.convert("L"), "PNG", {}),
    "16 bits": (DEEP, "PNG", {}),
    "RGB": (RGB, "PNG", {}),
    "palette": (RGB.convert("P"), "PNG", {}),
    "palette with a hole": (RGB.convert("P"), "PNG", {"transparency": 3}),
    "RGBA": (RGB.convert("RGBA"), "PNG", {}),
    "film of PNG": (RGB, "PNG", {"save_all": True, "append_images": [RGB.rotate(90)]}),
    "JPEG": (RGB, "JPEG", {}),
    "progressive": (RGB, "JPEG", {"progressive": True, "subsampling": 0}),
    "CMYK": (RGB.convert("CMYK"), "JPEG", {}),
    "turned": (RGB, "JPEG", {"exif": TURNED}),
    "TIFF": (RGB, "TIFF", {}),
    "TIFF of 16 bits": (DEEP, "TIFF", {"compression": "tiff_lzw"}),
    "TIFF of 32 bits": (RGB.convert("L").convert("I"), "TIFF", {}),
    "TIFF in one strip": (RGB, "TIFF", {"compression": "tiff_lzw", "tiffinfo": {278: 100_000}}),
    "TIFF of CMYK": (RGB.convert("CMYK"), "TIFF", {"compression": "tiff_adobe_deflate"}),
    "TIFF of Lab": (RGB.convert("LAB"), "TIFF", {}),
    "GIF": (RGB, "GIF", {}),
    "film of GIF": (RGB, "GIF", {"save_all": True, "append_images": [RGB.rotate(90)]}),
    "WebP": (RGB, "WEBP", {}),
    "WebP without loss": (RGB.convert("RGBA"), "WEBP", {"lossless": True}),
    "film of WebP": (RGB, "WEBP", {"save_all": True, "append_images": [RGB.rotate(90)]}),
    "JPEG2000": (RGB, "JPEG2000", {}),
    "grey JPEG2000": (RGB.convert("L"), "JPEG2000", {}),
    "AVIF": (RGB, "AVIF", {"speed": 10}),
    "BMP": (RGB, "BMP", {}),
    "TGA": (RGB, "TGA", {"compression": "tga_rle"}),
    "PPM": (RGB, "PPM", {}),
    "PGM of 16 bits": (DEEP, "PPM", {}),
}


def written(kind: str, path: Path, times: int = 1) -> Path:
    image, form, options = KINDS[kind]
    Image.init()
    if form not in Image.SAVE:
        pytest.skip(f"this Pillow does not write {form}")
    size = image.width * times, image.height * times
    frames = [frame.resize(size) for frame in options.get("append_images", ())]
    image.resize(size).save(path, form, **{**options, **({"append_images": frames} if frames else {})})
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("letterboxed", [False, True])
@pytest.mark.parametrize("strip", [1 << 20, 100])
def test_a_picture_in_strips_is_the_picture(
    kind: str, letterboxed: bool, strip: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(kind, tmp_path / "a")
    whole = pictures.open_picture(path)
    function = resizing.letterbox if letterboxed else resizing.resize
    for module in (pictures, resizing):
        monkeypatch.setattr(module, "_STRIP", strip)
    image = pictures.open_picture(path)
    assert np.array_equal(np.asarray(image), np.asarray(whole))
    for channels in (1, 3, 4):
        for size in ((24, 16), (image.width, image.height), (70, 90), (1, 1)):
            expected = function(pictures.pixels_of(whole, channels), *size)
            assert np.array_equal(resizing.fitted(image, channels, size, letterboxed=letterboxed), expected)


MEASURE = """
import sys
from layoutbridge.darknet.detection import pictures, resizing
from PIL import Image

def peak():
    held = dict(line.split(":") for line in open("/proc/self/status"))
    return 1024 * int(held["VmHWM"].split()[0])  # of this program alone: ru_maxrss has the starting one's, too

for path in sys.argv[1:]:
    resizing.fitted(pictures.open_picture(path), 3, (416, 416), letterboxed=False)  # what is loaded once
small = peak()
path = sys.argv[1].replace("small", "large")
told = []
pictures.refuse_costly = lambda needed, *_: told.append(needed)
image = pictures.open_picture(path)
resizing.fitted(image, 3, (416, 416), letterboxed=False)
print(peak() - small, told[0])
"""


@pytest.mark.sample(slow=6)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what a program took at most")
@pytest.mark.parametrize("kind", KINDS)
def test_reading_takes_no_more_than_is_told(kind: str, tmp_path: Path) -> None:
    written(kind, tmp_path / "small", 8)
    path = written(kind, tmp_path / "large", 40)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "small")], capture_output=True, text=True, cwd=ROOT, check=True
    )
    taken, told = map(int, done.stdout.split())
    strips = 12 * (1 << 20)
    assert taken <= told + 2 * path.stat().st_size + strips
    assert told <= 2.5 * taken + strips  # and is not told to cost far more than it does


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, color: int, *before: bytes, bits: int = 8) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + data + chunk(b"IEND", b"")


def saved(image: Any, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def jpeg_of(width: int, height: int, **options: Any) -> bytes:
    content = saved(RGB, "JPEG", **options)
    frame = content.find(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0")
    return content[: frame + 5] + struct.pack(">HH", height, width) + content[frame + 9 :]


@pytest.mark.parametrize(
    ("content", "megabytes"),
    [
        (png(9_900, 9_900, 2), 392),
        (png(9_900, 9_900, 2, bits=16), 392),
        (png(9_900, 9_900, 3, chunk(b"PLTE", bytes(768))), 490),
        (jpeg_of(9_900, 9_900), 392),
        (jpeg_of(9_900, 9_900, progressive=True), 980),
        (jpeg_of(6_500, 6_500, exif=TURNED), 338),
    ],
)
def test_a_small_file_of_many_bytes_is_refused_before_they_are_read(content: bytes, megabytes: int) -> None:
    begun = time.perf_counter()
    with pytest.raises(UnusableInputError, match=rf"would take {megabytes} MB .* may take 30. MB: .*_MEGABYTES="):
        pictures.open_picture(content)
    assert time.perf_counter() - begun < 1


def test_a_jpeg_channel_after_channel_counts_as_several_scans() -> None:
    content = saved(RGB, "JPEG")
    scan = content.find(b"\xff\xda")
    one = content[: scan + 4] + b"\1" + content[scan + 5 :]
    for held, expected in ((content, False), (one, True), (saved(RGB, "JPEG", progressive=True), True)):
        assert pictures._has_several_scans(Image.open(io.BytesIO(held))) is expected


def test_chunks_that_unpack_to_far_more_are_not_unpacked() -> None:
    packed = zlib.compress(bytes(200 << 20))
    for bomb in (
        chunk(b"zTXt", b"k\0\0" + packed),
        chunk(b"iCCP", b"k\0\0" + packed),
        chunk(b"iTXt", b"k\0\1\0\0\0" + packed),
    ):
        begun = time.perf_counter()
        try:
            assert pictures.open_picture(png(4, 4, 2, bomb)).size == (4, 4)
        except UnusableInputError as error:
            assert "\n" not in str(error)
        assert time.perf_counter() - begun < 5


def test_pixels_that_are_read_value_by_value_are_few() -> None:
    for form, side in ((b"P6 %d %d 65535\n", 1200), (b"P3 %d %d 255\n", 1200), (b"P5 %d %d 100\n", 1200)):
        with pytest.raises(
            UnusableInputError, match="1200×1200 pixels in text or of other than 8 bits: save it as a PNG"
        ):
            pictures.open_picture(form % (side, side) + bytes(10))
    assert pictures.open_picture(b"P5 2 1 65535\n\x80\0\x40\0").getpixel((0, 0)) == 128


def test_a_picture_comes_through_a_pipe_as_far_as_a_limit(tmp_path: Path) -> None:
    pipe, content = tmp_path / "pipe", saved(RGB, "PNG")
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    assert pictures.open_picture(pipe).size == RGB.size
    writer.join()
    with pytest.raises(UnusableInputError, match="a picture at most 104,857,600"):
        pictures.open_picture("/dev/zero")


def test_an_image_of_the_callers_stays_as_it_is() -> None:
    image = Image.open(io.BytesIO(saved(RGB, "PNG", exif=TURNED)))
    assert pictures.open_picture(image).size == RGB.size[::-1]
    assert image.size == RGB.size
