"""Resizing and letterboxing against the real Darknet, reading against what files hold."""

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from layoutbridge.darknet.detection import pictures, resizing
from layoutbridge.errors import ShapeError, UnsupportedError, UnusableInputError
from tests.conftest import FIXTURES

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

with np.load(FIXTURES / "preprocessing.npz") as held:
    GOLDEN = {name: held[name] for name in held.files}
CASES = sorted(name for name in GOLDEN if "_" in name)


@pytest.mark.parametrize("case", CASES)
def test_pictures_are_fitted_as_darknet_fits_them(case: str) -> None:
    _, how, name, size = case.split("_")
    width, height = map(int, size.split("x"))
    function = {"letterbox": resizing.letterbox, "resize": resizing.resize}[how]
    assert np.array_equal(function(GOLDEN[name], width, height), GOLDEN[case])  # to the last bit


def test_all_cases_are_there() -> None:
    assert len(CASES) == 24


def slow_resize(old: Any, width: int, height: int) -> Any:
    """Darknet's loops, one pixel after another, in float32."""
    one = np.float32(1)
    scale_x = np.float32(old.shape[2] - 1) / np.float32(width - 1)
    scale_y = np.float32(old.shape[1] - 1) / np.float32(height - 1)
    part = np.zeros((len(old), old.shape[1], width), np.float32)
    new = np.zeros((len(old), height, width), np.float32)
    for x in range(width):
        at = np.float32(x) * scale_x
        left, share = int(at), at - np.float32(int(at))
        if x == width - 1 or old.shape[2] == 1:
            part[:, :, x] = old[:, :, -1]
        else:
            part[:, :, x] = (one - share) * old[:, :, left] + share * old[:, :, left + 1]
    for y in range(height):
        at = np.float32(y) * scale_y
        upper, share = int(at), at - np.float32(int(at))
        new[:, y] = (one - share) * part[:, upper]
        if y != height - 1 and old.shape[1] != 1:
            new[:, y] += share * part[:, upper + 1]
    return new


def test_every_size_follows_the_loops_of_the_source() -> None:
    generator = np.random.default_rng(5)
    for number in range(120):
        old = generator.uniform(0.5, 1, (1, *generator.integers(1, 70, 2))).astype(np.float32)
        width, height = (int(length) for length in generator.integers(2, 70, 2))
        assert np.array_equal(resizing.resize(old, width, height), slow_resize(old, width, height)), number


def test_rounding_can_cost_the_last_row_as_in_darknet() -> None:
    old = np.ones((1, 32, 5), np.float32)
    new = resizing.resize(old, 5, 8)  # 7 · (31 / 7) is just under 31 in float32
    assert np.array_equal(new, slow_resize(old, 5, 8))
    assert new[0, :-1].min() == 1 and new[0, -1].max() < 1e-5


def test_single_pixels() -> None:
    pixel = np.full((3, 1, 1), 0.25, np.float32)
    assert (resizing.resize(pixel, 5, 4) == 0.25).all()
    assert (resizing.letterbox(pixel, 5, 4)[:, :, 0] == 0.25).all() and resizing.letterbox(pixel, 5, 4)[0, 0, 4] == 0.5
    ramp = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    assert resizing.resize(ramp, 1, 1).tolist() == [[[11.0]]]
    assert resizing.resize(ramp, 4, 1).tolist() == [[[8.0, 9.0, 10.0, 11.0]]]
    assert resizing.resize(ramp, 1, 3).tolist() == [[[3.0], [7.0], [11.0]]]
    assert resizing.resize(ramp, 4, 3) is not ramp


def test_a_very_long_picture_keeps_a_pixel() -> None:
    assert resizing.letterbox_size((10_000, 1), (416, 416)) == (416, 1)
    assert resizing.letterbox_size((1, 10_000), (416, 416)) == (1, 416)
    boxed = resizing.letterbox(np.zeros((1, 10_000, 1), np.uint8), 8, 8)
    assert (boxed[0] == 0).sum() == 8


def test_bytes_are_shares_of_255() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert np.array_equal(resizing.resize(levels, 16, 16), (levels / 255).astype(np.float32))
    assert np.array_equal(resizing.resize(levels, 9, 7), resizing.resize((levels / 255).astype(np.float32), 9, 7))


