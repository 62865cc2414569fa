"""The tables that the documentation shows, made of the result files: `python -m benchmarks.tables` writes them.

They stand between `<!-- results: NAME -->` and `<!-- end of results -->`, one for each kind of machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.result_files import RESULTS, all_results

ROOT = Path(__file__).resolve().parent.parent
TITLES = {
    "yolov2": "YOLOv2", "yolov4-tiny": "YOLOv4-tiny", "yolov3": "YOLOv3", "yolov4": "YOLOv4",
    "darknet53": "Darknet-53", "mobilenet": "MobileNetV2",
}  # fmt: skip
PAGES = {"networks": "docs/runtimes.md", "tuning": "docs/tuning.md", "commands": "docs/speed.md", "range": "README.md"}
_MARKED = re.compile(r"(<!-- results: (\w+) -->)(.*?)(<!-- end of results -->)", re.DOTALL)
_NETWORK, _TUNED = "networks/", "tuning/"
_IN_WORDS = {
    "avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx_vnni": "AVX-VNNI", "avx512_bf16": "bf16",
    "amx_int8": "AMX", "neon": "NEON", "dotprod": "dot products", "i8mm": "int8 products", "bf16": "bf16", "sve": "SVE",
}  # fmt: skip
_ONE_LINE = {"range"}  # within a sentence


def write_tables(root: Path = ROOT, results: Path = RESULTS) -> None:
    """Put what the result files say between the markers of the pages."""
    for page in PAGES.values():
        path = root / page
        text = path.read_text(encoding="utf-8")
        if (new := with_tables(text, results)) != text:
            path.write_text(new, encoding="utf-8")


def with_tables(text: str, results: Path = RESULTS) -> str:
    """A page with what lies between its markers made anew."""
    found = all_results(results)
    makers = {"networks": networks_tables, "tuning": tuning_tables, "commands": commands_tables, "range": range_told}

    def made(match: re.Match[str]) -> str:
        start, name, _, end = match.groups()
        inner = makers[name](found)
        return f"{start}{inner}{end}" if name in _ONE_LINE else f"{start}\n\n{inner}\n\n{end}"

    return _MARKED.sub(made, text)


def range_told(results: Sequence[Mapping[str, Any]]) -> str:
    """The fastest form's share of OpenCV 4's time, from the least network and machine to the most."""
    shares = [
        min(row["value"] for row in forms)
        for each in results
        for rows in _networks(each).values()
        if (forms := [row for row in _forms(rows)[2:] if row["more"]["deviation"] <= 1e-4])
    ]
    return f"{min(shares):.2f} to {max(shares):.2f} times the time"


def networks_tables(results: Sequence[Mapping[str, Any]]) -> str:
    """A table for each machine: ratios to OpenCV 4.14's time, a column a network."""
    return "\n\n".join("\n".join(_networks_table(each)) for each in results if _networks(each))


def tuning_tables(results: Sequence[Mapping[str, Any]]) -> str:
    """A table for each machine: what `tune` chose for each network, beside the best of all others."""
    return "\n\n".join("\n".join(lines) for each in results if (lines := list(_tuning_table(each))))


def commands_tables(results: Sequence[Mapping[str, Any]]) -> str:
    """A table for each machine: everything that is not a network."""
    return "\n\n".join("\n".join(lines) for each in results if (lines := list(_commands_table(each))))


def _networks_table(told: Mapping[str, Any]) -> Iterator[str]:
    networks = _networks(told)
    first = next(iter(networks.values()))
    yield from _heading(told, [f"{_NETWORK}{name}" for name in networks])
    measured = [row["more"].get("ms") for rows in networks.values() for row in _forms(rows)[:1]]
    columns = [
        title if ms is None else f"{title}, OpenCV 4.14 takes {ms:.0f} ms" if number == 0 else f"{title}, {ms:.0f} ms"
        for number, (title, ms) in enumerate(zip((TITLES[name] for name in networks), measured, strict=True))
    ]
    title = TITLES[next(iter(networks))]
    has_shares = any("of_direct" in row["more"] for row in _forms(first))
    others = ["off by", f"load, MB ({title})", *([f"of the least time ({title})"] if has_shares else [])]
    yield _line(["runtime", *columns, *others])
    yield _line(["---"] * (1 + len(columns) + len(others)))
    base, control, *rest = (row["name"] for row in _forms(first))
    by_name = [{row["name"]: row for row in _forms(rows)} for rows in networks.values()]
    names = dict.fromkeys([*rest, *(name for rows in by_name for name in list(rows)[2:])])
    for name in [base, *sorted(names, key=lambda name: by_name[0].get(name, {"value": 99})["value"])]:
        cells = [f"{rows[name]['value']:.2f}" if name in rows else "" for rows in by_name]
        if name == base:
            cells = [f"1.00, again {rows[control]['value']:.2f}" for rows in by_name]
        offs = [
            rows[name]["more"]["deviation"] for rows in by_name if "deviation" in rows.get(name, {"more": {}})["more"]
        ]
        more = by_name[0].get(name, {"more": {}})["more"]
        load = f"{more['load']:.1f} s, {more['memory']:.0f}" if "load" in more else ""
        shares = [_shares(more)] if has_shares else []
        yield _line([name, *cells, f"{max(offs):.1e}" if offs else "", load, *shares])
    judged = [(TITLES[name], row) for name, rows in networks.items() for row in rows if "verdict" in row]
    if judged:
        yield ""
        yield from _verdicts(judged)


