"""The fastest form of a network, by trial in real runtimes, each candidate in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.darknet.detectors.formats import open_file
from layoutbridge.darknet.ports.records.tuned import Tuned, as_tuned, processor_here, read_tuned
from layoutbridge.darknet.ports.table import port
from layoutbridge.darknet.tuning.budgets import Budget
from layoutbridge.darknet.tuning.candidates import TUNED_TARGETS, Candidate, Form, forms_of
from layoutbridge.darknet.tuning.convolutions import convolutions_of
from layoutbridge.darknet.tuning.files import Files
from layoutbridge.darknet.tuning.results import Trial
from layoutbridge.darknet.tuning.searching import Search
from layoutbridge.darknet.tuning.turns import Running, _as_good, _simplest, _tell
from layoutbridge.errors import ParameterError, UnknownNameError, UnsupportedError, UnusableInputError
from tests.command_line import refused, run
from tests.darknet_files import made

pytest.importorskip("onnxruntime")
YOLO = ("fixtures/nets/alexey/yolo_head/net.cfg", "fixtures/nets/alexey/yolo_head/net.weights")
RECORD = Tuned(
    processor_here(), "onnxruntime", "1.0", 1, {"session.intra_op.allow_spinning": "0"}, "plain", 0.9, "2026-01-31"
)


@pytest.fixture(scope="module")
def yolo():
    return lb.darknet.load(*YOLO)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def found(yolo, cache):
    return lb.darknet.tune(yolo, targets=["onnx"], threads=1, cache=cache)


@pytest.mark.slow
def test_what_is_found_is_measured_and_told(found):
    best = found.best
    assert best.chosen and not best.reason and best.target == "onnx" and best.threads == 1
    assert 0 < best.seconds < 1 and 0 < best.ratio < 2 and best.load > 0 and best.bytes > 1000
    assert 10e6 < best.memory < 1e9 and best.deviation < 1e-4
    assert {trial.form for trial in found.trials} >= {"plain", "winograd"}
    assert [trial.chosen for trial in found.trials].count(True) == 1
    assert any(trial.settings for trial in found.trials)
    assert found.processor == processor_here() and found.cores >= 1
    assert str(found).startswith("net.cfg: ")
    told = json.loads(found.to_json())
    assert told["trials"][0]["chosen"] is True and told["budget"]["load"] is None


@pytest.mark.slow
def test_half_and_int8_are_tried_where_they_are_asked_for(yolo, tmp_path):
    """Their options for the writer may be none, as the plain form's are: they are tried all the same."""
    pictures = np.random.default_rng(0).random((2, *yolo.network.in_shape), np.float32)
    found = lb.darknet.tune(yolo, targets=["onnx"], threads=1, half=True, calibrate=pictures, cache=tmp_path)
    measured = {trial.form for trial in found.trials if trial.seconds is not None}
    assert measured >= {"plain", "half", "int8"}


@pytest.mark.thorough
def test_forms_that_are_the_same_are_tried_once_in_openvino(yolo, tmp_path):
    pytest.importorskip("openvino")
    found = lb.darknet.tune(yolo, targets=["openvino"], threads=1, cache=tmp_path)
    assert [trial.reason for trial in found.trials if trial.form == "winograd"] == ["it is the same file as plain"]


@pytest.mark.slow
def test_no_trial_within_the_budget_is_much_faster_than_the_choice(found):
    rest = [trial.seconds for trial in found.trials if trial.seconds and not trial.reason]
    assert found.best.seconds <= 1.3 * min(rest)  # other trials were measured at other times: beside others


def test_the_choice_is_written_with_its_record(found, yolo, tmp_path):
    path = tmp_path / "net.onnx"
    lb.darknet.write_tuned(yolo, path, found, options={"head": "boxes"})
    opened = open_file(path)
    record = read_tuned(opened.metadata)
    assert record == found.record
    assert (record.runtime, record.threads, record.processor) == ("onnxruntime", 1, processor_here())
    assert opened.metadata["head"] == "boxes"
    assert lb.darknet.Detector(path)


