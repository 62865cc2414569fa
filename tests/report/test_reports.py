"""`--html` of each command: what a page says is what --json says, whatever names are in it; what cannot be written."""

import json
import shlex
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

import layoutbridge as lb
from tests.browser import chromium, chromium_path, opened
from tests.command_line import ROOT, refused, run
from tests.report.page_reader import checked_page

NETS = ROOT / "fixtures" / "nets" / "alexey"
PASSTHROUGH = [str(NETS / "passthrough" / name) for name in ("net.cfg", "net.weights")]
HOSTILE = "<script>document.title='x'</script>\"'&<img src=x onerror=alert(1)>"
LAYERS = 420


def reported(capfd, folder, *arguments, code=0):
    """What --json prints, and the page that comes with it."""
    path = folder / "report.html"
    got, out, err = run(capfd, *arguments, "--html", str(path), "--json")
    assert got == code, err
    assert f"wrote {path}" in err
    return json.loads(out), checked_page(path)


def has(page, *values):
    """Whether the page has each of these numbers, with all of their digits."""
    missing = {float(value) for value in values if value is not None} - set(page.numbers)
    assert not missing


def same_command(page, arguments):
    """Whether the page's command line, pasted, is the one that was run."""
    line = next(line for line in page.text.splitlines() if line.startswith("layoutbridge "))
    commands = [line for line in page.text.split("\n") if line.startswith(f"layoutbridge {arguments[0]} ")]
    assert [*shlex.split(commands[-1])[1:]][: len(arguments)] == list(arguments), line


def wrong_port(folder):
    """A port of a network in which another op stands in the place of its reorg."""
    pytest.importorskip("onnxruntime", reason="both models are run")
    pytest.importorskip("onnx_ir", reason="the port is rewritten")
    port, path = folder / "port.onnx", folder / "wrong.onnx"
    lb.darknet.load(*PASSTHROUGH).to_onnx(port)
    place = next(number for number, place in enumerate(lb.scan(port).places) if "darknet_reorg" in place.names)
    lb.rewrite(port, fix={place: "space_to_depth"}).save(path)
    return path


def long_network(folder, name="long"):
    """A cfg of more than 400 layers with connections that skip some, and weights for it."""
    sections = ["[net]\nwidth=8\nheight=8\nchannels=3\n"]
    for layer in range(LAYERS):
        if layer % 5 == 4:
            sections.append("[shortcut]\nfrom=-3\nactivation=linear\n")
        elif layer % 60 == 59:
            sections.append(f"[route]\nlayers=-1,{layer - 40}\n")
        else:
            sections.append("[convolutional]\nfilters=4\nsize=1\nstride=1\npad=1\nactivation=leaky\n")
    cfg, weights = folder / f"{name}.cfg", folder / f"{name}.weights"
    cfg.write_text("\n".join(sections))
    network = lb.darknet.load(cfg).network
    count = sum(parameter.stored for layer in network.layers for parameter in layer.parameters)
    header = np.array([0, 2, 5, 0, 0], np.int32).tobytes()
    weights.write_bytes(header + np.random.default_rng(0).normal(0, 0.3, count).astype(np.float32).tobytes())
    return str(cfg), str(weights)


# ---------------------------------------------------------------------- what a page says


def test_check(tmp_path, capfd):
    pytest.importorskip("onnxruntime", reason="the target is run")
    arguments = ["check", *PASSTHROUGH, "--targets", "onnx"]
    found, page = reported(capfd, tmp_path, *arguments)
    has(page, *(row["deviations"]["onnx"] for row in found["rows"]), *(row["largest"] for row in found["rows"]))
    assert "equal: the target holds all 9 layers" in page.text
    same_command(page, arguments)
    for path in map(Path, PASSTHROUGH):
        assert [str(path), sha256(path.read_bytes()).hexdigest()] in [[row[0], row[-1]] for row in page.rows]
        has(page, path.stat().st_size)


