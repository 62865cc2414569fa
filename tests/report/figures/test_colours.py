"""Colours that all can tell apart, with numbers that all can read: by WCAG, in grey, by the colour-blind."""

from itertools import combinations

import numpy as np
import pytest

from layoutbridge.report.figures.colours import GROUNDS, colour, contrast, ink

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
BLINDNESS = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    "none": np.eye(3),
}  # fmt: skip


def linear(fill):
    values = np.array([int(fill[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = np.cbrt(np.clip(xyz / [0.9505, 1, 1.089], 0, None))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 8, 16, 64, 300])
def test_numbers_are_read_on_every_colour(count):
    assert min(contrast(ink(fill), fill) for fill in (colour(k, count) for k in range(count))) >= 4.5


def test_words_are_read_on_every_ground():
    assert min(contrast(ground.words, ground.page) for ground in GROUNDS.values()) > 10


@pytest.mark.parametrize("count", range(2, 9))
def test_colours_are_told_apart_in_grey(count):
    lightness = [lab(linear(colour(k, count)))[0] for k in range(count)]
    assert lightness == sorted(lightness)
    assert min(np.diff(lightness)) > 5


@pytest.mark.parametrize("count", range(2, 9))
@pytest.mark.parametrize("kind", BLINDNESS)
def test_colours_are_told_apart_by_the_colour_blind(kind, count):
    seen = [lab(np.clip(np.array(BLINDNESS[kind]) @ linear(colour(k, count)), 0, 1)) for k in range(count)]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 8