@pytest.mark.slow
def test_a_second_run_recalls(yolo, cache, found):
    files = list(cache.glob("*.json"))
    assert len(files) == 1 and json.loads(files[0].read_text())["key"]["runtime"] == "onnxruntime"
    held = json.loads(files[0].read_text())
    name = next(name for name in held["trials"] if "graph_optimization_level" in name)
    held["trials"][name]["ratio"] = 100.0
    files[0].write_text(json.dumps(held))
    again = lb.darknet.tune(yolo, targets=["onnx"], threads=1, cache=cache)
    assert [trial.ratio for trial in again.trials if "graph_optimization_level" in trial.settings] == [100.0]
    assert set(held["trials"]) <= set(json.loads(files[0].read_text())["trials"])


def test_trials_are_remembered_by_what_is_in_the_file(yolo, tmp_path):
    """So that nothing is recalled of a form that is written otherwise today, or rounded over other pictures."""

    def files(folder):
        (tmp_path / folder).mkdir()
        return Files(port("onnx"), yolo, {}, None, tmp_path / folder, str)

    once, again = files("once"), files("again")
    plain, tiles = Form("plain"), Form("half", {"half": True})
    assert once.of(plain).digest == again.of(plain).digest != once.of(tiles).digest
    assert len(once.of(plain).digest) == 64


def test_the_names_of_trials_hold_the_digest(yolo, cache, found, tmp_path):
    (held,) = [json.loads(path.read_text()) for path in cache.glob("*.json")]
    digest = Files(port("onnx"), yolo, {}, None, tmp_path, str).of(Form("plain")).digest
    assert any(digest in name for name in held["trials"])


def candidates(*named):
    """Candidates that ran in several processes, the simplest first: their seconds by their place in the order."""
    running = [Running(Candidate("ncnn", Form("plain"), 1), None, None, None, order) for order in range(len(named))]
    return dict(zip(running, named, strict=True))


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        (([5.0, 6.0, 4.5], [4.0, 5.5, 5.0]), 0),  # the second is faster in one process, and slower in another
        (([5.0, 5.1, 5.2], [4.0, 4.1, 4.2]), 1),  # in all
        (([5.0, 5.1, 5.2], [4.0, 4.1, 9.0]), 1),  # one process was disturbed
        (([9.0, 9.1, 9.2], [5.0, 5.1, 5.2], [4.9, 5.1, 5.0]), 1),
        (([4.0],), 0),
        (([4.05], [4.0]), 0),  # as good as equal
    ],
)
def test_of_short_runs_the_simplest_is_chosen_that_processes_do_not_tell_from_the_fastest(seconds, chosen):
    assert _simplest(candidates(*seconds)).number == chosen


def test_what_is_told_of_short_runs_is_what_they_are_chosen_by():
    """Not what one process took, in which the chosen one may have been slower than the plain form."""
    tried = candidates([5.0, 5.1, 5.2], [5.2, 4.1, 4.1])
    for one, ratio in zip(tried, (1.0, 1.04), strict=True):
        one.trial = Trial("ncnn", "ncnn", "", "plain", 1, {}, {}, seconds=5.2, ratio=ratio)
    plain, chosen = tried
    _tell(tried, [plain])
    assert _simplest(tried) is chosen
    assert (plain.trial.seconds, plain.trial.ratio) == (5.1, 1.0)
    assert chosen.trial.seconds == 4.1 and chosen.trial.ratio == pytest.approx(4.1 / 5.1)
    _tell(tried, [])
    assert chosen.trial.ratio == pytest.approx(4.1 / 5.1), "without the plain form beside it, it stays"


def test_of_those_as_fast_as_each_other_one_that_loads_quickly_is_chosen():
    tried = candidates([4.0], [4.05], [4.0])
    first, *_ = tried
    first.heavy = True
    assert _simplest(tried).number == 1


@pytest.mark.parametrize(
    ("heavy", "seconds", "chosen"),
    [((True, False), 1.03, 1), ((True, False), 1.05, 0), ((False, False), 0.99, 0), ((True, True), 1.03, 0),
     ((False, True), 0.97, 0), ((False, True), 0.95, 1)],
)  # fmt: skip
def test_what_loads_quickly_may_take_four_hundredths_more(heavy, seconds, chosen):
    tried = [*candidates([], [])]
    for one, slow, taken in zip(tried, heavy, (1.0, seconds), strict=True):
        one.heavy, one.rounds = slow, [taken] * 5
    assert _as_good(tried, min(tried, key=lambda one: one.rounds)) is tried[chosen]


