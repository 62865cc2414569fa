"""The command line as a user meets it: answers, files, one-line errors and exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.frameworks.table import WRITTEN
from tests.command_line import completed, refused, run

ROOT = Path(__file__).resolve().parents[2]


def test_both_entry_points_run():
    for command in ([sys.executable, str(ROOT / "cli.py")], [sys.executable, "-m", "layoutbridge"]):
        done = subprocess.run([*command, "list", "--json"], capture_output=True, text=True, check=True, cwd=ROOT)
        assert {entry["name"] for entry in json.loads(done.stdout)} == set(lb.catalog())


def test_the_version_and_help(capfd):
    assert run(capfd, "--version")[:2] == (0, f"layoutbridge {lb.__version__}\n")
    for arguments in ([], ["--help"], ["verify", "--help"]):
        code, out, _ = run(capfd, *arguments)
        assert (code, "Usage" in out) == (0, True)
    assert "RUNS THAT FILE" in run(capfd, "identify", "--help")[1].replace("\n", " ")


def test_help_imports_no_framework_and_no_numpy():
    code = (
        "import sys\nfrom layoutbridge.cli import main\nmain(['--help'])\n"
        "heavy = {'numpy', 'torch', 'tensorflow', 'keras', 'onnx', 'onnxruntime', 'numba'} & set(sys.modules)\n"
        "sys.exit(bool(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT).returncode == 0


def test_importing_the_package_imports_no_framework():
    code = (
        "import sys, layoutbridge as lb\nlb.op('focus')\nlb.prove(lb.op('focus'), lb.op('space_to_depth'))\n"
        "heavy = {'torch', 'tensorflow', 'keras', 'onnx', 'onnxruntime', 'numba', 'rich', 'typer'} & set(sys.modules)\n"
        "print(heavy); sys.exit(bool(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT).returncode == 0


def test_an_export_off_a_terminal_imports_no_rich(tmp_path):
    pytest.importorskip("onnx", reason="the export to ONNX")
    net = ROOT / "fixtures/nets/alexey/residual"
    code = (
        "import sys\nfrom layoutbridge.cli import main\n"
        f"main(['export', {str(net / 'net.cfg')!r}, {str(net / 'net.weights')!r}, '--no-check', '--to', 'onnx', '-o', "
        f"{str(tmp_path / 'net.onnx')!r}])\n"
        "heavy = {'rich.console', 'layoutbridge.darknet.ports.ncnn'}\n"
        "print(*(heavy & set(sys.modules)))"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert (done.returncode, done.stdout, (tmp_path / "net.onnx").exists()) == (0, "\n", True), done


def test_list(capfd):
    code, out, _ = run(capfd, "list")
    assert code == 0
    assert all(name in out for name in lb.catalog())
    code, out, _ = run(capfd, "list", "darknet_reorg")
    assert "OpenVINO ReorgYolo" in out
    headings = [line.strip() for line in run(capfd, "list")[1].split("\n")]
    assert all(any(line.startswith(entry.family) for line in headings) for entry in lb.catalog().values())


@pytest.mark.sample(6, slow=6)
@pytest.mark.parametrize("name", lb.catalog())
def test_list_of_one_entry_tells_all_of_it(capfd, name):
    entry = lb.catalog()[name]
    code, out, _ = run(capfd, "list", name)
    told = " ".join(out.split())
    assert code == 0
    for text in (entry.name, entry.summary, entry.family, entry.provenance, entry.pattern, *entry.parameters):
        assert " ".join(text.split()) in told
    for form in entry.forms[:10]:
        assert " ".join(form.pattern.split()) in told
    (record,) = json.loads(run(capfd, "list", name, "--json")[1])
    assert (record["name"], record["family"]) == (name, entry.family)
    assert [form["pattern"] for form in record["forms"]] == [form.pattern for form in entry.forms]
    assert list(record["takes"]) == list(entry.parameters)


def test_what_is_asked_for_to_have_a_form(capfd):
    out = run(capfd, "list", "focus")[1]
    assert "by --stride s1xs2xs3 --spatial 3" in out
    assert "stride=2: size of a block" in out
    record = json.loads(run(capfd, "list", "focus", "--json")[1])[0]
    assert record["takes"]["spatial"]["values"] == [2, 1, 3] and record["takes"]["stride"]["values"] is None
    assert record["forms"][1]["letters"] == {"stride": ["s1", "s2"]} and record["forms"][2]["fixed"] == {"spatial": 1}


def test_list_by_family(capfd):
    family = lb.catalog()["focus"].family
    code, out, _ = run(capfd, "list", "--family", family[:5].upper(), "--json")
    listed = {entry["name"] for entry in json.loads(out)}
    assert (code, listed >= {name for name, entry in lb.catalog().items() if entry.family == family}) == (0, True)
    assert family in run(capfd, "list", "--family", family)[1]
    assert family in refused(capfd, "list", "--family", "nothing of that kind")
    assert family in refused(capfd, "list", "--family", " ")
    assert "one of the two" in refused(capfd, "list", "focus", "--family", family)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("reorg3d", "darknet_reorg3d"),
        ("flatten", "darknet_flatten or darknet_unflatten"),
        ("ReorgYolo", "did you mean darknet_reorg?"),
        ("pixelshuffle", "did you mean pixel_shuffle"),
        ("focs", "did you mean focus"),
        ("zzzz", f"have all {len(lb.catalog())} names"),
        ("", "names"),
    ],
)
def test_a_word_that_is_no_name(capfd, word, says):
    assert says in refused(capfd, "list", word)


def test_the_catalogue_fits_a_narrow_terminal(capfd):
    from layoutbridge.report.catalogue import show_catalog, show_entry
    from layoutbridge.report.consoles import PlainConsole

    entries = list(lb.catalog().values())
    for show in (lambda to: show_catalog(to, entries), *(lambda to, e=each: show_entry(to, e) for each in entries)):
        show(PlainConsole(width=80, emoji=False))
        lines = capfd.readouterr().out.split("\n")
        assert max(map(len, lines)) <= 80 and any(lines)


@pytest.mark.parametrize("form", ["npy", "csv", "json", "c"])
def test_table_files(capfd, tmp_path, form):
    path = tmp_path / f"table.{form}"
    code, out, _ = run(capfd, "table", "darknet_reorg", "--shape", "64,26,26", "--stride", "2", "-o", str(path))
    assert (code, out) == (0, "")
    expected = lb.op("darknet_reorg").table((64, 26, 26))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    if form == "npy":
        table = np.load(path)
        assert table.dtype == np.int64
    elif form == "csv":
        table = np.loadtxt(path, dtype=np.int64)
    elif form == "json":
        record = json.loads(path.read_text())
        assert (record["name"], record["out_shape"]) == ("darknet_reorg", [256, 13, 13])
        table = np.array(record["table"])
    else:
        table = read_c_array(path, tmp_path)
    assert np.array_equal(table, expected)
    if form != "c":
        assert run(capfd, "identify", str(path), "--shape", "1,64,26,26")[0] == 0


def read_c_array(path, tmp_path):
    """Compile the array and print it: the compiler is the judge of C."""
    source = tmp_path / "print.c"
    source.write_text(
        f'#include "{path}"\n#include <stdio.h>\n'
        "int main(void) { for (int i = 0; i < darknet_reorg_size; i++)"
        ' printf("%u\\n", (unsigned)darknet_reorg[i]); return 0; }\n'
    )
    program = tmp_path / "print"
    try:
        subprocess.run(["cc", "-std=c99", "-Wall", "-Werror", "-pedantic", "-o", program, source], check=True)
    except FileNotFoundError:
        pytest.skip("no C compiler here to read the array with")
    return np.array(subprocess.run([program], capture_output=True, text=True, check=True).stdout.split(), np.int64)


def test_table_on_the_screen_and_to_a_pipe(capfd):
    code, out, _ = run(capfd, "table", "focus", "--shape", "3,4,4")
    assert code == 0
    assert "[3, 4, 4] -> [12, 2, 2]" in out
    code, out, _ = run(capfd, "table", "focus", "--shape", "3x4x4", "--format", "csv")
    assert [int(line) for line in out.split()] == lb.op("focus").table((3, 4, 4)).tolist()
    assert json.loads(run(capfd, "table", "c h w -> h w c", "--shape", "3,4,4", "--json")[1])["out_shape"] == [4, 4, 3]


def test_prove(capfd):
    code, out, _ = run(capfd, "prove", "darknet_reorg3d", "space_to_depth", "--stride", "3")
    assert (code, "equal for all sizes" in out) == (0, True)
    code, out, _ = run(capfd, "prove", "darknet_reorg", "space_to_depth", "--stride", "2")
    assert (code, "[4, 2, 2]" in out) == (1, True)
    code, out, _ = run(capfd, "prove", "darknet_reorg", "space_to_depth", "--json")
    assert (code, json.loads(out)["counterexample"]["shape"]) == (1, [4, 2, 2])
    code, _, _ = run(capfd, "prove", "pixel_shuffle", "(c p:s q:s) h w -> c (h p) (w q), s=2")
    assert code == 0
    assert run(capfd, "prove", "channel_shuffle", "focus", "--stride", "2", "--groups", "3")[0] == 1


def test_prove_says_how_far_it_went(capfd):
    chain = "pixel_unshuffle(stride=2) then inverse(focus)"
    code, out, _ = run(capfd, "prove", chain, "c h w -> c h w")
    assert (code, out.split("\n")[0]) == (1, f"{chain}  and  'c h w -> c h w': not equal")
    code, out, _ = run(capfd, "prove", "focus then inverse(focus)", "c h w -> c h w", "--stride", "3x2")
    assert (code, "equal for all sizes" in out, "H a multiple of 3" in out) == (0, True, True)
    halves = [f"C H W | a:C*H*W/{n} b:{n} -> b a | C H W" for n in (2, 3)]
    code, out, _ = run(capfd, "prove", " then ".join(halves), " then ".join(reversed(halves)))
    assert code == 0
    assert "equal at all sizes that were tried, not proved for others" in " ".join(out.split())
    assert "no difference at 1001 shapes tried" in " ".join(out.split())
    code, out, _ = run(capfd, "prove", "a -> a", "a b c -> c b a")
    assert (code, "not comparable" in out) == (1, True)


def test_expressions_wherever_a_name_is_taken(capfd, tmp_path):
    chain = "focus then inverse(pixel_unshuffle(stride=4))"
    expected = lb.op("focus", stride=2).then(lb.op("pixel_unshuffle", stride=4).inverse())
    code, out, _ = run(capfd, "table", chain, "--shape", "4,8,8", "--stride", "2", "--json")
    assert (code, json.loads(out)["table"]) == (0, expected.table((4, 8, 8)).tolist())
    assert expected.table((4, 8, 8)).tolist() == lb.Rearrangement(json.loads(out)["pattern"]).table((4, 8, 8)).tolist()
    assert run(capfd, "table", chain, "--shape", "4,8,8")[0] == 0
    for ending in ("c", "npy"):
        assert run(capfd, "table", chain, "--shape", "4,8,8", "-o", str(tmp_path / f"t.{ending}"))[0] == 0
    onnx = pytest.importorskip("onnx")
    path = tmp_path / "o.onnx"
    code, _, err = run(capfd, "export", chain, "--shape", "1,4,8,8", "-o", str(path))
    assert (code, f"wrote {path}: {chain} for onnx" in err) == (0, True)
    onnx.checker.check_model(str(path))
    assert run(capfd, "identify", str(path), "--shape", "1,4,8,8")[0] in (0, 1)
    assert "character 12" in refused(capfd, "table", "focus then pixel_shufle", "--shape", "4,4,4")


def test_identify(capfd, tmp_path):
    ports = tmp_path / "ports.py"
    ports.write_text(
        "class Reorg:\n    def __call__(self, x):\n        n, c, h, w = x.shape\n"
        "        y = x.reshape(n, c // 4, h, 2, w, 2).transpose(0, 3, 5, 1, 2, 4)\n"
        "        return y.reshape(n, c * 4, h // 2, w // 2)\n"
        "def relu(x):\n    return x * (x > 0)\n"
    )
    code, out, _ = run(capfd, "identify", f"{ports}:Reorg", "--shape", "1,64,26,26", "--json")
    record = json.loads(out)
    assert (code, record["names"], record["parameters"]) == (0, ["darknet_reorg"], {"stride": 2})
    code, out, _ = run(capfd, "identify", f"{ports}:relu", "--shape", "1,64,26,26")
    assert (code, "sign" in out) == (1, True)
    assert "shape" in refused(capfd, "identify", f"{ports}:Reorg", "--shape", "1,64,26,z")
    assert "raised ValueError" in refused(capfd, "identify", f"{ports}:Reorg", "--shape", "1,64,26")
    assert "has no 'Nothing'" in refused(capfd, "identify", f"{ports}:Nothing", "--shape", "1,64,26,26")


@pytest.mark.slow
def test_verify(capfd):
    code, out, _ = run(capfd, "verify", "--frameworks", "numpy")
    assert (code, "all hold" in out) == (0, True)
    code, out, _ = run(capfd, "verify", "--frameworks", "numpy", "--ops", "focus,darknet_reorg", "--json")
    assert (code, json.loads(out)["ok"]) == (0, True)
    assert "'caffe'" in refused(capfd, "verify", "--frameworks", "numpy,caffe")
    assert "at least one" in refused(capfd, "verify", "--frameworks", "")
    assert "at least one" in refused(capfd, "verify", "--ops", ",")
    assert "darknet_reorg" in refused(capfd, "verify", "--frameworks", "numpy", "--ops", "darknet_reorgg")


@pytest.mark.sample(6)
@pytest.mark.parametrize(
    ("shape", "says"),
    [
        ("64,25,26", "H = 25 is not a multiple of 2"),
        ("6,4,4", "loses 24 of 96"),
        ("3,4,4", "divides by zero"),
        ("0,4,4", "between 1 and 2^63 - 1, not 0"),
        ("-4,4,4", "not -4"),
        ("4,4.0,4", "not '4.0'"),
        ("4,9223372036854775808,4", "not 9223372036854775808"),
        (f"4,1{'0' * 5000},4", "2^63"),
        ("4,4294967296,4294967296", "73786976294838206464 elements"),
        ("4,4", "has 2"),
        ("1,1,4,4,4", "has 5"),
        ("", "whole number"),
        ("4,,4", "whole number"),
        ("4,four,4", "four"),
    ],
)
def test_unusable_shapes(capfd, tmp_path, shape, says):
    for output in ([], ["-o", str(tmp_path / "table.npy")]):
        assert says in refused(capfd, "table", "darknet_reorg", "--shape", shape, *output)
    assert list(tmp_path.iterdir()) == []


def test_a_table_too_large_for_memory(capfd, tmp_path):
    arguments = ["table", "darknet_reorg", "--shape", "4,1048576,1048576"]
    assert "32768.0 GiB" in refused(capfd, *arguments, "-o", str(tmp_path / "table.npy"))
    assert list(tmp_path.iterdir()) == []
    assert run(capfd, *arguments)[0] == 0  # the first entries need no table


@pytest.mark.sample(8)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["darknet_reorgg"], "did you mean darknet_reorg"),
        (["yolov2.cfg"], "no operation is called"),
        (["focus", "--stride", "0"], "--stride must be between 1"),
        (["focus", "--stride", "two"], "not 'two'"),
        (["focus", "--stride", "1e3"], "not '1e3'"),
        (["focus", "--stride", ""], "not ''"),
        (["focus", "--stride", "1_0"], "not '1_0'"),
        (["focus", "-o", "table.npy", "--json"], "--json prints"),
        (["focus", "-o", "-"], "tells no format"),
        (["focus", "--groups", "2"], "focus takes no --groups; it takes --stride, --spatial"),
        (["channel_shuffle", "--stride", "2"], "channel_shuffle takes no --stride; it takes --groups"),
        (["c (h p (w q) -> c h w"], "nested"),
        (["c (h p) w) -> c h w"], "unbalanced"),
        (["c h h -> h c"], "repeated"),
        (["c h w -> h w d"], "unknown"),
        (["c h w -> h w"], "missing on the right"),
        (["c h w -> c h w", "--stride", "2"], "takes no --stride"),
        (["c (h p) w -> (c p) h w"], "give a length"),
        (["focus", "-o", "table.xyz"], "tells no format"),
        (["focus", "-o", "no/such/folder/table.npy"], "cannot write"),
        (["focus", "--format", "xml"], "xml"),
        (["focus", "--nonsense"], "--nonsense"),
    ],
)
def test_unusable_calls(capfd, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert says in refused(capfd, "table", *arguments, "--shape", "4,4,4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.sample(8)
@pytest.mark.parametrize("framework", WRITTEN)
@pytest.mark.parametrize(
    ("asked", "operation"),
    [
        (["focus"], lb.op("focus")),
        (["pixel_unshuffle", "--stride", "2x4"], lb.op("pixel_unshuffle", stride=(2, 4))),
        (["c (h p:2) w -> (p c) h w"], lb.Rearrangement("c (h p:2) w -> (p c) h w")),
        (["focus then inverse(pixel_unshuffle(stride=2))"], lb.op("focus").then(lb.op("pixel_unshuffle").inverse())),
    ],
)
def test_code_is_printed(capfd, framework, asked, operation):
    assert run(capfd, "code", *asked, "--to", framework) == (0, lb.code(operation, framework), "")


def test_code_with_and_without_a_batch_and_in_a_data_format(capfd):
    focus, weights = lb.op("focus"), lb.op("oihw_to_hwio")
    assert run(capfd, "code", "focus", "--to", "torch", "--no-batch")[1] == lb.code(focus, "torch", batch=False)
    assert run(capfd, "code", "oihw_to_hwio", "--to", "jax", "--batch")[1] == lb.code(weights, "jax", batch=True)
    told = run(capfd, "code", "focus", "--to", "keras", "--data-format", "channels_first")[1]
    assert told == lb.code(focus, "tensorflow", data_format="channels_first") != lb.code(focus, "tensorflow")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["focus", "--to", "caffe"], "there are einops, numpy, torch, tensorflow, onnx, jax"),
        (["focus"], "--to"),
        (["fokus", "--to", "torch"], "did you mean focus"),
        (["focus", "--to", "torch", "--data-format", "channels_last"], "--data-format is for --to tensorflow"),
        (["focus", "--to", "caffe", "--data-format", "channels_last"], "no code is written for 'caffe'"),
        (["focus", "--to", "tensorflow", "--data-format", "x"], "channels_last or channels_first"),
        (["focus", "--to", "torch", "--groups", "2"], "--groups"),
        (["focus", "--to", "torch", "--stride", "9999999999999"], "takes no shape"),
    ],
)
def test_code_that_cannot_be_is_refused(capfd, arguments, says):
    assert says in refused(capfd, "code", *arguments)


def test_missing_arguments_and_commands(capfd):
    assert "--shape" in refused(capfd, "table", "focus")
    assert "reorganise" in refused(capfd, "reorganise")
    assert "neither" in refused(capfd, "prove", "focus", "pixel_shuffle", "--groups", "2")


def test_a_reader_that_leaves_ends_the_command_quietly():
    command = f"{sys.executable} cli.py table space_to_depth --shape 64,256,256 --format csv | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_other_ways_to_lose_the_output():
    for command, code in (("list > /dev/full", 2), ("table focus --shape 4,4,4 --format csv > /dev/full", 2),
                          ("list | true", 0), ("list >&-", 0)):  # fmt: skip
        script = f"set -o pipefail; {sys.executable} cli.py {command}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=ROOT)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), (command, done)


def test_what_a_callable_prints_is_no_part_of_the_answer(capfd, tmp_path):
    path = tmp_path / "zero.py"
    path.write_text("print('loading')\ndef zero(x):\n    print('called')\n    return x.transpose(0, 2, 3, 1)\n")
    code, out, _ = run(capfd, "identify", f"{path}:zero", "--shape", "1,2,3,4", "--json")
    assert (code, json.loads(out)["names"]) == (0, ["nchw_to_nhwc"])
    assert "zero.py:zero:" in run(capfd, "identify", f"{path}:zero", "--shape", "1,2,3,4")[1]


def test_modules_of_the_current_folder(capfd, tmp_path, monkeypatch):
    (tmp_path / "ports_of_this_folder.py").write_text("def port(x):\n    return x.transpose(0, 2, 3, 1)\n")
    monkeypatch.chdir(tmp_path)
    assert run(capfd, "identify", "ports_of_this_folder:port", "--shape", "1,2,3,4")[0] == 0


def test_completion_knows_the_names():
    for words, expected in (
        ("layoutbridge table darknet_reo", {"darknet_reorg", "darknet_reorg3d"}),
        ("layoutbridge verify --frameworks torch,on", {"torch,onnx"}),
        ("layoutbridge table --stride 2 --spatial=1 darknet_reo", {"darknet_reorg", "darknet_reorg3d"}),
        ("layoutbridge identify t.npy --expect darknet_reo", {"darknet_reorg", "darknet_reorg3d"}),
        ("layoutbridge prove focus darknet_reo", {"darknet_reorg", "darknet_reorg3d"}),
    ):
        assert expected <= set(completed(words)), words