def test_check_marks_the_first_layer_apart(tmp_path, capfd):
    pytest.importorskip("onnxruntime", reason="the target is run")
    arguments = ["check", *PASSTHROUGH, "--targets", "onnx", "--tolerance", "3e-7"]
    found, page = reported(capfd, tmp_path, *arguments, code=1)
    assert f"Jump to {found['first_over']} in the network" in page.text
    marked = [given for _, given in page.tags if given.get("class") == "step first"]
    assert [given["id"] for given in marked] == ["first"]
    assert page.raw.count("▶ first apart") == 1
    over = [row for row in found["rows"] if not row["ok"]]
    assert page.raw.count('class="step apart"') == len(over) - 1
    has(page, *(row["rounding"] for row in over))


def test_compare(tmp_path, capfd):
    path = wrong_port(tmp_path)
    arguments = ["compare", *PASSTHROUGH, str(path)]
    found, page = reported(capfd, tmp_path, *arguments, code=1)
    has(page, *(row["deviation"] for row in found["rows"]), found["causes"][0]["deviation_before"])
    assert "rearrangement at 4_reorg: space_to_depth, where darknet_reorg is expected" in page.text
    assert [given["id"] for _, given in page.tags if given.get("class") == "step first" and "id" in given] == ["first"]
    assert page.raw.count('class="step first"') == 2  # in both models, in one row
    row = next(row for row in page.rows if any("first apart" in cell for cell in row))
    assert next(cell for cell in row if "reorg" in cell).startswith("reorg")
    assert any("SpaceToDepth" in cell for cell in row)
    apart = [given for _, given in page.tags if "data-differs" in given]
    assert len(apart) == 8  # of 16 elements half lie elsewhere
    same_command(page, arguments)


def test_compare_of_equal_models_and_of_a_file_of_python(tmp_path, capfd):
    found, page = reported(capfd, tmp_path, "compare", *PASSTHROUGH, *PASSTHROUGH)
    assert "equal: 10 of 10 tensors" in page.text
    assert not [given for _, given in page.tags if "first" in (given.get("class") or "").split()]
    assert found["equal"]


def test_scan(tmp_path, capfd):
    found, page = reported(capfd, tmp_path, "scan", PASSTHROUGH[0])
    assert [place["names"] for place in found["places"]] == [["darknet_reorg"]]
    assert "1 of 1 place moves elements" in page.text
    has(page, found["places"][0]["bytes"])
    assert page.raw.count('class="step place"') == 1
    places = [row for row in page.rows if row[:1] == ["0"]]
    assert places[0][1] == found["places"][0]["nodes"][0]


def test_scan_shows_what_differs_from_what_was_expected(tmp_path, capfd):
    _, page = reported(capfd, tmp_path, "scan", PASSTHROUGH[0], "--expect", "space_to_depth", code=1)
    assert "not space_to_depth: 1 of 1 place" in page.text
    assert "found: darknet_reorg" in page.text
    assert "expected: space_to_depth" in page.text
    assert page.raw.count('class="step first"') == 1


def test_rewrite(tmp_path, capfd):
    path = wrong_port(tmp_path)
    arguments = ["rewrite", str(path), "-o", str(tmp_path / "fixed.onnx"), "--fix", "0=darknet_reorg"]
    found, page = reported(capfd, tmp_path, *arguments)
    has(page, found["nodes_before"], found["nodes_after"], found["bytes_moved_before"], found["deviation"])
    assert found["passes"][0]["proof"] in page.text
    assert page.text.count("taken out") >= 1
    assert page.text.count("put in") >= 1
    assert f"written to {tmp_path / 'fixed.onnx'}" in page.text
    _, page = reported(capfd, tmp_path, "rewrite", str(path), "--plan", "--fix", "0=darknet_reorg")
    assert "would be rewritten" in page.text


def test_verify(tmp_path, capfd):
    found, page = reported(capfd, tmp_path, "verify", "--frameworks", "numpy", "--ops", "focus,darknet_reorg")
    runs = found["counts"]["matches"]
    assert f"all hold: {runs} runs" in page.text
    has(page, runs, len(found["rows"]))
    counted = {row[0]: row[1] for row in page.rows if row and row[0] in ("focus", "darknet_reorg")}
    assert counted == {"focus": f"✓ {runs // 2}", "darknet_reorg": f"✓ {runs // 2}"}