def test_the_compiled_resize_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba", reason="numba is not installed")
    images, random = [], np.random.default_rng(8)
    for mode in ("RGB", "RGBA", "L"):
        for width, height in ((1, 1), (1, 40), (70, 1), (64, 48), (37, 90)):
            pixels = random.integers(0, 255, (height, width, 4), np.uint8)
            images.append(Image.fromarray(pixels).convert(mode))
    asked: list[Any] = [
        (image, channels, size, boxed)
        for image in images
        for channels in (1, 3, 4)
        for size in ((1, 1), (5, 8), (32, 32), (64, 48), (90, 37))
        for boxed in (False, True)
    ]
    monkeypatch.setattr(resizing, "_state", resizing._State())
    monkeypatch.setattr(resizing, "_PAYS_FROM", len(asked))
    by_numpy = [resizing.fitted(image, *rest, letterboxed=boxed) for image, *rest, boxed in asked]
    assert resizing._state.kernel is None
    monkeypatch.setattr(resizing, "_PAYS_FROM", 0)
    for (image, *rest, boxed), expected in zip(asked, by_numpy, strict=True):
        assert np.array_equal(resizing.fitted(image, *rest, letterboxed=boxed), expected)
    assert resizing._state.kernel is not None


@pytest.mark.parametrize(("shape", "size"), [((3, 4), (2, 2)), ((3, 0, 4), (2, 2)), ((3, 4, 4), (0, 2))])
def test_what_has_no_pixels_is_refused(shape: Any, size: tuple[int, int]) -> None:
    for function in (resizing.resize, resizing.letterbox):
        with pytest.raises(ShapeError, match=rf"{size[0]}×{size[1]}"):
            function(np.zeros(shape, np.float32), *size)


# ---------------------------------------------------------------------- reading

COLORS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [10, 20, 30]], [[1, 2, 3], [250, 251, 252]]], np.uint8)


