"""The page of `check`: which target computes what Darknet does, at which layer one parts from it, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from layoutbridge.errors import counted
from layoutbridge.report.darknet.networks import not_finite_told, other_flavor_told, rounding_told, verdict_told
from layoutbridge.report.html.sides import Marked, shape_told, side_of_network
from layoutbridge.report.numbers import short
from layoutbridge.report.pages.charts import deviations, log_bar
from layoutbridge.report.pages.drawing import drawn
from layoutbridge.report.pages.frame import Section, Verdict, page
from layoutbridge.report.pages.origin import Origin, sections
from layoutbridge.report.pages.parts import facts, first_of, folded, number, table, text

if TYPE_CHECKING:
    from layoutbridge.darknet.ports.check import Check, LayerCheck, TargetCheck
    from layoutbridge.darknet.structure.model import Network

_ROWS = 2000
_FIRST = "first"
_TONES = {"equal": "right", "differs": "wrong", "not finite": "wrong"}


def check_page(found: Check, network: Network, notes: str, origin: Origin) -> str:
    """The page; `notes` says what the other flavour makes of the network, if it differs."""
    head, rest = verdict_told(found)
    first, worst = found.first_over, found.worst
    other = "" if found.other is None else other_flavor_told(found, found.other)
    lines = [*not_finite_told(found), *filter(None, [rounding_told(found), other, notes])]
    jump = None if first is None else (f"Jump to {first.name} in the network", _FIRST)
    verdict = Verdict(
        "right" if found.ok else "wrong", f"{head}: {rest}" if found.ok else f"{head} {rest}", lines, jump
    )
    ran = [target for target in found.targets if target.worst is not None]
    opening = facts(
        {
            "layers": f"{len(found.rows):,}",
            "targets that ran": f"{len(ran)}",
            "largest deviation": "" if worst is None else number(worst.deviation),
            "at": "" if worst is None else text(worst.name),
            "flavor": text(found.flavor),
            "compared with": text(found.against or "the reference in float64"),
        }
    )
    parts = [Section("Targets", _targets(found))]
    if ran and found.rows:
        parts += [
            Section("The network", _drawn(found, network)),
            Section("Deviation of every layer", _chart(found, ran)),
            Section("All numbers", folded(counted(len(found.rows), "layer", form=","), _layers(found, ran))),
        ]
    return page(
        f"layoutbridge check: {head}", f"Does {found.source} compute the same everywhere?", verdict,
        [*parts, *sections(origin)], opening=opening, made_by="layoutbridge check",
    )  # fmt: skip


def _targets(found: Check) -> list[str]:
    caption = "Deviations are the largest difference in a layer, as a share of the layer's largest value."
    columns = ("target", "version", "verdict", "largest deviation", "at", "allowed")
    rows = [_target(found, target) for target in found.targets]
    marked = [place for place, target in enumerate(found.targets) if _TONES.get(target.status) == "wrong"]
    return table(columns, rows, caption=caption, numbers=("largest deviation", "allowed"), marked=marked)


def _target(found: Check, target: TargetCheck) -> tuple[str, ...]:
    tone = _TONES.get(target.status, "open")
    status = f'<span class="{tone}">{target.status}</span>'
    if target.first_over is not None:
        first = found.rows[target.first_over]
        status += f" from {text(first.name)} on (cfg line {first.line})"
    if target.worst is None:
        return text(target.name), text(target.version or ""), f"{status}: {text(target.detail)}", "", "", ""
    worst = found.rows[target.worst]
    at = f"{text(worst.name)} (cfg line {worst.line})"
    return (
        text(target.name), text(target.version or ""), status, number(worst.deviations[target.name]), at,
        number(target.tolerance, "g"),
    )  # fmt: skip


def _chart(found: Check, ran: Sequence[TargetCheck]) -> list[str]:
    first = found.first_over
    limits = {short(target.tolerance, "g"): target.tolerance for target in ran}
    series = {target.name: [row.deviations.get(target.name) for row in found.rows] for target in ran}
    place = None if first is None else (first.index, first.name)
    told = (
        "The largest difference in each layer, as a share of the layer's largest value; each step up is ten times more."
    )
    return [f"<figure><figcaption>{told}</figcaption>", *deviations(series, limits, place, "layer"), "</figure>"]


def _drawn(found: Check, network: Network) -> list[str]:
    first = found.first_over
    marks = {
        row.index: Marked("first", "first apart", _FIRST) if row is first else Marked("apart", "apart")
        for row in found.rows
        if row.over
    }
    columns = {
        "cfg line": ["", *(f"{row.line}" for row in found.rows)],
        "largest deviation": ["", *(_deviation(row) for row in found.rows)],
        "from 1e-9 to 1; dashed: allowed": ["", *(_bar(found, row) for row in found.rows)],
    }
    caption = f"{found.source}, layer by layer; lanes on the left lead to layers that read others than the one above."
    return drawn(side_of_network(network, marks), columns, caption, bars=[*columns][-1:])


def _bar(found: Check, row: LayerCheck) -> str:
    limit = min(target.tolerance for target in found.targets if target.name in row.deviations)
    return log_bar(row.deviation, limit, is_over=bool(row.over))


def _deviation(row: LayerCheck) -> str:
    told = number(row.deviation)
    return f'{text(", ".join(row.over))} <span class="wrong">{told}</span>' if row.over else told


def _layers(found: Check, ran: Sequence[TargetCheck]) -> list[str]:
    rows, more = first_of(found.rows, _ROWS)
    names = [target.name for target in ran]
    cells = (
        (
            text(row.name), f"{row.line}", text(shape_told(row.shape)), number(row.largest, ".3g"),
            *(_held(row, name) for name in names), number(row.rounding),
        )
        for row in rows
    )  # fmt: skip
    columns = ("layer", "cfg line", "shape", "largest value", *names, "float32 alone")
    marked = [place for place, row in enumerate(rows) if row.over]
    caption = (
        "* is over what is allowed. float32 alone: how far the reference strays in float32, where that was measured."
    )
    numbers = ("cfg line", "largest value", *names, "float32 alone")
    return [*table(columns, cells, caption=caption, numbers=numbers, marked=marked), *more]


def _held(row: LayerCheck, name: str) -> str:
    return f"{'* ' if name in row.over else ''}{number(row.deviations.get(name))}"