def test_verify_shows_findings(tmp_path):
    from layoutbridge.recognition.rows import Row
    from layoutbridge.recognition.verification import Verification
    from layoutbridge.report.html.verifications import verification_page
    from layoutbridge.report.pages.origin import Origin

    row = Row("numpy", HOSTILE, "Focus", True, "NCHW", (1, 4, 4, 4), 2, "uint8", "forward", ("space_to_depth",),
              "differs", "element [0, 0, 0, 1] comes from elsewhere", "focus")  # fmt: skip
    path = tmp_path / "report.html"
    path.write_text(verification_page(Verification((row,)), Origin(["verify"])), encoding="utf-8")
    page = checked_page(path)
    assert "1 finding in 1 run" in page.text
    assert "found: space_to_depth" in page.text
    assert "✗ 1 of 1 differ" in page.text
    assert HOSTILE in page.text


def labelled(folder, names):
    """A .data file of one picture with a box, for a network of four classes."""
    image = pytest.importorskip("PIL.Image", reason="a picture is looked at")
    image.new("RGB", (40, 60), "orange").save(folder / "a.png")
    (folder / "a.txt").write_text("0 0.5 0.5 1 1\n")
    (folder / "valid.txt").write_text(str(folder / "a.png"))
    (folder / "my.names").write_text("\n".join(names))
    (folder / "my.data").write_text(f"classes=4\nvalid={folder / 'valid.txt'}\nnames={folder / 'my.names'}\n")
    return str(folder / "my.data")


def test_map(tmp_path, capfd):
    net = [str(NETS / "yolo_head" / name) for name in ("net.cfg", "net.weights")]
    data = labelled(tmp_path, [HOSTILE, "b", "c", "d"])
    arguments = ["map", *net, "--data", data, "--framework", "reference", "--iou", "0.01", "--threshold", "0.001"]
    found, page = reported(capfd, tmp_path, *arguments)
    count = found["darknet"]
    has(page, *(row["average_precision"] for row in count["classes"]), count["truths"], count["precision"], count["f1"])
    assert f"mAP@0.01 = {count['mean_average_precision']:.2%}" in page.text
    assert [row[0] for row in page.rows if HOSTILE in row[:1]] == [HOSTILE]
    assert "curves" not in count
    files = {row[0] for row in page.rows if row}
    assert {*net, data, str(tmp_path / "my.names")} <= files  # the last named by the .data file


def test_map_as_coco_counts(tmp_path, capfd):
    pytest.importorskip("faster_coco_eval", reason="COCO's program counts")
    net = [str(NETS / "yolo_head" / name) for name in ("net.cfg", "net.weights")]
    arguments = ["map", *net, "--data", labelled(tmp_path, [HOSTILE, "b", "c", "d"]), "--framework", "reference"]
    found, page = reported(capfd, tmp_path, *arguments, "--count", "coco")
    has(page, *(value for value in found["coco"]["class_aps"] if value >= 0))
    has(page, *(found["coco"][name] for name in ("ap", "ap50", "ar1", "ar10", "ar100") if found["coco"][name] >= 0))
    assert [row[0] for row in page.rows if HOSTILE in row[:1]] == [HOSTILE]


def test_curves_are_those_of_the_average_precision():
    from layoutbridge.darknet.evaluation.counting import average_precision, precision_curve

    rng = np.random.default_rng(0)
    for _ in range(50):
        right = rng.random(rng.integers(1, 300)) < rng.random()
        truths = int(right.sum() + rng.integers(0, 5)) or 1
        points = precision_curve(right, truths)
        assert len(points) <= 200
        area = sum((recall - before) * height for (recall, height), (before, _) in zip(points, [(0, 0), *points]))  # noqa: B905
        assert area == pytest.approx(average_precision(right, truths), abs=1e-9 if len(points) < 200 else 0.02)


@pytest.mark.slow
def test_benchmark(tmp_path, capfd):
    pytest.importorskip("onnxruntime", reason="a format is measured")
    net = [str(NETS / "yolo_head" / name) for name in ("net.cfg", "net.weights")]
    found, page = reported(capfd, tmp_path, "benchmark", *net, "--targets", "onnx", "--rounds", "2")
    for row in found["rows"]:
        has(page, row["bytes"], row["load_seconds"], row["memory"], row["deviation"], 1000 * row["seconds"])
    assert "onnxruntime" in {row[0] for row in page.rows if row}  # it ran in a process of its own


# ---------------------------------------------------------------------- names that would run


