"""Whole networks on the command line: summary, check, export and detect."""

import json
from pathlib import Path
from shlex import split

import numpy as np
import pytest

from layoutbridge.frameworks.onnx.sessions import highest_loadable_opset
from tests.command_line import ROOT, refused, run
from tests.darknet_files import made

NETS = Path(__file__).resolve().parents[2] / "fixtures" / "nets"
CFG, WEIGHTS = (str(NETS / "alexey" / "yolo_head" / name) for name in ("net.cfg", "net.weights"))
PASSTHROUGH = tuple(str(NETS / "pjreddie" / "passthrough" / name) for name in ("net.cfg", "net.weights"))

# What writing a file takes, by its ending: a .param takes nothing.
WRITTEN_WITH = {
    ".onnx": "onnx",
    ".pt2": "torch",
    ".safetensors": "safetensors",
    ".keras": "tensorflow",
    "": "tensorflow",
    ".tflite": "tensorflow",
    ".xml": "openvino",
}
TOLD_BY = {
    "size": "onnx",
    "called 'soft'": "onnx",
    "opset": "onnx",
    "does not fit into memory": "torch",
}  # refusals that want a framework


def test_summary(capfd):
    code, out, _ = run(capfd, "summary", PASSTHROUGH[0], "--flavor", "pjreddie")
    assert code == 0
    assert "4 reorg" in out
    assert "6x4x32" in out
    assert max(map(len, out.splitlines()[:-1])) <= 80
    assert "9 layers" in out
    rows = json.loads(run(capfd, "summary", PASSTHROUGH[0], "--size", "48x32", "--json")[1])
    assert rows[4]["out_shape"] == [32, 8, 12]
    assert len(json.loads(run(capfd, "summary", PASSTHROUGH[0], "--upto", "3", "--json")[1])) == 3


@pytest.mark.slow
def test_check(capfd):
    pytest.importorskip("onnxruntime")
    code, out, _ = run(capfd, "check", *PASSTHROUGH, "--flavor", "pjreddie")
    assert (code, "equal" in out, "worst" in out) == (0, True, True)
    code, out, _ = run(capfd, "check", *PASSTHROUGH, "--tolerance", "0", "--every-layer")
    assert (code, "diverges" in out) == (1, True)
    record = json.loads(run(capfd, "check", *PASSTHROUGH, "--tolerance", "1e-30", "--json")[1])
    assert record["ok"] is False
    assert record["first_over"] == next(row["name"] for row in record["rows"] if not row["ok"])


def test_export_and_detect(capfd, tmp_path):
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("onnxruntime")
    model, names, drawing = tmp_path / "model.onnx", tmp_path / "some names.txt", tmp_path / "out.png"
    names.write_text("cat\ndog\nhorse\nbird\n")
    arguments = ["export", CFG, WEIGHTS, "--to", "onnx", "--head", "boxes", "--names", str(names), "-o", str(model)]
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (0, "")
    assert "boxes [N, " in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "some names.txt"]
    picture = tmp_path / "picture.png"
    image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(picture)
    code, out, _ = run(capfd, "detect", str(model), str(picture), "--threshold", "0.05", "-o", str(drawing), "--json")
    found = json.loads(out)
    assert code == 0
    assert drawing.is_file()
    assert {item["label"] for item in found["detections"]} <= {"cat", "dog", "horse", "bird"}
    code, out, _ = run(capfd, "detect", str(model), str(picture), "--threshold", "1")
    assert (code, "nothing found" in out) == (0, True)
    plain = ("detect", str(model), str(picture), "--threshold", "0.05", "--json", "--nms-kind")
    counts = [len(json.loads(run(capfd, *plain, kind)[1])["detections"]) for kind in ("greedynms-iou", "greedynms")]
    assert counts[0] == len(found["detections"]) < counts[1]
    assert "called 'soft'" in refused(capfd, *plain, "soft")
    code, _, err = run(capfd, *arguments, "--nms", "--threshold", "0.1", "--overlap", "0.5", "--nms-kind", "greedynms")
    assert (code, "nms [?, 3]" in err) == (0, True)
    assert "is no picture" in refused(capfd, "detect", str(model), str(names))
    assert "threshold" in refused(capfd, "detect", str(model), str(picture), "--threshold", "2")
    assert "no model" in refused(capfd, "detect", str(tmp_path / "none.onnx"), str(picture))


