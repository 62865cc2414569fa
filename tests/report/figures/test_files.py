"""Figures in files: each format opened by something that is not ours, and a browser that plays the animation."""

import json
import re
import subprocess
import sys
import time

import pytest

import layoutbridge as lb
from layoutbridge.errors import ParameterError, UnusableInputError
from tests.browser import chromium_path
from tests.command_line import ROOT

CHROMIUM = chromium_path()


@pytest.fixture
def drawn():
    return pytest.importorskip("matplotlib", reason="matplotlib, which draws PNG, PDF and GIF, is not installed")


def test_svg_and_html_are_text_for_themselves(tmp_path):
    figure = lb.plot("darknet_reorg", compare="space_to_depth")
    figure.save(tmp_path / "f.svg")
    assert (tmp_path / "f.svg").read_text() == figure.svg == figure._repr_svg_()
    figure.save(tmp_path / "f.HTML")
    page = (tmp_path / "f.HTML").read_text()
    assert page.count("data-output") == 128 and "<script" not in page
    for theme in ("auto", "light", "dark"):
        moving = lb.plot("darknet_reorg", animate=True, theme=theme)
        moving.save(tmp_path / "m.html")
        page = (tmp_path / "m.html").read_text()
        assert page.count("data-from") == 64 + 1  # once in the script
        assert not re.search(r"(src|href)=|@import|url\(", page)
        assert f"color-scheme: {'light dark' if theme == 'auto' else theme}" in page


@pytest.mark.parametrize("options", [{}, {"digits": True}, {"compare": "space_to_depth", "theme": "dark"}], ids=str)
def test_png_and_pdf(tmp_path, drawn, options):
    from PIL import Image

    figure = lb.plot("darknet_reorg", **options)
    figure.save(tmp_path / "f.png")
    with Image.open(tmp_path / "f.png") as picture:
        assert picture.size == tuple(pytest.approx(2 * side, abs=2) for side in figure.scene.size)
        colours = {colour for _, colour in picture.convert("RGB").getcolors(1 << 24)}
        wanted = {box.fill for box in figure.scene.boxes} | {"#0d1117" if "theme" in options else "#ffffff"}
        assert {f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours} >= wanted
        for box in figure.scene.boxes:  # the ground of each, beside its number
            at = (round(2 * (box.at[0] + 3)), round(2 * (box.at[1] + box.size[1] - 3)))
            if not box.differs:
                assert "#{:02x}{:02x}{:02x}".format(*picture.convert("RGB").getpixel(at)) == box.fill
    figure.save(tmp_path / "f.pdf")
    first = (tmp_path / "f.pdf").read_bytes()
    assert first.startswith(b"%PDF-") and first.rstrip().endswith(b"%%EOF")
    figure.save(tmp_path / "f.pdf")
    assert (tmp_path / "f.pdf").read_bytes() == first


def test_gif(tmp_path, drawn):
    from PIL import Image

    figure = lb.plot("darknet_reorg")
    figure.save(tmp_path / "f.gif")
    with Image.open(tmp_path / "f.gif") as film:
        assert film.n_frames == 17
        places = []
        for frame in (0, 8, 16):
            film.seek(frame)
            picture, box = (
                film.convert("RGB"),
                next(box for box in figure.scene.boxes if box.position == 63 and box.is_result),
            )
            share = (0, 0.5, 1)[frame // 8]
            x, y = (box.start[axis] + (box.at[axis] - box.start[axis]) * share for axis in (0, 1))
            seen = picture.getpixel((round(x + 3), round(y + box.size[1] - 3)))
            wanted = tuple(int(box.fill[at : at + 2], 16) for at in (1, 3, 5))
            places.append(max(abs(a - b) for a, b in zip(seen, wanted, strict=True)))
        assert max(places) < 12, places  # of 256 colours in all


@pytest.mark.parametrize("ending", ["svg", "html", "png", "pdf", "gif"])
@pytest.mark.parametrize("shape", [(4, 4, 4), (64, 26, 26)], ids=str)
def test_a_file_is_quick(tmp_path, drawn, ending, shape):
    for _ in range(2):  # what is imported, and fonts that are looked for, the first time
        start = time.process_time()
        lb.plot("darknet_reorg", shape, animate=ending == "gif").save(tmp_path / f"f.{ending}")
        taken = time.process_time() - start
    assert taken < 1


def test_matplotlib_draws_pictures_alone(tmp_path):
    code = (
        "import sys, layoutbridge as lb\nfrom layoutbridge.cli import main\n"
        f"lb.plot('focus').save({str(tmp_path / 'f.svg')!r})\n"
        f"lb.plot('focus', animate=True).save({str(tmp_path / 'f.html')!r})\n"
        "main(['show', 'focus']); main(['show', 'focus', '--digits'])\n"
        "sys.exit(bool({'matplotlib', 'PIL', 'torch', 'onnx'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=ROOT).returncode == 0


def test_what_is_missing_is_told_with_what_brings_it(tmp_path):
    code = (
        "import sys\nsys.modules['matplotlib'] = None\nimport layoutbridge as lb\n"
        f"try:\n    lb.plot('focus').save({str(tmp_path / 'f.png')!r})\n"
        "except lb.LayoutBridgeError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.startswith("matplotlib is not installed: pip install") and "[viz]" in done.stdout, done
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["f.jpg", "f", "f.svg/", "", "nowhere/f.svg", "f.svg.bak", "..", "a\0.svg"])
def test_what_cannot_be_written_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ParameterError, UnusableInputError)):
        lb.plot("focus").save(name)
    with pytest.raises(ParameterError, match=r"cannot move: an animation ends in \.html or \.gif"):
        lb.plot("focus", animate=True).save("f.svg")
    assert not any(tmp_path.iterdir())


