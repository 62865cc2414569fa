"""A scene as one HTML page that needs nothing beside it; cells move from their places in the input, if it is to move.

Where a reader prefers less motion nothing moves by itself, and cells appear in their places instead of travelling.
Without scripts the page is the still figure.
"""

from __future__ import annotations

from html import escape

from layoutbridge.errors import visible
from layoutbridge.report.figures.colours import GROUNDS, Theme
from layoutbridge.report.figures.scene import Scene
from layoutbridge.report.figures.svg import svg

_STYLE = """
body { margin: 1rem; font: 15px/1.5 system-ui, sans-serif; }
.controls { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem; margin: .5rem 0; }
.controls[hidden] { display: none; }
.controls button { font: inherit; padding: .2rem .8rem; min-width: 4.5rem; }
.controls input { flex: 1 1 12rem; max-width: 30rem; }
.controls output { flex: 1 0 100%; min-height: 1.5em; font-variant-numeric: tabular-nums; }
"""
_CONTROLS = """<div class="controls" hidden>
<button type="button" data-does="back" aria-label="one cell back">Back</button>
<button type="button" data-does="play">Play</button>
<button type="button" data-does="step" aria-label="one cell on">Step</button>
<input type="range" min="0" value="0" aria-label="cells that are in their places">
<output aria-live="off"></output>
</div>"""
_SCRIPT = """
const cells = [...document.querySelectorAll('g.cell[data-from]')];
const controls = document.querySelector('.controls');
const [back, play, step] = controls.querySelectorAll('button');
const range = controls.querySelector('input'), told = controls.querySelector('output');
const calm = matchMedia('(prefers-reduced-motion: reduce)');
const from = cells.map(cell => cell.dataset.from.split(' ').map(Number));
const atOnce = 4, perSecond = Math.max(6, cells.length / 12);
let done = 0, playing = false, before = 0;

function show() {
  cells.forEach((cell, number) => {
    let share = Math.min(1, Math.max(0, (done - number) / atOnce + (calm.matches ? 0 : 1 - 1 / atOnce)));
    if (calm.matches) share = number < done ? 1 : 0;
    const left = 1 - share * share * (3 - 2 * share);
    cell.setAttribute('transform', left ? `translate(${from[number][0] * left} ${from[number][1] * left})` : '');
    cell.style.visibility = calm.matches && share === 0 ? 'hidden' : '';
  });
  const last = Math.min(Math.floor(done), cells.length) - 1;
  range.value = Math.floor(done);
  told.textContent = last < 0 ? 'nothing has moved yet' : cells[last].querySelector('title').textContent;
  play.textContent = playing ? 'Pause' : done >= end() ? 'Again' : 'Play';
}
function end() { return cells.length + (calm.matches ? 0 : 1); }
function go(to) { done = Math.min(end(), Math.max(0, to)); show(); }
function stop() { playing = false; told.setAttribute('aria-live', 'polite'); }
function tick(now) {
  if (!playing) return;
  go(done + (now - before) / 1000 * perSecond);
  before = now;
  if (done >= end()) { stop(); show(); } else requestAnimationFrame(tick);
}
function start() {
  if (done >= end()) done = 0;
  playing = true;
  told.setAttribute('aria-live', 'off');
  before = performance.now();
  requestAnimationFrame(tick);
}
play.addEventListener('click', () => { if (playing) { stop(); show(); } else start(); });
step.addEventListener('click', () => { stop(); go(Math.floor(done) + 1); });
back.addEventListener('click', () => { stop(); go(Math.ceil(Math.min(done, cells.length)) - 1); });
range.addEventListener('input', () => { stop(); go(Number(range.value)); });
range.max = cells.length;
controls.hidden = false;
show();
if (!calm.matches) start();
"""


def page(scene: Scene, theme: Theme, *, moves: bool) -> str:
    """The page; with `moves` its cells do, with buttons to play, pause and step.

    >>> from layoutbridge.report.figures.scene import Scene
    >>> "<script>" in page(Scene((10, 10), "<script>", "", (), ()), "auto", moves=False)
    False
    """
    scheme = "light dark" if theme == "auto" else theme
    title = escape(visible(scene.title))
    drawn = svg(scene, theme, is_inline=True, moves=moves)
    grounds = _ground(theme)
    parts = [
        "<!DOCTYPE html>", '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{title}</title><style>:root {{ color-scheme: {scheme}; }}{_STYLE}{grounds}</style></head><body>",
        *([_CONTROLS] if moves else []), drawn, *([f"<script>{_SCRIPT}</script>"] if moves else []),
        "</body></html>", "",
    ]  # fmt: skip
    return "\n".join(parts)


def _ground(theme: Theme) -> str:
    if theme == "auto":
        dark = _body("dark")
        return f"{_body('light')}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n"
    return f"{_body(theme)}\n"


def _body(theme: Theme) -> str:
    ground = GROUNDS[theme]
    return f"body {{ background: {ground.page}; color: {ground.words}; }}"