def test_the_export_is_the_network(capfd, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "net.onnx"
    arguments = ("export", *PASSTHROUGH, "--flavor", "pjreddie", "--to", "onnx", "--every-layer", "-o", str(path))
    assert run(capfd, *arguments)[0] == 0
    held = np.load(Path(PASSTHROUGH[0]).parent / "outputs.npz")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    reorg = session.run(["4_reorg"], {"input": held["input"][None]})[0][0]
    assert np.abs(reorg - held["layer04"]).max() <= 1e-5 * np.abs(held["layer04"]).max()


@pytest.mark.sample(6, slow=4)
@pytest.mark.parametrize(
    ("arguments", "files", "says"),
    [
        (
            ["--to", "torch", "-o", "net.pt2"],
            ["net.pt2", "net.safetensors"],
            "wrote net.pt2 and net.safetensors: output",
        ),
        (["--to", "torch", "-o", "net.safetensors"], ["net.safetensors"], "the state dict"),
        (
            ["--to", "ncnn", "-o", "net.param"],
            ["net.bin", "net.json", "net.param"],
            "wrote net.param and net.bin and net.json: output 2_yolo [1,",
        ),
        (["--to", "keras", "-o", "net.keras"], ["net.keras"], "output 2_yolo [N, 8, 8, 27]"),
        (["-o", "net.keras"], ["net.keras"], "output 2_yolo [N, 8, 8, 27]"),
        (["-o", "net.param"], ["net.bin", "net.json", "net.param"], "wrote net.param and net.bin and net.json"),
        (["--to", "tensorflow", "-o", "saved"], ["saved"], "wrote saved: output"),
        (["-o", "net.xml"], ["net.bin", "net.xml"], "wrote net.xml and net.bin: output 2_yolo [N, 27, 8, 8]"),
        (["--to", "keras", "--data-format", "channels_first", "-o", "net.keras"], ["net.keras"], "[N, 27, 8, 8]"),
        (["--to", "keras", "--head", "boxes", "-o", "net.keras"], ["net.keras"], "output boxes [N, 192, 9]"),
        (["--to", "tflite", "-o", "net.tflite"], ["net.tflite"], "no transpose in it"),
        (["--for", "litert", "--half", "-o", "net.tflite"], ["net.tflite"], "output 2_yolo [1, 8, 8, 27]"),
        (
            ["--for", "litert", "--winograd", "-o", "net.tflite"],
            ["net.tflite"],
            "in 0 of 2 convolutions: at these sizes",
        ),
        (["--for", "onnxruntime", "-o", "net.onnx"], ["net.onnx"], "output 2_yolo [N, 27, 8, 8]"),
        (["--to", "onnx", "--half", "-o", "net.onnx"], ["net.onnx"], "output 2_yolo [N, 27, 8, 8]"),
        (["--to", "onnx", "--winograd", "-o", "net.onnx"], ["net.onnx"], "in 0 of 2 convolutions: at these sizes"),
    ],
)
def test_every_target_is_written(capfd, tmp_path, monkeypatch, arguments, files, says):
    pytest.importorskip(WRITTEN_WITH.get(Path(arguments[-1]).suffix, "numpy"))
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capfd, "export", CFG, WEIGHTS, *arguments)
    assert (code, out) == (0, ""), err
    assert says in err
    assert sorted(path.name for path in tmp_path.iterdir()) == files


def test_what_is_told_as_next_can_be_pasted(capfd, tmp_path):
    pytest.importorskip("onnxruntime")
    _, _, err = run(capfd, "export", CFG, WEIGHTS, "-o", str(tmp_path / "my net.onnx"))
    assert f"next: layoutbridge detect '{tmp_path}/my net.onnx' PICTURES" in " ".join(err.split())