@pytest.mark.parametrize(("load", "wanted"), [(4.0, True), (1.9, True), (1.4, False)])
def test_weights_are_stored_where_making_them_takes_long(yolo, load, wanted):
    trial = Trial("onnx", "onnxruntime", "", "plain", 1, {}, {}, load=1.0)
    made = replace(trial, form="winograd", load=load)
    search = Search(
        net=yolo, options={}, wanted=[], budget=Budget(), threads=(1,), half=False, calibrate=None, folder=None,
        processor="", cache=None, until=0.0, report=str, trials=[made],
        controls=[Running(Candidate("onnx", Form("plain"), 1), trial, None, None, 0)],
    )  # fmt: skip
    stored = Form("winograd, stored", {}, instead_of="winograd")
    assert search._is_needed("onnx", stored) == wanted


@pytest.mark.slow
def test_what_breaks_the_budget_is_out(yolo, cache):
    with pytest.raises(UnusableInputError, match=r"chosen: onnx plain: its files take 0\.00\d+ MB, and 1e-05 MB"):
        lb.darknet.tune(yolo, targets=["onnx"], threads=1, budget=lb.darknet.Budget(size=10), cache=cache)
    with pytest.raises(UnusableInputError, match=r"onnx plain: its process takes .* MB, and 1 MB are allowed"):
        lb.darknet.tune(yolo, targets=["onnx"], threads=1, budget=lb.darknet.Budget(memory=1_000_000), cache=cache)


@pytest.mark.parametrize("target", TUNED_TARGETS)
def test_every_format_holds_the_record(yolo, tmp_path, target):
    record = port(target)
    for module in {"tflite": ("ai_edge_litert", "tensorflow")}.get(target, (target,)):
        pytest.importorskip(module)
    path = tmp_path / f"net{record.endings[0]}"
    record.write(yolo.network, yolo.parameters, path, tuned=RECORD)
    assert read_tuned(open_file(path).metadata) == RECORD


def test_a_record_is_used_where_nothing_is_named_on_such_a_processor():
    told = {"tuned": RECORD.to_json()}
    assert as_tuned(told, "onnx", 0, None) == (1, RECORD.settings)
    assert as_tuned(told, "onnx", 2, None) == (2, {})
    assert as_tuned(told, "onnx", 0, {}) == (0, {})
    elsewhere = replace(RECORD, processor="another").to_json()
    assert as_tuned({"tuned": elsewhere}, "onnx", 0, None) == (0, {})
    greedy = replace(RECORD, threads=1 << 20).to_json()
    assert as_tuned({"tuned": greedy}, "onnx", 0, None) == (0, {})
    foreign = replace(RECORD, settings={"session.load_model_format": "ORT"}).to_json()
    assert as_tuned({"tuned": foreign}, "onnx", 0, None) == (1, {})
    assert as_tuned({"tuned": '{"threads": 1}'}, "onnx", 0, None) == as_tuned({}, "onnx", 0, None) == (0, {})


def test_convolutions_that_are_timed(tmp_path):
    conv = "[convolutional]\nfilters={}\nsize={}\nstride={}\npad=1\nactivation=leaky\n"
    sizes = [(16, 3, 1), (16, 3, 1), (16, 3, 1), (16, 1, 1), (16, 3, 2), (12, 3, 1)]
    text = "[net]\nwidth=16\nheight=16\nchannels=3\n" + "".join(conv.format(*size) for size in sizes)
    net = made(text, tmp_path)
    found = convolutions_of(net.network, 4)
    assert list(found.values()) == [[0], [1, 2]]  # 1×1, of stride 2, and of 12 filters there is one form
    assert [(one.in_shape, one.filters, one.batch) for one in found] == [((3, 16, 16), 16, 4), ((16, 16, 16), 16, 4)]


