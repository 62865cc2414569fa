"""Arithmetic of 16 bits by settings of a runtime: where the processor has it, asked for, told, and nowhere else."""

import json
from dataclasses import replace

import numpy as np
import pytest

import layoutbridge as lb
from layoutbridge.darknet.detectors.formats import open_file
from layoutbridge.darknet.ports.records.halves import HALVES, half_in, halves_of
from layoutbridge.darknet.ports.records.tuned import Tuned, as_tuned, processor_here
from layoutbridge.darknet.ports.table import port
from layoutbridge.darknet.tuning.candidates import TUNED_TARGETS, forms_of
from layoutbridge.errors import ParameterError
from layoutbridge.machine import this_machine
from tests.command_line import run

YOLO = ("fixtures/nets/alexey/yolo_head/net.cfg", "fixtures/nets/alexey/yolo_head/net.weights")
BF16 = {"INFERENCE_PRECISION_HINT": "bf16"}
HERE = "bfloat16" in [half.name for half in halves_of("openvino")]
needs_bfloat16 = pytest.mark.skipif(not HERE, reason="this processor has no bfloat16")


@pytest.fixture(scope="module")
def yolo():
    return lb.darknet.load(*YOLO)


def record_of(settings, threads=1):
    return Tuned(processor_here(), "openvino", "2026.4", threads, settings, "bfloat16", 0.5, "2026-01-31")


def written(net, folder, settings=None):
    pytest.importorskip("openvino")
    path = folder / "net.xml"
    port("openvino").write(
        net.network, net.parameters, path, head="boxes", tuned=None if settings is None else record_of(settings)
    )
    return path


def outputs(net, path, **how):
    x = np.random.default_rng(3).random((1, *net.network.in_shape), np.float32)
    return next(iter(open_file(path, **how).outputs(x).values()))


def test_only_processors_that_have_it_get_it():
    assert [half.name for half in halves_of("openvino", ["amx_bf16", "avx512_fp16"])] == ["bfloat16", "float16"]
    assert [half.name for half in halves_of("openvino", ["fp16"])] == ["float16"]
    assert halves_of("openvino", ["avx2", "avx512f"]) == halves_of("onnx", ["amx_bf16"]) == ()
    assert {*HALVES} <= {*TUNED_TARGETS}
    both = {**BF16, "ENABLE_CPU_PINNING": "NO"}
    assert half_in("openvino", both, ["amx_bf16"]) == BF16
    assert half_in("openvino", both, ["avx2"]) == half_in("onnx", both, ["amx_bf16"]) == {}
    assert half_in("ncnn", {"use_bf16_storage": "1"}, ["amx_bf16"]) == {}  # half of it is none


def test_forms_are_the_plain_file_with_settings_and_only_where_half_is_asked_for():
    arithmetic = halves_of("openvino", ["amx_bf16"])
    forms = forms_of(port("openvino"), None, None, half=True, int8=False, arithmetic=arithmetic)
    assert [form.name for form in forms][-2:] == ["half", "bfloat16"]
    assert (forms[-1].settings, forms[-1].in_file, forms[-1].deviation, forms[-1].options) == (BF16, "plain", 2e-2, {})
    unasked = forms_of(port("openvino"), None, None, half=False, int8=False, arithmetic=arithmetic)
    assert not any(form.settings for form in unasked)


@needs_bfloat16
def test_a_records_arithmetic_counts_with_any_threads_on_such_a_processor():
    told = {"tuned": record_of({**BF16, "ENABLE_CPU_PINNING": "NO"}).to_json()}
    assert as_tuned(told, "openvino", 0, None) == (1, {**BF16, "ENABLE_CPU_PINNING": "NO"})
    assert as_tuned(told, "openvino", 2, None) == (2, BF16)
    assert as_tuned(told, "openvino", 0, {}) == (0, {})
    assert as_tuned(told, "onnx", 0, None) == (1, {})
    elsewhere = replace(record_of(BF16), processor="another").to_json()
    assert as_tuned({"tuned": elsewhere}, "openvino", 2, None) == (2, {})
    greedy = record_of(BF16, threads=1 << 20).to_json()
    assert as_tuned({"tuned": greedy}, "openvino", 0, None) == (0, BF16)
    foreign = record_of({"INFERENCE_PRECISION_HINT": "dynamic"}).to_json()
    assert as_tuned({"tuned": foreign}, "openvino", 0, None) == (1, {})