def hostile_model(folder):
    onnx = pytest.importorskip("onnx", reason="a model with such names is made")
    helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("SpaceToDepth", [HOSTILE], [f"{HOSTILE}1"], name=HOSTILE, blocksize=2),
        helper.make_node("Relu", [f"{HOSTILE}1"], [f"{HOSTILE}2"], name=f'"{HOSTILE}'),
    ]
    given, made = (
        [helper.make_tensor_value_info(name, FLOAT, shape)]
        for name, shape in ((HOSTILE, [1, 4, 8, 8]), (f"{HOSTILE}2", [1, 16, 4, 4]))
    )
    path = folder / "<b>&'.onnx"
    model = helper.make_model(
        helper.make_graph(nodes, HOSTILE, given, made), opset_imports=[helper.make_opsetid("", 13)], ir_version=8
    )
    onnx.save(model, path)
    return str(path)


@pytest.mark.parametrize("extra", [[], ["--expect", "darknet_reorg"]])
def test_names_in_a_model_stay_text(tmp_path, capfd, extra):
    _, page = reported(capfd, tmp_path, "scan", hostile_model(tmp_path), *extra, code=bool(extra))
    assert page.text.count(HOSTILE) >= 4
    assert any("<b>&'.onnx" in heading for heading in page.headings)


def test_names_in_two_models_stay_text(tmp_path, capfd):
    path = hostile_model(tmp_path)
    pytest.importorskip("onnxruntime", reason="both models are run")
    _, page = reported(capfd, tmp_path, "compare", path, path)
    assert page.text.count(HOSTILE) >= 4


def test_what_steers_a_terminal_or_is_half_a_character_is_shown_as_python_writes_it(tmp_path):
    from layoutbridge.report.pages.frame import Verdict, page
    from layoutbridge.report.pages.origin import Origin, sections

    path = tmp_path / "report.html"
    origin = Origin(["scan", "a\x1b[31m\udcff\u202e.onnx"])
    path.write_text(page("t", "h\x00", Verdict("told", "v"), sections(origin), made_by="m"), encoding="utf-8")
    assert "\\x1b[31m\\udcff\\u202e.onnx" in checked_page(path).text


def test_passwords_in_addresses_are_not_told(tmp_path):
    from layoutbridge.auditing.audits import Audit, Suspicion
    from layoutbridge.report.html.audits import audit_page
    from layoutbridge.report.pages.origin import Origin

    address = "s3://me:secret@bucket/models"
    odd = Suspicion(f"{address}/a.onnx", ("node",), None, "why")
    found = Audit({"scanned": 1}, 1, 0, (), (odd,), ((f"{address}/b.onnx", f"{address} is not there"),), {}, ())
    path = tmp_path / "report.html"
    path.write_text(audit_page(found, [address], Origin(["audit", address])), encoding="utf-8")
    page = checked_page(path)
    assert "secret" not in page.raw
    assert page.text.count("s3://bucket/models") >= 4