def test_forms_are_those_of_the_writer():
    layers, gentle = {1: (6, 6)}, {1: (4, 4)}
    names = [form.name for form in forms_of(port("onnx"), layers, gentle, half=True, int8=True)]
    assert names[0] == "plain" and names[-2:] == ["half", "int8"]
    stands_in = {form.name: form.instead_of for form in forms_of(port("onnx"), layers, gentle, half=False, int8=False)}
    assert stands_in["winograd by layer"] == ""
    assert stands_in["winograd by layer, small tiles"] == "winograd by layer"
    assert stands_in["winograd by layer, stored"] == "winograd by layer"
    same = [form.name for form in forms_of(port("onnx"), gentle, gentle, half=False, int8=False)]
    assert "winograd by layer, small tiles" not in same
    assert "winograd by layer" not in [form.name for form in forms_of(port("onnx"), {}, {}, half=False, int8=False)]
    assert [form.name for form in forms_of(port("ncnn"), None, None, half=True, int8=False)] == ["plain"]
    held = [form.name for form in forms_of(port("tflite"), gentle, gentle, half=False, int8=False)]
    assert held == ["plain", "winograd", "winograd by layer"], "whose files hold the weights so anyway"


@pytest.mark.parametrize("option", ["--seconds", "--max-deviation", "--max-load", "--max-memory", "--max-size"])
def test_a_limit_of_nothing_is_told_by_its_option(capfd, option):
    assert f"{option} must be over 0, not 0" in refused(capfd, "tune", *YOLO, "--targets", "onnx", option, "0")


def test_what_cannot_be_tuned(yolo, tmp_path):
    with pytest.raises(UnknownNameError, match="what is tuned is ncnn, openvino, onnx, tflite, torch, not 'caffe'"):
        lb.darknet.tune(yolo, targets=["caffe"])
    with pytest.raises(ParameterError, match="what is tuned is"):
        lb.darknet.tune(yolo, targets=["keras"])
    with pytest.raises(ParameterError, match="winograd is what is chosen by trial"):
        lb.darknet.tune(yolo, targets=["onnx"], options={"winograd": True})
    with pytest.raises(ParameterError, match="dynamic_size leaves open"):
        lb.darknet.tune(yolo, targets=["onnx"], options={"dynamic_size": True})
    with pytest.raises(ParameterError, match="onnx takes no 'nonsense'"):
        lb.darknet.tune(yolo, targets=["onnx"], options={"nonsense": True})
    with pytest.raises(ParameterError, match="int8 is for"):
        lb.darknet.tune(yolo, targets=["torch"], calibrate="pictures")
    with pytest.raises(UnusableInputError, match="nowhere"):  # before anything is tried
        lb.darknet.tune(yolo, targets=["onnx"], calibrate="nowhere", progress=pytest.fail)
    for seconds in (0, -1, float("nan"), float("inf"), True, "9"):
        with pytest.raises(ParameterError, match="seconds is a number over 0"):
            lb.darknet.tune(yolo, seconds=seconds)
    flat = made("[net]\ninputs=8\n[connected]\noutput=4\nactivation=linear\n", tmp_path)
    with pytest.raises(UnsupportedError, match="takes 8 values"):
        lb.darknet.tune(flat, targets=["onnx"])
    steps = made("[net]\ninputs=8\n[rnn]\noutput=4\nhidden=4\nbatch_normalize=0\nactivation=logistic\n", tmp_path)
    with pytest.raises(UnsupportedError, match="carries states"):
        lb.darknet.tune(steps, targets=["onnx"])


