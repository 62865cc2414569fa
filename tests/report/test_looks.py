"""What can be measured of how pages look: contrast of text on light and on dark screens, marks that need no color."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layoutbridge.report.pages.charts import _COLORS, _SHAPES, deviations, log_bar
from layoutbridge.report.pages.style import STYLE

LEAST = 4.5  # of WCAG's level AA for text


def colors(scheme):
    """The colors by name, as the style sets them for a scheme."""
    light, dark = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    found = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{3,6})", light))
    return found if scheme == "light" else found | dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{3,6})", dark))


def luminance(color):
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    shares = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(scheme):
    held = colors(scheme)
    pairs = [(name, ground) for name in ("text", "soft", "accent") for ground in ("ground", "raised")]
    pairs += [(name, f"{name}-ground") for name in ("wrong", "right", "warn")]
    pairs += [("text", f"{name}-ground") for name in ("wrong", "right", "warn")]
    pairs += [(name, "ground") for name in ("wrong", "right", "warn")]
    low = {pair: contrast(held[pair[0]], held[pair[1]]) for pair in pairs}
    assert {pair: value for pair, value in low.items() if value < LEAST} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_series_can_be_told_apart_without_color(scheme):
    ground = colors(scheme)["ground"]
    own = [pair[scheme == "dark"] for pair in _COLORS]
    assert min(contrast(color, ground) for color in own) >= 3  # of WCAG's for figures
    assert len(set(_SHAPES)) == len(_SHAPES) == len(_COLORS)


DEVIATIONS = st.none() | st.sampled_from([0.0, float("nan")]) | st.floats(min_value=0)


@given(st.lists(DEVIATIONS, max_size=30), st.floats(1e-9, 1))
def test_whatever_the_deviations_they_are_drawn_within_the_chart(values, limit):
    made = "".join(deviations({"a": values, "b": values[:3]}, {"allowed": limit}, None, "layer"))
    box = [int(number) for number in re.search(r'viewBox="0 0 (\d+) (\d+)"', made).groups()]
    drawn = re.findall(r'class="series" style="[^"]*" d="([^"]*)"', made)[:2]
    assert [len(re.findall(r"M[\d.]+ [\d.]+m", path)) > 0 for path in drawn] == [
        any(value is not None for value in own) for own in (values, values[:3])
    ]
    for path in drawn:
        for x, y in re.findall(r"M(-?[\d.]+) (-?[\d.]+)", path):
            assert 0 <= float(x) <= box[0]
            assert 0 <= float(y) <= box[1]
    for value in values:
        if value is not None:
            assert all(
                0 <= float(share) <= 100 for share in re.findall(r"([\d.]+)%", log_bar(value, limit, is_over=True))
            )