def saved(image: Any, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def read(source: Any, channels: int = 3, **options: Any) -> Any:
    return pictures.pixels_of(pictures.open_picture(source, **options), channels)


def test_a_picture_by_its_path_its_bytes_and_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    content = saved(Image.fromarray(COLORS))
    path.write_bytes(content)
    for source in (path, str(path), content, io.BytesIO(content), Image.open(path), COLORS):
        assert np.array_equal(read(source), COLORS.transpose(2, 0, 1))


def test_grey_alpha_palettes_and_bits() -> None:
    grey = np.array([[0, 128, 255]], np.uint8)
    assert np.array_equal(read(saved(Image.fromarray(grey))), np.stack([grey] * 3))
    assert np.array_equal(read(saved(Image.fromarray(grey)), 1), grey[None])
    assert read(saved(Image.fromarray(grey > 100))).tolist() == [[[0, 255, 255]]] * 3
    clear = np.concatenate([COLORS, np.zeros((3, 2, 1), np.uint8)], axis=2)  # alpha is dropped, not laid on black
    assert np.array_equal(read(saved(Image.fromarray(clear))), COLORS.transpose(2, 0, 1))
    assert np.array_equal(read(saved(Image.fromarray(clear)), 4), clear.transpose(2, 0, 1))
    assert np.array_equal(read(saved(Image.fromarray(clear).convert("LA"))), read(Image.fromarray(COLORS).convert("L")))
    palette = Image.fromarray(COLORS).quantize(8)
    assert np.array_equal(read(saved(palette)), COLORS.transpose(2, 0, 1))
    palette.info["transparency"] = 0
    assert np.array_equal(read(saved(palette)), COLORS.transpose(2, 0, 1))
    deep = Image.fromarray(np.array([[0, 255, 256, 65535]], np.uint16))
    assert read(saved(deep)).tolist() == [[[0, 0, 1, 255]]] * 3
    assert read(saved(deep, "TIFF"), 1).tolist() == [[[0, 0, 1, 255]]]
    assert read(saved(Image.fromarray(COLORS).convert("CMYK"), "TIFF")).shape == (3, 3, 2)


def test_colors_become_grey_as_in_darknets_reader() -> None:
    expected = [[(77 * r + 150 * g + 29 * b) >> 8 for r, g, b in row] for row in COLORS.astype(int)]
    assert read(COLORS, 1).tolist() == [expected]
    assert read(np.full((1, 1, 3), 255, np.uint8), 1).tolist() == [[[255]]]


def test_a_picture_is_turned_as_its_exif_says_unless_told_not_to() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter
    content = saved(Image.fromarray(COLORS), exif=exif)
    assert np.array_equal(read(content), np.rot90(COLORS, -1).transpose(2, 0, 1))
    assert np.array_equal(read(content, upright=False), COLORS.transpose(2, 0, 1))


def test_the_first_picture_of_a_film() -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert read(content)[:, 0, 0].tolist() == [255, 0, 0]


def bomb(side: int) -> bytes:
    """A small PNG that claims side × side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99)) + chunk(b"IEND", b"")


NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no picture"),
        (b"hello, this is text", "is no picture"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is no picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no picture"),  # would start another program
        (saved(NOISE)[:-2000], "cannot read"),
        (saved(NOISE, "JPEG")[:-500], "cannot read .*truncated"),
        (saved(NOISE)[:20], "cannot read|is no picture"),
        (bomb(20_000), "has (20000×20000|more than 100,000,000) pixels"),
        (bomb(12_000), "has 12000×12000 pixels, more than 100,000,000"),
    ],
)
@pytest.mark.parametrize("by_path", [True, False])
def test_a_bad_picture_is_one_clear_line(content: bytes, said: str, by_path: bool, tmp_path: Path) -> None:
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(UnusableInputError, match=said) as error:
        pictures.open_picture(path if by_path else content)
    assert "\n" not in str(error.value)
    assert not by_path or "bad.jpg" in str(error.value)


def test_what_is_no_picture_at_all(tmp_path: Path) -> None:
    with pytest.raises(UnusableInputError, match=r"there is no picture '.*none\.png'"):
        pictures.open_picture(tmp_path / "none.png")
    with pytest.raises(UnusableInputError, match="cannot read"):
        pictures.open_picture(tmp_path)
    wrong: Any
    for wrong in (COLORS.astype(np.float32), COLORS.transpose(2, 0, 1), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ShapeError, match=r"a picture is uint8 \[H, W\]"):
            pictures.open_picture(wrong)
    with pytest.raises(UnsupportedError, match="floating-point"):
        pictures.open_picture(Image.fromarray(np.ones((2, 2), np.float32)))
    with pytest.raises(UnsupportedError, match="the network takes 5"):
        read(COLORS, 5)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "TGA"])
def test_broken_files_fail_in_our_words(kind: str) -> None:
    generator = np.random.default_rng(2)
    whole = saved(NOISE, kind)
    for _ in range(25):
        content = bytearray(whole[: generator.integers(1, len(whole) + 1)])
        for _ in range(4):
            content[generator.integers(len(content))] = generator.integers(256)
        try:
            image = pictures.open_picture(bytes(content), most_pixels=1_000_000)
        except (UnusableInputError, UnsupportedError) as error:
            assert "\n" not in str(error)
        else:
            assert image.mode in ("L", "RGB", "RGBA")


def test_pillows_warnings_are_the_callers_and_no_filter_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow warns of the size of each; a thread beside hears its own warnings all the while."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", NOISE.width * NOISE.height * 2 // 3)
    start, content, held = Barrier(9), saved(NOISE), warnings.filters

    def work(_: int) -> bool:
        start.wait()
        return all(read(content).shape == (3, *NOISE.size[::-1]) for _ in range(20))

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        inside = warnings.filters[:]
        with ThreadPoolExecutor(8) as pool:
            done = pool.map(work, range(8))
            start.wait()
            for number in range(200):
                warnings.warn(f"heard {number}", stacklevel=1)
                assert warnings.filters == inside
            assert all(done)
    heard = [str(warning.message) for warning in told]
    assert [text for text in heard if text.startswith("heard")] == [f"heard {number}" for number in range(200)]
    assert sum("exceeds limit" in text for text in heard) == 8 * 20
    assert warnings.filters is held