@pytest.mark.slow
def test_a_browser_finds_nothing_to_run(tmp_path, capfd):
    browser = chromium_path()
    if browser is None:
        pytest.skip("no browser is installed")
    reported(capfd, tmp_path, "scan", hostile_model(tmp_path), "--expect", "darknet_reorg", code=1)
    call = [
        browser,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--dump-dom",
        f"--user-data-dir={tmp_path / 'user'}",
    ]
    done = subprocess.run(
        [*call, (tmp_path / "report.html").as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    assert "<script" not in done.stdout
    assert "<img" not in done.stdout
    assert "<title>layoutbridge scan: not darknet_reorg: 1 of 1 place</title>" in done.stdout


def test_what_stands_in_a_step_stays_in_its_frame(tmp_path, capfd):
    reported(capfd, tmp_path, "scan", hostile_model(tmp_path), "--expect", "darknet_reorg", code=1)
    over = """[...document.querySelectorAll(".step > *")].filter(each =>
        each.getBoundingClientRect().right > each.parentElement.getBoundingClientRect().right).length"""
    with chromium() as browser:
        for width in (360, 900):
            with opened(browser, viewport={"width": width, "height": 800}) as (page, _):
                page.goto((tmp_path / "report.html").as_uri())
                assert page.locator(".step").count() == 3
                assert page.evaluate(over) == 0


# ---------------------------------------------------------------------- sizes


def test_four_hundred_layers_are_small_and_whole(tmp_path, capfd):
    net = long_network(tmp_path)
    found, page = reported(capfd, tmp_path, "compare", *net, *net)
    assert (tmp_path / "report.html").stat().st_size < 2_000_000
    assert len(found["rows"]) == LAYERS + 1
    assert page.raw.count('class="step"') == 2 * (LAYERS + 1)
    assert '<div class="steps" tabindex="0"' in page.raw


def test_check_of_four_hundred_layers(tmp_path, capfd):
    pytest.importorskip("onnxruntime", reason="the target is run")
    _, page = reported(capfd, tmp_path, "check", *long_network(tmp_path), "--targets", "onnx")
    assert (tmp_path / "report.html").stat().st_size < 2_000_000
    assert page.raw.count('class="step"') == LAYERS + 1


def test_of_very_many_steps_those_around_what_is_marked_are_drawn():
    from layoutbridge.report.pages.drawing import Box, Side, drawn

    boxes = [Box(f"n{place}", "op", "", "first" if place == 20_000 else "") for place in range(40_000)]
    made = "".join(drawn(Side("m", boxes, {place: [place - 1] for place in range(1, 40_000)}), {}, "a network"))
    assert len(made) < 2_000_000
    assert "n20000<" in made
    assert "more, not drawn" in made
    assert "n39999<" in made


# ---------------------------------------------------------------------- what cannot be done


SCAN = ["scan", PASSTHROUGH[0], "--html"]


def test_pages_that_cannot_be_written(tmp_path, capfd):
    assert "give it FILE.html or FILE.htm, not 'report.pdf'" in refused(capfd, *SCAN, "report.pdf")
    assert "give it FILE.html or FILE.htm, not '-'" in refused(capfd, *SCAN, "-")
    assert "No such file or directory" in refused(capfd, *SCAN, str(tmp_path / "none" / "r.html"))
    (tmp_path / "folder.html").mkdir()
    assert "it is a folder" in refused(capfd, *SCAN, str(tmp_path / "folder.html"))
    assert "is no file name" in refused(capfd, *SCAN, f"{tmp_path}/r.html/")
    assert "cannot write" in refused(capfd, *SCAN, str(tmp_path / f"{'n' * 300}.html"))
    assert "leave one out" in refused(capfd, "verify", "--against", "atlas.json", "--html", str(tmp_path / "r.html"))
    assert [path.name for path in tmp_path.iterdir()] == ["folder.html"]


def test_a_page_does_not_replace_an_input(tmp_path, capfd):
    path = tmp_path / "net.html"
    path.write_text("mine")
    assert "would overwrite the input" in refused(capfd, "audit", str(path), "--html", str(path))
    assert path.read_text() == "mine"


def test_a_page_does_not_replace_what_is_written_beside_it(tmp_path, capfd):
    both = str(tmp_path / "both.html")
    told = refused(capfd, "rewrite", hostile_model(tmp_path), "-o", both, "--fix", "0=focus", "--html", both)
    assert "give the page another name" in told
    assert "give the page another name" in refused(capfd, "audit", str(tmp_path), "-o", both, "--html", both)
    assert not (tmp_path / "both.html").exists()


def test_it_is_refused_before_the_work(tmp_path, capfd):
    missing = str(tmp_path / "missing.cfg")
    told = refused(capfd, "check", missing, missing, "--html", str(tmp_path / "none" / "r.html"))
    assert "cannot write into" in told


def test_nothing_is_written_where_the_work_fails(tmp_path, capfd):
    page = tmp_path / "r.html"
    page.write_text("old")
    assert "missing.cfg" in refused(capfd, "scan", str(tmp_path / "missing.cfg"), "--html", str(page))
    assert page.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]


def test_pages_need_no_framework_and_no_window():
    program = (
        "import sys; from layoutbridge.cli import main; "
        f"code = main({[*SCAN, '/dev/null']!r}); import layoutbridge.report.html.scans; "
        "print(sorted({'torch', 'tensorflow', 'onnx', 'matplotlib', 'tkinter'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


def test_help_imports_no_pages():
    program = (
        "import sys; from layoutbridge.cli import main; main(['scan', '--help']); "
        "print(any(name.startswith('layoutbridge.report.html') for name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.endswith("False\n")
