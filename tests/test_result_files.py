"""Result files of the benchmarks: what the documentation says is what they say, and noise changes no verdict."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.result_files import EQUAL, HOLDS, MISSED, Row, all_results, read, row, save, verdict
from benchmarks.tables import PAGES, commands_tables, networks_tables, range_told, tuning_tables, with_tables
from layoutbridge.machine import Machine

ROOT = Path(__file__).resolve().parent.parent
ZEN = Machine("AMD EPYC", "AMD", "Zen 4", ("avx2", "avx512f"), 2, 1 << 30)


@pytest.mark.parametrize("page", sorted(set(PAGES.values())))
def test_pages_say_what_the_result_files_say(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert "<!-- results: " in text
    assert with_tables(text) == text, "make tables writes them anew"


def test_the_readmes_range_is_that_of_the_files():
    shares = [
        min(row["value"] for row in rows["rows"][2:] if row.get("more", {}).get("deviation", 1) <= 1e-4)
        for told in all_results()
        for name, rows in told["benchmarks"].items()
        if name.startswith("networks/")
    ]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"{min(shares):.2f} to {max(shares):.2f} times the time" in text


def test_files_name_their_machine_and_versions():
    found = all_results()
    assert found
    for told in found:
        assert told["machine"]["kind"] and told["machine"]["cores"] >= 1
        if not told["by_hand"]:
            for benchmark in told["benchmarks"].values():
                assert benchmark["date"] and benchmark["versions"]["numpy"]
                assert all(row["low"] <= row["value"] <= row["high"] for row in benchmark["rows"])


def test_a_second_run_takes_the_place_of_the_first(tmp_path):
    first = save({"scan": [row("a", [1.0, 2.0, 3.0], "s", 4.0)], "audit": [row("b", [1.0], "s")]}, tmp_path, ZEN)
    older = first.rename(tmp_path / "amd-zen-4-2-cores-2001-01-01.json")
    others = save({"scan": [row("a", [9.0], "s")]}, tmp_path, replace(ZEN, design="Zen 5"))
    second = save({"scan": [row("a", [2.5], "s", 4.0)]}, tmp_path, ZEN)
    assert not older.exists() and others.exists() and second.name.startswith("amd-zen-4-2-cores-20")
    told = read(second)["benchmarks"]
    assert sorted(told) == ["audit", "scan"]
    assert told["scan"]["rows"] == [
        {"name": "a", "value": 2.5, "low": 2.5, "high": 2.5, "unit": "s", "most": 4.0, "verdict": HOLDS}
    ]


@pytest.mark.slow
def test_noise_changes_no_verdict(tmp_path):
    draw = random.Random(0)
    for center in (0.5, 0.9, 0.94, 0.97, 1.0, 1.03, 1.07, 1.5):
        path = save({"x": [Row("a", center, center, center, "s", 1.0)]}, tmp_path, ZEN)
        first = read(path)["benchmarks"]["x"]["rows"][0]["verdict"]
        for _ in range(30):
            value = center * draw.uniform(0.98, 1.02)
            save({"x": [Row("a", value, value, value, "s", 1.0)]}, tmp_path, ZEN)
            assert read(path)["benchmarks"]["x"]["rows"][0]["verdict"] == first, (center, value)
        path.unlink()


def test_what_is_clearly_so_is_told():
    cases = ((1.0, MISSED), (3.0, HOLDS), (1.0, EQUAL), (2.0, ""))
    assert [verdict(value, 2.0, before) for value, before in cases] == [HOLDS, MISSED, HOLDS, EQUAL]


def test_tables_are_kept_apart_by_machine(tmp_path):
    more = {"deviation": 1e-6, "load": 1.0, "memory": 100, "ms": 50.0}
    forms = [
        row(name, [value], "of OpenCV 4.14", **more) for name, value in (("cv", 1.0), ("again", 1.0), ("ncnn", 0.5))
    ]
    for design, value in (("Zen 4", 0.5), ("Zen 5", 0.8)):
        rows = [*forms[:2], replace(forms[2], value=value)]
        save({"networks/yolov2": rows}, tmp_path, replace(ZEN, design=design))
    found = [json.loads(path.read_text()) for path in sorted(tmp_path.iterdir())]
    assert range_told(found) == "0.50 to 0.80 times the time"
    text = networks_tables(found)
    assert text.index("**AMD Zen 4, 2 cores**") < text.index("| ncnn | 0.50 |") < text.index("**AMD Zen 5")


def test_what_tune_chose_has_a_table_of_its_own(tmp_path):
    more = {"ms": 4.8, "choice": "onnx plain, 2 threads", "best": "ncnn plain, 1 thread", "candidates": 28}
    save({"tuning/mobilenet": [row("choice", [-0.03, 0.01, 0.02], "more", 0.05, **more)]}, tmp_path, ZEN)
    found = all_results(tmp_path)
    told = "| MobileNetV2 | 4.8 | onnx plain, 2 threads | ncnn plain, 1 thread | 28 | 1.0 %, -3.0 to 2.0 % | holds |"
    assert told in tuning_tables(found)
    assert commands_tables(found) == ""
