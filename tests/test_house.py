"""The plan of the house: imports go the way that CONTRIBUTING's table says, and rooms stay small."""

from collections import Counter
from pathlib import Path

import pytest

from tests.import_graph import against_the_table, arrows, between_folders, cycles, place_of, rows_of_table

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "layoutbridge"
MOST_LINES = 500
MOST_FILES = 15  # beside __init__.py
ROWS = rows_of_table((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
GRAPH = arrows(PACKAGE)


def test_no_import_goes_against_the_table():
    assert against_the_table(GRAPH, ROWS) == []


def test_no_circle_between_modules():
    assert cycles(GRAPH) == []


def test_no_circle_between_folders():
    inner = {name: targets for name, targets in GRAPH.items() if "/" in name}  # the package's own files hold no room
    assert cycles(between_folders(inner)) == []


def test_the_table_names_what_is_there():
    names = [place for row in ROWS for place in row]
    assert [name for name, count in Counter(names).items() if count > 1] == []
    used = {place_of(name, ROWS)[1] for name in GRAPH}
    assert [name for name in names if "*" not in name and name not in used] == []


def test_rooms_and_modules_stay_small():
    long = {
        path.name: lines for path in PACKAGE.rglob("*.py") if (lines := len(path.read_text().split("\n"))) > MOST_LINES
    }
    assert long == {}
    files = Counter(path.parent for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    assert {str(folder): count for folder, count in files.items() if count > MOST_FILES} == {}


# ---------------------------------------------------------------------- the checks themselves can fail


TABLE = """
| part | what it is |
|---|---|
| `errors.py` | errors |
| `low/` | below |
| `rooms/` | what rooms share |
| `rooms/*/` | one a room, none uses another |
| `high/`, `__init__.py` | above |
"""


def graph_of(folder, **files):
    for name, text in files.items():
        path = folder / "pkg" / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return arrows(folder / "pkg")


@pytest.mark.parametrize(
    ("files", "wrong"),
    [
        ({"low__a": "import pkg.errors", "errors": ""}, []),
        ({"low__a": "from pkg.high import b", "high__b": ""}, ["low/a.py -> high/b.py"]),
        ({"low__a": "def f():\n    from pkg.high.b import c", "high__b": "c = 1"}, ["low/a.py -> high/b.py"]),
        ({"errors": "if 0:\n    import pkg.low.a", "low__a": ""}, ["errors.py -> low/a.py"]),
        ({"rooms__one__a": "import pkg.rooms.two.b", "rooms__two__b": ""}, ["rooms/one/a.py -> rooms/two/b.py"]),
        ({"rooms__one__a": "import pkg.rooms.one.b, pkg.rooms.c", "rooms__one__b": "", "rooms__c": ""}, []),
        ({"rooms__c": "import pkg.rooms.one.a", "rooms__one__a": ""}, ["rooms/c.py -> rooms/one/a.py"]),
    ],
)
def test_an_arrow_against_the_table_is_found(files, wrong, tmp_path):
    assert against_the_table(graph_of(tmp_path, **files), rows_of_table(TABLE)) == wrong


def test_a_file_that_no_row_names_is_found():
    with pytest.raises(LookupError, match=r"names elsewhere/a\.py"):
        place_of("elsewhere/a.py", rows_of_table(TABLE))


def test_circles_are_found(tmp_path):
    graph = graph_of(
        tmp_path,
        low__a="from pkg.low import b",
        low__b="def f():\n    import pkg.low.c",
        low__c="from pkg.low.a import x",
        low__d="import pkg.low.a",
        high__e="import pkg.low.d",
        low__f="import pkg.high.g",
        high__g="",
    )
    assert cycles(graph) == [["low/a.py", "low/b.py", "low/c.py"]]
    assert cycles(between_folders(graph)) == [["high", "low"]]