def test_the_commands_refuse_in_a_line(capfd, tmp_path):
    auto = ("export", *YOLO, "--for", "auto", "-o")
    assert "--for auto is for --to" in refused(capfd, *auto, "a.keras")
    assert "leave out --winograd" in refused(capfd, *auto, "a.onnx", "--winograd")
    assert "leave out --dynamic-size" in refused(capfd, *auto, "a.onnx", "--dynamic-size")
    assert "--for auto is for a network" in refused(capfd, "export", "focus", "--for", "auto", "-o", "a.onnx")
    assert "would hold parameters alone" in refused(capfd, *auto, "a.safetensors")
    assert "no head is called 'nonsense'" in refused(capfd, "tune", *YOLO, "--head", "nonsense")
    assert "give some, --calibrate" in refused(capfd, "tune", *YOLO, "--int8")
    assert "--calibrate is for --int8" in refused(capfd, "tune", *YOLO, "--calibrate", "pictures")
    assert "--max-load must be over 0, not 0" in refused(capfd, "tune", *YOLO, "--max-load", "0")
    assert "--max-memory must be a number" in refused(capfd, "tune", *YOLO, "--max-memory", "much")
    assert "--threads" in refused(capfd, "tune", *YOLO, "--threads", "0")
    assert "does not end in .cfg" in refused(capfd, "tune", "a.onnx", "b.weights")
    assert "give a folder" in refused(capfd, "tune", *YOLO, "-o", "a.onnx", "--targets", "onnx,ncnn")
    assert "no such folder" in refused(capfd, "tune", *YOLO, "-o", f"{tmp_path}/none/a")
    assert "must end in .param, .xml, .onnx" in refused(capfd, "tune", *YOLO, "-o", "a.png")
    assert "'' is neither" in refused(capfd, "tune", *YOLO, "-o", "")
    assert "here, as many cores as may be used, not 5000" in refused(capfd, "tune", *YOLO, "--threads", "5000")


@pytest.mark.slow
def test_a_folder_that_is_there_may_have_any_name(capfd, tmp_path):
    (tmp_path / "yolo.v2").mkdir()
    command = ("tune", *YOLO, "--targets", "onnx", "--threads", "1", "--seconds", "0.001", "-o")
    code, _, err = run(capfd, *command, str(tmp_path / "yolo.v2"))
    assert code == 0 and (tmp_path / "yolo.v2" / "net.onnx").is_file(), err


@pytest.mark.slow
def test_a_target_whose_files_would_take_anothers_place_is_left_out(capfd, tmp_path):
    pytest.importorskip("ncnn")
    for name in ("net.xml", "net.bin"):  # a model of OpenVINO
        (tmp_path / name).write_text("another's")
    command = ("tune", *YOLO, "--threads", "1", "--seconds", "0.001", "-o", str(tmp_path), "--targets")
    code, _, err = run(capfd, *command, "ncnn,onnx")
    assert code == 0 and (tmp_path / "net.onnx").is_file(), err
    assert "ncnn is not tried: " in err and "holds the weights of" in err
    assert "holds the weights of" in refused(capfd, *command, "ncnn")
    assert (tmp_path / "net.bin").read_text() == "another's"


@pytest.mark.slow
def test_the_commands(capfd, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = ("tune", *YOLO, "--targets", "onnx", "--threads", "1", "--seconds", "10")
    code, out, _ = run(capfd, *command)
    assert code == 0 and out.split()[:8] == ["tried", "ms", "±", "of", "plain", "load", "memory", "size"]
    assert "(chosen)" in out and "onnx winograd, 1 thread: it is the same file as plain" in out
    code, out, err = run(capfd, *command, "-o", str(tmp_path / "folder"), "--json")
    told = json.loads(out)
    assert code == 0 and told["ok"] and told["tuning"]["trials"][0]["chosen"], err
    assert read_tuned(open_file(tmp_path / "folder" / "net.onnx").metadata)
    code, _, err = run(capfd, "export", *YOLO, "--for", "auto", "-o", str(tmp_path / "b.onnx"), "--head", "boxes")
    assert code == 0 and "fastest of" in err and "wrote" in err and "from the float64 reference" in err
    assert read_tuned(open_file(tmp_path / "b.onnx").metadata)
    code, out, err = run(capfd, *command, "--max-size", "0.001")
    assert (code, out) == (2, "") and "nothing can be chosen" in err and err.count("\n") == 1


@pytest.mark.slow
def test_an_interrupted_run_goes_on(tmp_path):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "layoutbridge", "tune", *YOLO, "--targets", "onnx", "--threads", "1"]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a parent in the background has it ignored
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, preexec_fn=heard
    )
    kept = tmp_path / "layoutbridge" / "tuning"
    end = time.monotonic() + 120
    while not list(kept.glob("*.json")) and time.monotonic() < end and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode != 0 and b"Traceback" not in err, err
    (held,) = kept.glob("*.json")
    before = json.loads(held.read_text())["trials"]
    assert before
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0 and "(chosen)" in done.stdout
    assert set(before) <= set(json.loads(held.read_text())["trials"])