@pytest.mark.parametrize(
    ("head", "open_size"),
    [
        *((head, []) for head in ("darknet", "raw", "boxes")),
        *((head, ["--dynamic-size"]) for head in ("darknet", "raw")),
    ],
)
@pytest.mark.parametrize("reading", [["--flavor", "pjreddie"], ["--size", "64x96"], []])
def test_what_is_told_as_next_finds_what_the_cfg_finds(capfd, tmp_path, monkeypatch, head, reading, open_size):
    pytest.importorskip("onnxruntime")
    image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    net = [str(ROOT / f"fixtures/nets/pjreddie/region_logistic/net.{ending}") for ending in ("cfg", "weights")]
    image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save("a.png")
    asked = ["--threshold", "0.1", "--json"]
    err = run(capfd, "export", *net, "-o", "net.onnx", "--head", head, *reading, *open_size)[2]
    assert "from the float64 reference" in err
    told = err.split("next: layoutbridge ")[1].splitlines()[0]
    code, found, err = run(capfd, *split(told.replace("PICTURES", "a.png").replace("-o FOLDER", "")), *asked)
    assert code == 0, err
    there, wanted = (
        json.loads(each)["detections"] for each in (found, run(capfd, "detect", *net, "a.png", *reading, *asked)[1])
    )
    assert wanted and [one["label"] for one in there] == [one["label"] for one in wanted]
    assert [one["score"] for one in there] == pytest.approx([one["score"] for one in wanted], abs=1e-4)


@pytest.mark.parametrize("ending", ["onnx", "param", "xml", "tflite"])
@pytest.mark.parametrize("name", ["alexey/classifier", "pjreddie/classifier"])
def test_a_classifiers_next_command_says_what_the_cfg_says(capfd, tmp_path, monkeypatch, name, ending):
    pytest.importorskip(WRITTEN_WITH.get(f".{ending}", "onnxruntime"))
    image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    net = [str(ROOT / f"fixtures/nets/{name}/net.{each}") for each in ("cfg", "weights")]
    image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save("a.png")
    reading = ["--flavor", "pjreddie"] if name.startswith("pjreddie") else []
    err = run(capfd, "export", *net, "-o", f"my net.{ending}", *reading)[2]
    told = err.split("next: layoutbridge ")[1].splitlines()[0]
    code, found, err = run(capfd, *split(told.replace("PICTURES", "a.png")))
    assert code == 0, err
    wanted = run(capfd, "classify", *net, "a.png", *reading)[1]
    there, here = ([line.rsplit(None, 1) for line in text.splitlines()[1:]] for text in (found, wanted))
    assert len(here) == 5 and [label for label, _ in there] == [label for label, _ in here]
    assert [float(score) for _, score in there] == pytest.approx([float(score) for _, score in here], abs=1e-5)


def test_a_classifier_in_int8_has_the_next_command_too(capfd, tmp_path):
    pytest.importorskip("onnxruntime")
    image = pytest.importorskip("PIL.Image")
    net = [str(ROOT / f"fixtures/nets/alexey/classifier/net.{each}") for each in ("cfg", "weights")]
    picture, written = str(tmp_path / "a.png"), str(tmp_path / "net.onnx")
    image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(picture)
    code, _, err = run(capfd, "export", *net, "-o", written, "--int8", "--calibrate", picture)
    assert code == 0 and f"next: layoutbridge classify {written} PICTURES" in " ".join(err.split()), err
    assert run(capfd, "classify", written, picture)[0] == 0


def test_what_neither_finds_nor_classifies_has_no_next_command(capfd, tmp_path):
    pytest.importorskip("onnxruntime")
    net = [f"fixtures/nets/alexey/residual/net.{each}" for each in ("cfg", "weights")]
    code, _, err = run(capfd, "export", *net, "-o", str(tmp_path / "net.onnx"))
    assert (code, "next: " in err) == (0, False), err


def test_winograd_tells_what_it_costs(capfd, tmp_path):
    pytest.importorskip("onnxruntime")
    text = "[net]\nwidth=52\nheight=52\nchannels=64\n" + 2 * "[convolutional]\nfilters=128\nsize=3\npad=1\n"
    made(text, tmp_path)
    files = (str(tmp_path / "net.cfg"), str(tmp_path / "net.weights"))
    code, _, err = run(capfd, "export", *files, "--to", "onnx", "--winograd", "-o", str(tmp_path / "net.onnx"))
    assert code == 0
    weights = (64 * 128 + 128 * 128) * 4
    assert f"Winograd's form in 2 of 2 convolutions: a session takes {(36 - 9) * weights / 1e6:.1f} MB more" in err


