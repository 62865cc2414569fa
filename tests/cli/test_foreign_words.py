"""Names and texts of files on the terminal: whatever they hold, nothing steers it, and JSON stays JSON."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.cli.shared.printing import print_json, print_json_text, print_text, remark, remark_warnings
from layoutbridge.report.consoles import PlainConsole
from layoutbridge.report.tables import write_table
from tests.command_line import run

NET = Path(__file__).resolve().parents[2] / "fixtures" / "nets" / "alexey" / "yolo_head"
NASTY = (
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b]8;;http://x\x1b\\link",
    "back\x08\x08over\x7f",
    "\x9b2J\x85",
    "right\u202eleft\u2066\u200f",
    "half\udcff",
    "zero\u200bwidth\ufeff",
    "line\u2028break",
    "[bold red]markup[/]",
    "[/]",
    "[link=file:///etc/passwd]x[/link]",
    ":skull:",
    "back\\slash\\",
    "*/ int main; /* ??/",
    "tag\U000e0041",
)
TOGETHER = ("".join(NASTY[:5]), "".join(NASTY[7:10]), NASTY[5], NASTY[6], "[/]", "*/ ??/ back\\")


def steers(text: str) -> str:
    """What in `text` a terminal would not show."""
    return "".join(char for char in text if not char.isprintable() and char != "\n")


def nothing_steers(*texts: str) -> None:
    for text in texts:
        assert not steers(text), ascii(text)


@pytest.mark.sample(slow=1)
@pytest.mark.parametrize("nasty", TOGETHER, ids=ascii)
def test_every_command_given_a_name(capfd, tmp_path, monkeypatch, nasty):
    monkeypatch.chdir(tmp_path)
    calls = [
        ["table", nasty, "--shape", "3,4,4"],
        ["table", "focus", "--shape", nasty],
        ["table", "focus", "--shape", "3,4,4", "--stride", nasty],
        ["table", "focus", "--shape", "3,4,4", "-o", nasty],
        ["table", f"a b {nasty} -> b a", "--shape", "3,4"],
        ["prove", nasty, "focus"],
        ["verify", "--frameworks", nasty],
        ["verify", "--ops", nasty, "--frameworks", "numpy"],
        ["identify", nasty],
        ["identify", f"{nasty}.npy"],
        ["identify", f"{nasty}.py:f", "--shape", "1,2"],
        ["identify", f"{nasty}:f", "--shape", "1,2"],
        ["identify", f"numpy:{nasty}", "--shape", "1,2"],
        ["list", nasty],
        ["export", nasty, "-o", "x.onnx"],
        ["export", "focus", "-o", f"{nasty}.xyz"],
        ["export", "focus", "--to", nasty, "-o", "x"],
        ["export", f"{nasty}.cfg", f"{nasty}.weights", "-o", "x.onnx"],
        ["summary", f"{nasty}.cfg"],
        ["summary", str(NET / "net.cfg"), "--flavor", nasty],
        ["summary", str(NET / "net.cfg"), "--size", nasty],
        ["summary", str(NET / "net.cfg"), "--activation", nasty],
        ["summary", str(NET / "net.cfg"), "--activation", f"a=b{nasty}"],
        ["check", f"{nasty}.cfg", f"{nasty}.weights"],
        ["check", *map(str, (NET / "net.cfg", NET / "net.weights")), "--targets", nasty],
        ["check", *map(str, (NET / "net.cfg", NET / "net.weights")), "--against", nasty],
        ["detect", f"{nasty}.onnx", f"{nasty}.png"],
        [nasty],
        ["list", f"--{nasty}"],
    ]  # fmt: skip
    for call in calls:
        code, out, err = run(capfd, *call)
        assert (code, out) == (2, ""), (call, code, out, err)
        assert err.startswith("layoutbridge: ") and err.count("\n") == 1, (call, err)
        nothing_steers(err)


@pytest.mark.sample(slow=1)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of the program; half a character cannot be sent between workers
@pytest.mark.parametrize("nasty", TOGETHER, ids=ascii)
def test_files_that_hold_it(capfd, tmp_path, nasty):
    name = nasty.replace("/", "_")
    folder = tmp_path / f"d{name}"
    folder.mkdir()
    cfg = folder / f"n{name}.cfg"
    section = nasty.replace("\n", "")
    for text in (
        f"[net]\nwidth=8\nheight=8\nchannels=3\n[maxpool]\nsize={section}\n{section}\nwhat{section}=1#{section}\nsize=2",
        f"[net]\nwidth=8\nheight=8\nchannels=3\n[maxpool]#{section}\nsize=2\n{section}\nk{section}=1 # {section}\n",
        f"[{section}]\nwidth=8\n",
        f"[net]\nwidth=8\nheight=8\nchannels=3\n[{section}]\n[conv]\nactivation={section}",
        section,
    ):
        cfg.write_bytes(text.encode("utf-8", "surrogatepass"))
        for call in (["summary", str(cfg)], ["summary", str(cfg), "--json"]):
            code, out, err = run(capfd, *call)
            assert code in (0, 2), err
            nothing_steers(out, err)
    for ending, content in ((".json", [nasty]), (".json", {nasty: 1}), (".csv", nasty), (".npy", nasty)):
        table = folder / f"t{name}{ending}"
        table.write_bytes((json.dumps(content) if ending == ".json" else content).encode("utf-8", "surrogatepass"))
        code, out, err = run(capfd, "identify", str(table))
        assert (code, out, err.count("\n")) == (2, "", 1)
        nothing_steers(err)
    program = folder / f"p{name}.py"
    program.write_text(f"def f(x):\n    raise ValueError({nasty!r})\ndef g(x):\n    import warnings\n"
                       f"    warnings.warn({nasty!r})\n    return x\n")  # fmt: skip
    for function in ("f", "g", "h"):
        for more in ([], ["--json"]):
            code, out, err = run(capfd, "identify", f"{program}:{function}", "--shape", "1,2,2,2", *more)
            assert code == (0 if function == "g" else 2)  # g moves nothing
            nothing_steers(out, err)
            if more and out:
                assert json.loads(out)["target"] == f"{program}:{function}"
    output = folder / f"o{name}.json"
    assert run(capfd, "table", "focus", "--shape", "3,4,4", "-o", str(output))[0] == 0
    nothing_steers(run(capfd, "table", "focus", "--shape", "3,4,4", "-o", f"{output}/x.json")[2])


@pytest.mark.sample(1, slow=1)
@pytest.mark.parametrize("nasty", TOGETHER, ids=ascii)
def test_networks_and_pictures_by_such_names(capfd, tmp_path, nasty):
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("onnxruntime")
    if "\udcff" in nasty:
        pytest.skip("onnxruntime takes names of files in UTF-8 alone")
    name = nasty.replace("/", "_")
    cfg, weights = tmp_path / f"n{name}.cfg", tmp_path / f"n{name}.weights"
    shutil.copy(NET / "net.cfg", cfg)
    shutil.copy(NET / "net.weights", weights)
    model, picture, names, drawing = (
        tmp_path / f"n{name}{ending}" for ending in (".onnx", ".png", ".names", "_out.png")
    )
    image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(picture)
    with names.open("wb") as file:
        file.write("\n".join([nasty.replace("\n", "")] * 4).encode("utf-8", "surrogatepass"))
    code, out, err = run(capfd, "export", str(cfg), str(weights), "-o", str(model), "--head", "boxes")
    assert (code, out) == (0, ""), err
    nothing_steers(err)
    for call in (["check", str(cfg), str(weights), "--targets", "onnx"],
                 ["detect", str(model), str(picture), "--threshold", "0.01", "-o", str(drawing)],
                 ["detect", str(model), str(picture), "--names", str(names), "--threshold", "0.01"]):  # fmt: skip
        for more in ([], ["--json"]):
            code, out, err = run(capfd, *call, *more)
            assert code in (0, 2) and "a fault of" not in err, err
            nothing_steers(out, err)
            if more and out:
                json.loads(out)


def test_what_is_printed(capfd):
    for nasty in NASTY:
        document = {nasty: [nasty]}
        print_json(document)
        out = capfd.readouterr().out
        nothing_steers(out)
        assert json.loads(out) == document
        print_json_text(json.dumps(document, ensure_ascii=False))
        print_text(nasty)
        remark(nasty)
        remark_warnings([nasty] * 30, 5)
        out, err = capfd.readouterr()
        nothing_steers(out, err)
        assert err.count("\n") == 22 and err.endswith("and 15 more\n")


def test_rich_tables_stay_straight(capfd):
    from rich.table import Table
    from rich.text import Text

    for nasty in NASTY:
        console = PlainConsole(width=80, emoji=False, markup=False)
        table = Table()
        table.add_column("what")
        table.add_row(nasty)
        table.add_row(Text(nasty))
        console.print(table)
        console.print(nasty)
        out = capfd.readouterr().out
        nothing_steers(out)
        assert len({len(line) for line in out.splitlines()[:3]}) == 1


@pytest.mark.parametrize("space", ["\n", "\r", "\t", "\x1f", "\u2028", " *\\\n/ ", "\v"])
def test_patterns_in_a_c_array(tmp_path, space):
    try:
        op = lb.Rearrangement(f"c h{space}w -> h w c")
    except lb.errors.PatternError:
        return
    with (tmp_path / "t.h").open("wb") as file:
        write_table(file, op, (2, 3, 4), "c")
    text = (tmp_path / "t.h").read_text("ascii")
    nothing_steers(text)
    assert text.count("*/") == 1 and text.count("\n") == 10


def test_a_name_begins_no_line_of_its_own(capfd, tmp_path):
    onnx = pytest.importorskip("onnx", reason="a model with such a name is made")
    helper, name = onnx.helper, "a\n[1] b  focus"
    given, made = (
        [helper.make_tensor_value_info(each, onnx.TensorProto.FLOAT, shape)]
        for each, shape in (("x", [1, 4, 4, 4]), (f"{name}2", [1, 16, 2, 2]))
    )
    node = helper.make_node("SpaceToDepth", ["x"], [f"{name}2"], name=name, blocksize=2)
    opset = [helper.make_opsetid("", 13)]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(helper.make_graph([node], "g", given, made), opset_imports=opset, ir_version=8), path)
    code, out, _ = run(capfd, "scan", str(path))
    assert code == 0
    assert [line[:3] for line in out.splitlines() if line.startswith("[")] == ["[0]"]
    assert r"a\n[1] b  focus2" in out
