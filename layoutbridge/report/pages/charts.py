"""Charts as SVG in a page: deviations on a scale of powers of ten, curves of precision; bars are cells of tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import floor, isfinite, log10

from layoutbridge.report.pages.parts import text

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 960, 300, 64, 34, 16, 34
_LEAST, _MOST = -12, 12  # powers of ten that are shown at most
_CURVE = 132  # pixels of a small chart's side
# Of each series on light and on dark screens.
_COLORS = (("#0a58ca", "#7db3ff"), ("#a3400d", "#ffa36b"), ("#1a7f37", "#62d97a"), ("#7442c8", "#c4a5ff"),
           ("#8a5a00", "#e7b54a"), ("#b0307f", "#ff9bd2"), ("#0b7285", "#5fd3e6"), ("#4d5661", "#b6c0ca"))  # fmt: skip
# Each series has a shape of its own, for eyes and printers without colors; lengths are around the place.
_SHAPES = ("m-3 0h6M{x} {y}m0-3v6", "m-3-3h6v6h-6z", "m0-4l4 7h-8z", "m0-4l4 4-4 4-4-4z", "m-3-3l6 6m0-6l-6 6",
           "m0 4l4-7h-8z", "m-3 0h6", "m0-4v8")  # fmt: skip


def deviations(
    series: Mapping[str, Sequence[float | None]],
    limits: Mapping[str, float],
    first: tuple[int, str] | None,
    across: str,
) -> list[str]:
    """Deviations of each series along the layers, on a logarithmic scale, with a line for what is allowed.

    `first` is the place that is marked and its name; `across` says what stands along the axis. What is no finite number
    stands at the top, and 0 at the bottom.

    >>> made = deviations({"onnx": [1e-7, 0.5]}, {"5e-05": 5e-5}, (1, "1_reorg"), "layer")
    >>> "<svg" in made[0], "1_reorg" in "".join(made)
    (True, True)
    """
    held = [value for values in series.values() for value in values if value and isfinite(value)]
    powers = [log10(value) for value in (*held, *(limit for limit in limits.values() if limit > 0))]
    low = min(max(floor(min(powers, default=-8)) - 1, _LEAST), 0)
    high = max(min(floor(max(powers, default=0)) + 2, _MOST), low + 2)
    count = max(map(len, series.values()), default=1)
    wide, tall = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def x(place: float) -> float:
        return round(_LEFT + wide * (place + 0.5) / max(count, 1), 1)

    def y(value: float) -> float:
        if not isfinite(value):
            return _TOP - 8
        power = log10(value) if value > 0 else low
        return round(_TOP + tall * (high - min(max(power, low), high)) / (high - low), 1)

    told = f"Deviations of {', '.join(series)} along {count} of: {across}"
    lines = [
        f'<div class="wide"><svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{text(told)}">'
    ]
    for power in range(low, high + 1, max(1, (high - low) // 8)):
        at = y(10.0**power)
        name = "0" if power == low else f"1e{power}" if power else "1"
        lines.append(f'<path class="grid" d="M{_LEFT} {at}H{_WIDTH - _RIGHT}"/>')
        lines.append(f'<text class="soft" x="{_LEFT - 8}" y="{at + 4}" text-anchor="end">{name}</text>')
    for place in _ticks(count):
        lines.append(f'<text class="soft" x="{x(place)}" y="{_HEIGHT - 14}" text-anchor="middle">{place}</text>')
    lines.append(f'<text class="soft" x="{_LEFT}" y="{_HEIGHT - 1}">{text(across)}</text>')
    if first is not None:
        at, side = x(first[0]), ("end", -6) if first[0] > count / 2 else ("start", 6)
        lines.append(f'<path d="M{at} {_TOP - 14}V{_HEIGHT - _BOTTOM}" stroke="var(--wrong)" stroke-dasharray="2 3"/>')
        lines.append(
            f'<text x="{at + side[1]}" y="{_TOP - 4}" text-anchor="{side[0]}">▶ {text(first[1], most=60)}</text>'
        )
    for number, (name, limit) in enumerate(limits.items()):
        at, (edge, anchor) = y(limit), ((_WIDTH - _RIGHT, "end"), (_LEFT + 4, "start"))[number % 2]
        lines.append(f'<path d="M{_LEFT} {at}H{_WIDTH - _RIGHT}" stroke="var(--wrong)" stroke-dasharray="8 4"/>')
        lines.append(f'<text x="{edge}" y="{at - 5}" text-anchor="{anchor}">allowed: {text(name)}</text>')
    for number, values in enumerate(series.values()):
        shape, color = _look(number)
        marks = (_mark(shape, x(place), y(value)) for place, value in enumerate(values) if value is not None)
        lines.append(f'<path class="series" style="{color}" d="{"".join(marks)}"/>')
    return [*lines, "</svg></div>", *_legend(series)]


def _look(number: int) -> tuple[str, str]:
    """The shape of a series' marks, and the style with its colors."""
    light, dark = _COLORS[number % len(_COLORS)]
    return _SHAPES[number % len(_SHAPES)], f"--light:{light};--dark:{dark}"