def test_winograd_tells_what_it_costs_in_litert(capfd, tmp_path):
    pytest.importorskip("tensorflow")
    pytest.importorskip("ai_edge_litert")
    convolutions = "[convolutional]\nfilters=128\nsize=1\n[convolutional]\nfilters=256\nsize=3\npad=1\n"
    made(f"[net]\nwidth=26\nheight=26\nchannels=3\n{convolutions}", tmp_path)
    files = (str(tmp_path / "net.cfg"), str(tmp_path / "net.weights"))
    code, _, err = run(capfd, "export", *files, "--for", "litert", "--winograd", "-o", str(tmp_path / "net.tflite"))
    more = f"{(16 - 9) * 128 * 256 * 4 / 1e6:.1f} MB more"
    assert code == 0
    assert f"Winograd's form in 1 of 2 convolutions: the file and a session take {more} for their weights" in err
    assert "of the largest value from the float64 reference" in " ".join(err.split())


@pytest.mark.sample(12, slow=8)
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([CFG, "--to", "onnx"], "needs its weights"),
        ([CFG, WEIGHTS, "-o", "net.bin"], "--to is needed, for 'net.bin' tells no target: onnx (.onnx), torch (.pt2, "),
        ([CFG, WEIGHTS, "-o", "net"], "--to is needed, for 'net' has no ending: "),
        ([CFG, WEIGHTS, "--to", "caffe"], "is written for onnx, torch, keras, "),
        (
            [CFG, WEIGHTS, "--to", "torch", "-o", "net.onnx"],
            ".pt2, .safetensors, .pth or .pt with --to torch",
        ),
        ([CFG, WEIGHTS, "--half", "-o", "net.param"], "--half is for --to onnx or tflite"),
        ([CFG, WEIGHTS, "--to", "torch"], "must end in .pt2"),
        ([CFG, WEIGHTS, "--to", "ncnn"], "must end in .param"),
        ([CFG, WEIGHTS, "--to", "tflite"], "must end in .tflite"),
        ([CFG, WEIGHTS, "--to", "keras"], "must end in .keras"),
        ([CFG, WEIGHTS, "--to", "torch", "--half"], "--half is for --to onnx or tflite"),
        ([CFG, WEIGHTS, "--to", "keras", "--winograd"], "--winograd is for --to onnx or tflite or openvino"),
        ([CFG, WEIGHTS, "--to", "ncnn", "--batch", "2"], "--batch is for --to onnx or torch or keras or tflite"),
        ([CFG, WEIGHTS, "--to", "onnx", "--data-format", "channels_last"], "--data-format is for --to keras"),
        (
            [CFG, WEIGHTS, "--to", "tflite", "--winograd", "--store-winograd"],
            "--store-winograd is for --to onnx or openvino",
        ),
        ([CFG, WEIGHTS, "--to", "onnx", "--half", "--winograd"], "half"),
        ([CFG, WEIGHTS, "--to", "tflite", "--half", "--winograd", "-o", "net.tflite"], "leave out half or winograd"),
        ([CFG, WEIGHTS, "--to", "onnx", "--dynamic-size", "--winograd"], "size"),
        ([CFG, WEIGHTS, "--to", "torch", "--batch", "1999999999", "-o", "net.pt2"], "does not fit into memory"),
        ([CFG, WEIGHTS, "--to", "torch", "--head", "raw", "-o", "a.safetensors"], "--head is for programs (.pt2)"),
        ([CFG, WEIGHTS, "--to", "onnx", "-o", "net.tflite"], "'net.tflite' must end in .onnx"),
        ([CFG, WEIGHTS, "--to", "keras", "-o", "nowhere/net.keras"], "there is no such folder"),
        ([CFG, WEIGHTS, "--to", "keras", "-o", "."], "is no file name"),
        ([CFG, WEIGHTS, "--to", "ncnn", "-o", ""], "is no file name"),
        ([WEIGHTS, CFG, "--to", "onnx"], "the cfg comes first"),
        ([CFG, WEIGHTS, "--for", "caffe"], "there is onnxruntime, openvino, opencv, qnn, hailo"),
        ([CFG, WEIGHTS, "--for", "litert"], "must end in .tflite"),
        ([CFG, WEIGHTS, "--for", "litert", "--to", "onnx"], "--for litert is for --to tflite"),
        ([CFG, WEIGHTS, "--for", "openvino", "--to", "torch"], "--for openvino is for --to onnx"),
        (["focus", "--to", "ncnn"], "an operation is written for numpy"),
        ([CFG, WEIGHTS, "--to", "onnx", "--stride", "2"], "--stride is for an operation"),
        (["focus", "--to", "onnx", "--head", "boxes"], "--head is for a network"),
        (["focus", WEIGHTS, "--to", "onnx"], "WEIGHTS is for a network"),
        ([CFG, WEIGHTS, "--to", "onnx", "--head", "box"], "'box'"),
        ([CFG, WEIGHTS, "--to", "onnx", "--flavor", "joseph"], "'joseph'"),
        ([CFG, WEIGHTS, "--to", "onnx", "--opset", "3"], "opset"),
        ([CFG, WEIGHTS, "--to", "onnx", "--size", "416"], "WIDTHxHEIGHT"),
        ([CFG, WEIGHTS, "--to", "onnx", "--batch", "0"], "--batch"),
        ([CFG, WEIGHTS, "--to", "onnx", "--nms"], "nms needs boxes"),
        ([CFG, WEIGHTS, "--to", "onnx", "--head", "boxes", "--overlap", "0.5"], "ask for nms, too"),
        ([CFG, WEIGHTS, "--to", "onnx", "--head", "boxes", "--nms", "--threshold", "25"], "--threshold must be from 0"),
        ([CFG, WEIGHTS, "--to", "onnx", "--head", "boxes", "--nms", "--overlap", "no"], "--overlap must be a number"),
        ([CFG, WEIGHTS, "--to", "onnx", "--head", "boxes", "--nms", "--nms-kind", "soft"], "called 'soft'"),
        ([CFG, WEIGHTS, "--to", "ncnn", "--nms", "-o", "a.param"], "--nms is for --to onnx or openvino"),
        ([CFG, WEIGHTS, "--to", "onnx", "--names", "none.txt"], "none.txt"),
        ([CFG, CFG, "--to", "onnx"], "net.cfg"),
        (["none.cfg", WEIGHTS, "--to", "onnx"], "none.cfg"),
        ([WEIGHTS + ".cfg", WEIGHTS, "--to", "onnx"], "net.weights.cfg"),
    ],
)
def test_unusable_exports(capfd, tmp_path, monkeypatch, arguments, says):
    pytest.importorskip(TOLD_BY.get(says, "numpy"))
    monkeypatch.chdir(tmp_path)
    place = () if "-o" in arguments else ("-o", "out.onnx")
    assert says in refused(capfd, "export", *arguments, *place)
    assert list(tmp_path.iterdir()) == []


