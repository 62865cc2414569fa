"""Names of classes in every encoding that editors leave them in: read, and told where it was guessed."""

import random
import warnings

import pytest

from layoutbridge.darknet import Classifier, Detector, read_names
from layoutbridge.darknet.detection.names import GuessedEncoding, decode
from layoutbridge.errors import UnusableInputError
from tests.command_line import run
from tests.conftest import FIXTURES

CHINESE = [
    ["人", "自行车", "汽车", "摩托车"],
    ["猫", "狗"],
    ["安全帽", "反光衣", "未戴安全帽"],
    ["person", "汽车"],
    ["红绿灯（红）", "红绿灯（绿）"],
    ["缺陷1", "划痕", "螺母"],
]
WESTERN = [
    ["café", "élan"],
    ["piñata", "niño", "año"],
    ["Fußgänger", "Bär", "Äpfel"],
    ["créée"],
    ["dog", "cat", "“x”"],
    ["voiture", "vélo", "bâtiment"],
    ["Øl", "smørrebrød", "Ærø"],
    ["naïve", "œuf", "5 €"],
]
CASES = [
    *((names, encoding) for names in CHINESE for encoding in ("gbk", "gb2312", "utf-8", "utf-8-sig", "utf-16")),
    *((names, encoding) for names in WESTERN for encoding in ("cp1252", "utf-8", "utf-8-sig", "utf-16", "utf-32")),
    *(([*names, "end"], encoding) for names in CHINESE + WESTERN for encoding in ("utf-16-le", "utf-16-be")),
    *((["dog", "cat"], encoding) for encoding in ("utf-16-le", "utf-16-be", "ascii")),
]
TOLD = {"gbk": "GBK", "gb2312": "GBK", "cp1252": "Windows-1252", "utf-16-le": "UTF-16", "utf-16-be": "UTF-16"}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(("names", "encoding"), CASES, ids=lambda value: value if isinstance(value, str) else value[0])
def test_encodings(names, encoding, end, tmp_path):
    path = tmp_path / "my.names"
    path.write_bytes((end.join(names) + end + end).encode(encoding))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert read_names(path) == names
    assert [f"read as {TOLD[encoding]};" in str(one.message) for one in told] == [True] * (encoding in TOLD)
    assert all(one.category is GuessedEncoding for one in told)


@pytest.mark.parametrize(
    "content", [b"\0", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\x81\x8d", b"\xff\xfea", b"caf\xe9\x01\n"]
)
def test_what_is_no_text(content, tmp_path):
    path = tmp_path / "my.names"
    path.write_bytes(content)
    with pytest.raises(UnusableInputError, match=r"my\.names' holds no names of classes: it is no text"):
        read_names(path)


def test_anything_is_read_or_refused():
    draw = random.Random(4)
    for _ in range(3000):
        content = bytes(draw.choices((0, 10, 65, 0x81, 0xB0, 0xD0, 0xE9, 0xFE, 0xFF), k=draw.randrange(12)))
        text, guessed = decode(content)
        assert guessed is None or text is not None


def test_the_command_tells_it(capfd, tmp_path):
    pil = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    net = FIXTURES / "nets/alexey/yolo_head"
    (tmp_path / "my.names").write_bytes("人\n自行车\n汽车\n狗\n".encode("gbk"))
    pil.new("RGB", (40, 60), "orange").save(tmp_path / "a.png")
    called = (
        "detect",
        *map(str, (net / "net.cfg", net / "net.weights", tmp_path / "a.png")),
        "--framework",
        "reference",
    )
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        code, out, _ = run(capfd, *called, "--names", str(tmp_path / "my.names"), "--threshold", "0.01")
    assert code == 0 and "汽车" in out and "read as GBK" in str(told[0].message)


def test_names_by_number_as_ultralytics_has_them():
    nets = FIXTURES / "nets/alexey"
    by_number = {2: "bird", 0: "dog", 1: "cat", 3: "sign"}
    head = nets / "yolo_head"
    detector = Detector(head / "net.cfg", head / "net.weights", names=by_number, framework="reference")
    assert detector.names == ["dog", "cat", "bird", "sign"]
    ten = {number: f"name {number}" for number in reversed(range(10))}
    classifier = nets / "classifier"
    opened = Classifier(classifier / "net.cfg", classifier / "net.weights", names=ten, framework="reference")
    assert opened.names == [f"name {number}" for number in range(10)]
    for wrong in ({"dog": 0, "cat": 1, "bird": 2, "sign": 3}, {1: "a", 2: "b", 3: "c", 4: "d"}):
        with pytest.raises(UnusableInputError, match="names by number go from 0 to 3"):
            Detector(head / "net.cfg", head / "net.weights", names=wrong, framework="reference")
