"""The notebooks: each runs from its first cell to its last, and is kept without what it gave."""

import json

import pytest

from docs.making import names, notebooks

NEED = {"a_wrong_port": ("onnx", "onnx_ir", "onnxruntime"), "darknet_to_onnx": ("onnx", "onnxruntime", "PIL")}


def each_notebook():
    return [pytest.param(path, id=path.stem) for path in notebooks.notebooks()]


@pytest.mark.parametrize("path", each_notebook())
def test_it_runs(path):
    for package in NEED.get(path.stem, ()):
        pytest.importorskip(package, reason=f"the notebook needs {package}")
    cells = notebooks.run(path)
    assert any(cell.text for cell in cells)
    assert names.misspelled({path.name: "\n\n".join(cell.source for cell in cells if not cell.is_code)}) == []


@pytest.mark.parametrize("path", each_notebook())
def test_it_is_kept_as_it_was_before_it_ran(path):
    held = json.loads(path.read_text())
    assert (held["nbformat"], held["nbformat_minor"]) == (4, 5)
    code = [cell for cell in held["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in held["cells"]}) == len(held["cells"])
    assert "".join(held["cells"][0]["source"]).startswith("# ")


def test_a_cell_gives_what_it_prints_and_the_value_of_its_last_line(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["# A\n", "text"]},
        {"cell_type": "code", "source": ["print(1)\n", "x = 2\n", "x + 1"]},
        {"cell_type": "code", "source": ["class Drawn:\n", "    def _repr_html_(self): return '<b/>'\n", "Drawn()"]},
        {"cell_type": "code", "source": ["None"]},
    ]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    title, number, drawn, nothing = notebooks.run(path)
    assert (title.is_code, number.text, drawn.html, drawn.text, nothing.text) == (False, "1\n3", "<b/>", "", "")


def test_what_a_cell_raises_is_raised(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": ["1 / 0"]}]}))
    with pytest.raises(ZeroDivisionError):
        notebooks.run(path)
