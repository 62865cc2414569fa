"""A scene as one HTML page that needs nothing beside it; cells move from their places in the input, if it is to move.

Where a reader prefers less motion nothing moves by itself, and cells appear in their places instead of travelling.
Without scripts the page is the still figure.
"""

from __future__ import annotations

from layoutbridge.report.figures.colours import GROUNDS, Theme
from layoutbridge.report.figures.markup import escaped
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
const perSecond = Math.max(4, cells.length / 15);
let done = 0, run = null;  // how many cells are in their places; what moves others there

function shareOf(number) {
  if (!run || number < done) return number < done ? 1 : 0;
  if (number >= run.to) return 0;
  const share = Math.min(1, Math.max(0, (run.at - number) / run.together));
  return calm.matches ? Math.floor(share) : share * share * (3 - 2 * share);
}
function show() {
  let arrived = 0;
  cells.forEach((cell, number) => {
    const share = shareOf(number), left = 1 - share;
    arrived += share === 1;
    cell.style.visibility = share ? '' : 'hidden';
    cell.setAttribute('transform', `translate(${from[number][0] * left} ${from[number][1] * left})`);
  });
  range.value = arrived;
  told.textContent = arrived ? cells[arrived - 1].querySelector('title').textContent : 'nothing has moved yet';
  play.textContent = run ? 'Pause' : done === cells.length ? 'Again' : 'Play';
}
function stop(at) {
  run = null;
  done = Math.min(cells.length, Math.max(0, at));
  told.setAttribute('aria-live', 'polite');
  show();
}
function arrivedBy(now) { return Math.min(run.to, Math.ceil(now)); }
function move(to, together) {
  if (to > cells.length) return;
  told.setAttribute('aria-live', 'off');
  const mine = run = { at: done, to, together };
  let before = performance.now();
  requestAnimationFrame(function tick(now) {
    if (run !== mine) return;
    run.at += Math.max(0, now - before) / 1000 * perSecond;
    before = now;
    if (run.at >= to - 1 + together) { stop(to); return; }
    show();
    requestAnimationFrame(tick);
  });
}
play.addEventListener('click', () => {
  if (run) { stop(arrivedBy(run.at)); return; }
  if (done === cells.length) done = 0;
  move(cells.length, 4);
});
step.addEventListener('click', () => { if (run) stop(arrivedBy(run.at)); move(done + 1, 1); });
back.addEventListener('click', () => stop((run ? arrivedBy(run.at) : done) - 1));
range.addEventListener('input', () => stop(Number(range.value)));
range.max = cells.length;
controls.hidden = false;
if (calm.matches) stop(cells.length);
else move(cells.length, 4);
"""


def page(scene: Scene, theme: Theme, *, moves: bool) -> str:
    """The page; with `moves` its cells do, with buttons to play, pause and step.

    >>> from layoutbridge.report.figures.scene import Scene
    >>> "<script>" in page(Scene((10, 10), "<script>", "", (), ()), "auto", moves=False)
    False
    """
    scheme = "light dark" if theme == "auto" else theme
    title = escaped(scene.title)
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