def test_an_opset_beyond_onnxruntime_is_warned_of(capfd, tmp_path):
    pytest.importorskip("onnxruntime")
    arguments = ("export", *PASSTHROUGH, "--to", "onnx", "-o", str(tmp_path / "net.onnx"))
    assert "warning" not in run(capfd, *arguments, "--opset", "20")[2]
    code, _, err = run(capfd, *arguments, "--opset", "28")
    assert code == 0
    assert ("warning: onnxruntime" in err) is (highest_loadable_opset() < 28)


def test_inputs_are_never_overwritten(capfd, tmp_path):
    cfg, weights = tmp_path / "net.cfg", tmp_path / "x.onnx.data"
    cfg.write_bytes(Path(CFG).read_bytes())
    weights.write_bytes(Path(WEIGHTS).read_bytes())
    (tmp_path / "link.onnx").symlink_to(weights)
    for output, more in (
        (cfg, ()),
        (weights, ()),
        (tmp_path / "link.onnx", ()),
        (tmp_path / "x.onnx", ("--external-data",)),
    ):
        error = refused(capfd, "export", str(cfg), str(weights), "--to", "onnx", "-o", str(output), *more)
        assert "would overwrite the input" in error
    assert (cfg.read_bytes(), weights.read_bytes()) == (Path(CFG).read_bytes(), Path(WEIGHTS).read_bytes())
    for model in ((str(cfg), str(weights)), ("m.onnx",)):
        assert "overwrite" in refused(capfd, "detect", *model, str(weights), "-o", str(weights))