def test_the_figures_of_the_documentation_are_what_is_drawn_today():
    pages = ROOT / "docs"
    compared = lb.plot("darknet_reorg", (4, 4, 4), compare="space_to_depth", stride=2)
    assert (pages / "reorg-and-space-to-depth.svg").read_text(encoding="utf-8") == compared.svg
    assert (pages / "reorg-digits.svg").read_text(encoding="utf-8") == lb.plot(
        "darknet_reorg", (64, 26, 26), digits=True
    ).svg


# ---------------------------------------------------------------------- in a browser


PROBE = """<script>
const wait = time => new Promise(done => setTimeout(done, time));
const state = () => ({
  told: told.textContent, arrived: Number(range.value), play: play.textContent,
  there: cells.filter(cell => !cell.style.visibility && cell.getAttribute('transform') === 'translate(0 0)').length,
});
(async () => {
  const seen = [];
  const see = () => seen.push(state());
  await wait(500); play.click(); const paused = state(); seen.push(paused);
  range.value = 0; range.dispatchEvent(new Event('input')); see();
  step.click(); await wait(1500); see();
  step.click(); await wait(1500); see();
  back.click(); see();
  play.click(); await wait(60000); see();
  const pre = document.createElement('pre');
  pre.id = 'seen'; pre.textContent = JSON.stringify(seen); document.body.append(pre);
})();
</script></body>"""
# frames that come though nothing is shown on a screen
CLOCK = "<head><script>requestAnimationFrame = f => setTimeout(() => f(performance.now()), 16)</script>"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium to play the animation")
@pytest.mark.parametrize("flags", [(), ("--force-prefers-reduced-motion",)], ids=["moving", "calm"])
def test_a_browser_plays_and_steps(tmp_path, flags):
    path = tmp_path / "f.html"
    lb.plot("darknet_reorg", animate=True).save(path)
    path.write_text(path.read_text().replace("</body>", PROBE).replace("<head>", CLOCK, 1))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *flags, "--virtual-time-budget=90000"]
    done = subprocess.run([*command, "--dump-dom", path.as_uri()], capture_output=True, text=True, timeout=120)
    paused, none, one, two, again, all_ = json.loads(re.search(r'<pre id="seen">(.*?)</pre>', done.stdout)[1])
    assert (paused["arrived"], paused["play"]) == ((64, "Again") if flags else (pytest.approx(3, abs=2), "Play"))
    assert (none["there"], none["told"]) == (0, "nothing has moved yet")
    assert (one["there"], one["told"]) == (1, "output [0, 0, 0] = input [0, 0, 0]")
    assert (two["there"], two["told"]) == (2, "output [0, 0, 1] = input [0, 0, 2]")
    assert again == one
    assert (all_["there"], all_["arrived"], all_["play"]) == (64, 64, "Again")
    assert all_["told"] == "output [15, 1, 1] = input [3, 3, 3]"