def _shares(more: Mapping[str, Any]) -> str:
    if more.get("of_direct") is None:
        return ""
    return f"direct {100 * more['of_direct']:.0f} %, Winograd {100 * more['of_winograd']:.0f} %"


def _verdicts(judged: Iterable[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    yield _line(["limit", "network", "is", "at most", "verdict"])
    yield _line(["---"] * 5)
    for title, row in judged:
        form = row.get("more", {}).get("form")
        name = f"{row['name']}: {form}" if form else row["name"]
        yield _line([name, title, f"{row['value']:.2f} {row['unit']}", f"{row['most']:g}", row["verdict"]])


def _tuning_table(told: Mapping[str, Any]) -> Iterator[str]:
    names = [name for name in told["benchmarks"] if name.startswith(_TUNED)]
    if not names:
        return
    yield from _heading(told, names)
    yield _line(
        ["network", "ms", "chosen", "best of the others", "of candidates", "takes more, lowest to highest", "verdict"]
    )
    yield _line(["---"] * 7)
    for name in names:
        for row in told["benchmarks"][name]["rows"]:
            more, title = row["more"], name.removeprefix(_TUNED)
            value = f"{100 * row['value']:.1f} %, {100 * row['low']:.1f} to {100 * row['high']:.1f} %"
            choices = [more["choice"], more["best"], str(more["candidates"])]
            yield _line([TITLES.get(title, title), f"{more['ms']:.3g}", *choices, value, row["verdict"]])


def _commands_table(told: Mapping[str, Any]) -> Iterator[str]:
    names = [name for name in told["benchmarks"] if not name.startswith((_NETWORK, _TUNED))]
    if not names:
        return
    yield from _heading(told, names)
    yield _line(["benchmark", "what", "median", "lowest to highest", "at most", "verdict"])
    yield _line(["---"] * 6)
    for name in names:
        for row in told["benchmarks"][name]["rows"]:
            span = f"{row['low']:.3g} to {row['high']:.3g}" if "low" in row else ""
            most = f"{row['most']:.3g}" if "most" in row else ""
            value = f"{row['value']:.3g} {row['unit']}"
            yield _line([name, row["name"], value, span, most, row.get("verdict", "")])


def _heading(told: Mapping[str, Any], names: Sequence[str]) -> Iterator[str]:
    machine = told["machine"]
    able = ", ".join(dict.fromkeys(_IN_WORDS[name] for name in machine["instructions"] if name in _IN_WORDS))
    cores = "1 core" if machine["cores"] == 1 else f"{machine['cores']} cores"
    yield f"**{machine['kind']}, {cores}**" + (f" ({able})." if able else ".")
    if told["by_hand"]:
        yield "Recorded by hand, without the versions and the spread."
    else:
        dates = sorted({told["benchmarks"][name]["date"] for name in names})
        held: dict[str, str] = {}
        for name in names:
            held |= told["benchmarks"][name]["versions"]
        yield f"Measured {' and '.join(dict.fromkeys((dates[0], dates[-1])))} with " + ", ".join(
            f"{name} {version}" for name, version in held.items()
        ) + "."  # fmt: skip
    yield ""


def _networks(told: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Rows by network, in the order of `TITLES`."""
    held = {name: told["benchmarks"].get(f"{_NETWORK}{name}") for name in TITLES}
    return {name: each["rows"] for name, each in held.items() if each is not None}


def _forms(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that are forms, the base and its control first."""
    return [row | {"more": row.get("more", {})} for row in rows if "deviation" in row.get("more", {})]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    write_tables()