def test_pictures_that_do_not_fit_together_are_told_of(capfd, tmp_path):
    cfg = tmp_path / "net.cfg"
    cfg.write_text(
        "[net]\nwidth=33\nheight=33\nchannels=3\n[maxpool]\nsize=2\nstride=2\n[upsample]\nstride=2\n"
        "[route]\nlayers=-1,-2\n[convolutional]\nsize=1\n"
    )
    error = refused(capfd, "summary", str(cfg))
    assert "line 12" in error
    assert "[route] at line 10" in error


def test_the_line_of_the_cfg_is_told(capfd, tmp_path):
    cfg = tmp_path / "net.cfg"
    cfg.write_text("[net]\nwidth=8\nheight=8\nchannels=3\n\n[convolutional]\nfilters=4\nsize=3\nactivation=swoosh\n")
    assert "line 9" in refused(capfd, "summary", str(cfg))
    cfg.write_text("[net]\nwidth=8\nheight=8\nchannels=3\n\n[lstm]\noutput=0\n")
    assert "line 7" in refused(capfd, "summary", str(cfg))


def test_one_class_with_the_weights_of_eighty_is_one_line(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (
        "[net]\nwidth=32\nheight=32\nchannels=3\n[convolutional]\nbatch_normalize=1\nfilters=8\nsize=3\n"
        + 2 * "[convolutional]\nfilters={0}\n[yolo]\nmask=0,1,2\nnum=3\nclasses={1}\n[route]\nlayers=0\n"
    )
    made(text.format(255, 80), tmp_path)
    Path("net.cfg").write_text(text.format(18, 1))
    files = ("net.cfg", "net.weights")
    for arguments in (
        ["export", *files, "-o", "net.onnx"],
        ["check", *files],
        ["check", *files, "--flavor", "pjreddie"],
    ):
        error = refused(capfd, *arguments)
        assert "classes=80 in place of 1 would fit it exactly (filters=255 in lines 10 and 18)" in error
    refused(capfd, "detect", "net.cfg", "net.weights")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.cfg", "net.weights"]


def test_an_unknown_activation_is_chosen(capfd, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    text = "[net]\nwidth=8\nheight=8\nchannels=3\n[conv]\nfilters=4\nsize=3\nactivation={}\n"
    made(text.format("swish"), tmp_path)
    arguments = ("export", "net.cfg", "net.weights", "-o")
    assert run(capfd, *arguments, "swish.onnx")[0] == 0
    Path("net.cfg").write_text(text.format("silu"))
    assert "--activation silu=swish" in refused(capfd, *arguments, "net.onnx")
    for wrong in ("silu", "silu=", "=swish", "swish=silu", "silu=none"):
        refused(capfd, *arguments, "net.onnx", "--activation", wrong)
    assert run(capfd, *arguments, "net.onnx", "--activation", "silu=swish", "--activation", "none=linear")[0] == 0
    held = {entry.key: entry.value for entry in onnx.load("net.onnx").metadata_props}
    assert held["activations"] == "silu=swish"
    assert onnx.load("net.onnx").graph.node == onnx.load("swish.onnx").graph.node
    assert run(capfd, "check", "net.cfg", "net.weights", "--targets", "onnx", "--activation", "silu=relu")[0] == 0
    assert run(capfd, "summary", "net.cfg", "--activation", "silu=relu")[0] == 0
    assert "--activation is for a network" in refused(
        capfd, "export", "focus", "-o", "focus.onnx", "--activation", "silu=relu"
    )