def test_a_record_of_what_this_processor_has_not_is_float32(monkeypatch):
    without = replace(this_machine(), instructions=("avx2",))
    monkeypatch.setattr("layoutbridge.machine.this_machine", lambda: without)
    told = {"tuned": record_of(BF16).to_json()}
    assert as_tuned(told, "openvino", 0, None) == (1, {})


def test_half_is_refused_where_neither_files_nor_the_processor_have_it(yolo, monkeypatch):
    pytest.importorskip("ncnn")
    pytest.importorskip("torch")
    without = replace(this_machine(), instructions=("avx2",))
    monkeypatch.setattr("layoutbridge.machine.this_machine", lambda: without)
    with pytest.raises(ParameterError, match="half is for onnx, tflite, openvino, not for ncnn, torch"):
        lb.darknet.tune(yolo, targets=["ncnn", "torch"], half=True)


def test_files_are_float32_where_nobody_asks_for_less(yolo, tmp_path):
    """By itself OpenVINO takes bfloat16 where it can, which is off by a thousand times as much."""
    path = written(yolo, tmp_path)
    x = np.random.default_rng(3).random((1, *yolo.network.in_shape), np.float32)
    reference = lb.darknet.Detector(yolo, framework="reference")
    for detector in (lb.darknet.Detector(path), lb.darknet.Detector(path, threads=1)):
        assert np.abs(detector.rows(x) - reference.rows(x)).max() < 1e-5


@needs_bfloat16
def test_a_detector_computes_in_what_the_file_was_tuned_for(yolo, tmp_path):
    plain = written(yolo, tmp_path)
    (tmp_path / "tuned").mkdir()
    tuned = written(yolo, tmp_path / "tuned", BF16)
    exact, asked = outputs(yolo, plain), outputs(yolo, plain, settings=BF16)
    assert 1e-4 < np.abs(exact - asked).max() / np.abs(exact).max() < 2e-2
    for how in ({}, {"threads": 2}):
        assert np.array_equal(outputs(yolo, tuned, **how), asked)
    assert np.array_equal(outputs(yolo, tuned, settings={}), exact)
    several = open_file(tuned).beside(2)
    x = np.random.default_rng(3).random((1, *yolo.network.in_shape), np.float32)
    assert np.array_equal(next(iter(several.outputs(x).values())), asked)  # one core each: the same arithmetic
    pictures = [np.random.default_rng(k).integers(0, 255, (20, 30, 3), dtype=np.uint8) for k in range(2)]
    named = lb.darknet.Detector(plain, settings=BF16).detect(pictures, confidence=0.01)
    assert [len(one) for one in named] == [
        len(one) for one in lb.darknet.Detector(tuned).detect(pictures, confidence=0.01)
    ]


def test_settings_are_a_named_runtimes(yolo):
    with pytest.raises(ParameterError, match="settings are a runtime's own"):
        lb.darknet.Detector(yolo, settings=BF16)


@needs_bfloat16
@pytest.mark.thorough
def test_tune_tries_it_and_writes_it(yolo, tmp_path):
    pytest.importorskip("openvino")
    found = lb.darknet.tune(yolo, targets=["openvino"], threads=1, half=True, cache=tmp_path)
    tried = {trial.form: trial for trial in found.trials if not trial.settings.keys() - BF16.keys()}
    assert tried["bfloat16"].settings == BF16 and 1e-4 < tried["bfloat16"].deviation < 2e-2
    assert tried["plain"].deviation < 1e-5
    chosen = replace(tried["bfloat16"], chosen=True)
    lb.darknet.write_tuned(yolo, tmp_path / "net.xml", replace(found, trials=(chosen,)), options={"head": "boxes"})
    assert np.array_equal(outputs(yolo, tmp_path / "net.xml"), outputs(yolo, tmp_path / "net.xml", settings=BF16))


@needs_bfloat16
@pytest.mark.thorough
def test_benchmark_shows_it_with_its_loss_and_boxes(tmp_path, capfd):
    pytest.importorskip("openvino")
    image = pytest.importorskip("PIL.Image")
    noise = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    image.fromarray(noise).save(tmp_path / "noise.png")
    command = ("benchmark", *YOLO, "--targets", "openvino", "--half", "--rounds", "1", "--json")
    code, out, err = run(capfd, *command, "--picture", str(tmp_path / "noise.png"))
    rows = {row["name"]: row for row in json.loads(out)["rows"]}
    assert code == 0 and {"openvino", "openvino-half", "openvino-bfloat16"} <= rows.keys(), err
    assert 1e-4 < rows["openvino-bfloat16"]["deviation"] < 2e-2 and rows["openvino"]["deviation"] < 1e-5
    assert rows["openvino-bfloat16"]["boxes_differ"] is not None