def _mark(shape: str, x: float, y: float) -> str:
    return f"M{x:g} {y:g}{shape.format(x=f'{x:g}', y=f'{y:g}')}"


def _legend(series: Mapping[str, Sequence[float | None]]) -> Iterator[str]:
    yield '<ul class="legend">'
    for number, name in enumerate(series):
        shape, color = _look(number)
        yield (
            f'<li><svg width="14" height="14" aria-hidden="true"><path class="series" style="{color}" '
            f'd="{_mark(shape, 7, 7)}"/></svg>{text(name, most=80)}</li>'
        )
    yield "</ul>"


def _ticks(count: int) -> list[int]:
    step = next(step for power in range(9) for step in (10**power, 2 * 10**power, 5 * 10**power) if count / step <= 12)
    return list(range(0, count, step))


def bar(value: float | None, most: float) -> str:
    """A bar in a cell, as a share of the longest; nothing for None.

    >>> bar(1, 4), bar(None, 4)
    ('<span class="bar" style="width:25.0%"></span>', '')
    """
    if value is None or not isfinite(value):
        return ""
    return f'<span class="bar" style="width:{100 * value / most if most > 0 else 0:.1f}%"></span>'


def log_bar(value: float, limit: float, *, is_over: bool) -> str:
    """A bar on a scale of powers of ten from 1e-9 to 1, with a dashed line at the limit.

    >>> 'width:50.0%' in log_bar(10**-4.5, 5e-5, is_over=False)
    True
    """
    kind = "scale over" if is_over else "scale"
    return (
        f'<span class="{kind}"><span class="bar" style="width:{_on_scale(value):.1f}%"></span>'
        f'<i style="left:{_on_scale(limit):.1f}%"></i></span>'
    )


def _on_scale(value: float) -> float:
    """The share in percent."""
    if not isfinite(value):
        return 100.0
    return 100 * min(max((log10(value) + 9) / 9, 0), 1) if value > 0 else 0.0


def curve(name: str, points: Sequence[tuple[float, float]], told: str) -> str:
    """A small chart of one curve of recall and precision, both from 0 to 1, under its name.

    >>> 'd="M0 0H66V33' in curve("dog", [(0.5, 1.0), (0.9, 0.75)], "AP 80 %")
    True
    """
    side = _CURVE
    places = [(f"{side * recall:.4g}", f"{side * (1 - precision):.4g}") for recall, precision in points]
    path = "".join(f"{f'V{y}' if number else f'M0 {y}'}H{x}" for number, (x, y) in enumerate(places))
    return (
        f'<figure class="curve"><figcaption><b>{text(name, most=60)}</b> {text(told)}</figcaption>'
        f'<svg viewBox="-1 -1 {side + 2} {side + 2}" width="{side + 2}" role="img" '
        f'aria-label="{text(f"Precision over recall of {name}: {told}", most=200)}">'
        f'<path class="frame" d="M0 0H{side}V{side}H0zM0 {side / 2:g}H{side}M{side / 2:g} 0V{side}"/>'
        f'<path class="curve" d="{path}{f"V{side}" if path else ""}"/></svg></figure>'
    )
