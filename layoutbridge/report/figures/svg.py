"""A scene as SVG: on light and dark screens, with a tooltip on each cell, and its positions for programs."""

from __future__ import annotations

from collections.abc import Iterator

from layoutbridge.report.figures.colours import EDGE, GROUNDS, Theme
from layoutbridge.report.figures.markup import escaped
from layoutbridge.report.figures.scene import MARK_INSET, NUMBER_SIZE, Box, Curve, Label, Scene

_SANS = "system-ui, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
_CODE = "ui-monospace, Menlo, 'DejaVu Sans Mono', monospace"


def svg(scene: Scene, theme: Theme = "auto", *, is_inline: bool = False, moves: bool = False) -> str:
    """The scene as SVG text; with `is_inline` for the inside of a page, whose ground and colour of text it takes.

    Each cell of a result is a group with `data-output` and `data-input`, its flat positions; a cell of the input has
    `data-position`. With `moves` a cell's `data-from` says how far off it starts.

    >>> from layoutbridge.report.figures.scene import Scene
    >>> svg(Scene((10, 10), "a < b", "", (), ())).count("a &lt; b")
    2
    """
    width, height = scene.size
    ground = GROUNDS["dark" if theme == "dark" else "light"]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="layoutbridge" role="img" aria-label="{escaped(scene.title)}" '
        f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    )
    head += ' style="max-width: 100%; height: auto">' if is_inline else f' color="{ground.words}">'
    lines = [head, f"<title>{escaped(scene.title)}</title>", f"<desc>{escaped(scene.description)}</desc>"]
    if not is_inline:
        lines.append(_style(theme))
        lines.append(f'<rect class="ground" width="{width:g}" height="{height:g}" fill="{ground.page}"/>')
    lines += [f'<g font-family="{_SANS}">', *map(_curve, scene.curves), *map(_label, scene.labels), "</g>"]
    lines.append(f'<g font-family="{_SANS}" font-size="{NUMBER_SIZE:g}" text-anchor="middle" stroke-width="0.75">')
    lines += [*(_box(box, moves) for box in scene.boxes), "</g>", "</svg>", ""]
    return "\n".join(lines)


def _style(theme: Theme) -> str:
    """What follows the reader's scheme; the attributes alone are the light one, for programs that read no style."""
    if theme != "auto":
        return ""
    dark = GROUNDS["dark"]
    return (
        f"<style>@media (prefers-color-scheme: dark) {{ svg.layoutbridge {{ color: {dark.words}; }} "
        f"svg.layoutbridge .ground {{ fill: {dark.page}; }} }}</style>"
    )


def _box(box: Box, moves: bool) -> str:
    (x, y), (width, height) = box.at, box.size
    data = ""
    if box.is_result:
        data = f' data-output="{box.position}" data-input="{box.source}"'
    elif box.position is not None:
        data = f' data-position="{box.position}"'
    if box.differs:
        data += ' data-differs="true"'
    if moves and box.is_result:  # what comes from no place that is drawn appears where it belongs
        start = box.start or box.at
        data += f' data-from="{start[0] - x:g} {start[1] - y:g}"'
    told = f"<title>{escaped(box.told)}</title>" if box.told else ""
    return (
        f'<g class="cell"{data}>{told}<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
        f'fill="{box.fill}" stroke="{EDGE}"/>{"".join(_mark(box)) if box.differs else ""}'
        f'<text x="{x + width / 2:g}" y="{y + height / 2 + 4:g}" fill="{box.ink}">{escaped(box.words)}</text></g>'
    )


def _mark(box: Box) -> Iterator[str]:
    """A frame and a filled corner, in the colour of the number: seen on every cell, in grey too."""
    (x, y), (width, height) = box.at, box.size
    within = width - 2 * MARK_INSET, height - 2 * MARK_INSET
    yield (
        f'<rect x="{x + MARK_INSET:g}" y="{y + MARK_INSET:g}" width="{within[0]:g}" height="{within[1]:g}" fill="none" '
        f'stroke="{box.ink}" stroke-width="1.5"/>'
    )
    right = x + width - MARK_INSET
    yield f'<path d="M{right - 8:g} {y + MARK_INSET:g}H{right:g}v8z" fill="{box.ink}" stroke="none"/>'


def _label(label: Label) -> str:
    x, y = label.at
    anchor = f' text-anchor="{label.anchor}"' if label.anchor != "start" else ""
    weight = ' font-weight="600"' if label.is_bold else ""
    family = f' font-family="{_CODE}"' if label.is_code else ""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{label.size:g}"{anchor}{weight}{family} fill="currentColor">'
        f"{escaped(label.words)}</text>"
    )


def _curve(curve: Curve) -> str:
    (x, y), (to_x, to_y) = curve.start, curve.end
    if curve.is_thin:
        return f'<path d="M{x:g} {y:g}L{to_x:g} {to_y:g}" fill="none" stroke="currentColor" stroke-width="1"/>'
    middle = (x + to_x) / 2
    path = f"M{x:g} {y:g}C{middle:g} {y:g} {middle:g} {to_y:g} {to_x:g} {to_y:g}"
    return (
        f'<path d="{path}" fill="none" stroke="{EDGE}" stroke-width="8"/>'
        f'<path d="{path}" fill="none" stroke="{curve.stroke}" stroke-width="6"/>'
    )
