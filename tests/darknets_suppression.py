"""Darknet's suppression loop by loop, after box.c, in float32: what ours are compared with. And boxes to try it on."""

from typing import Any

import numpy as np

F = np.float32


def darknets_suppression(rows: Any, threshold: float, kind: str, beta: float) -> Any:
    """do_nms_sort and diounms_sort on rows of x, y, w, h, objectness and scores; glibc's qsort keeps ties in order."""
    found = [row.copy() for row in rows]
    i, k = 0, len(found) - 1
    while i <= k:
        if found[i][4] == 0:
            found[i], found[k] = found[k], found[i]
            k -= 1
            i -= 1
        i += 1
    total = k + 1
    for column in range(5, rows.shape[1]):
        found[:total] = sorted(found[:total], key=lambda row, place=column: -row[place])  # type: ignore[misc]
        for i in range(total):
            if found[i][column] == 0:
                continue
            for j in range(i + 1, total):
                if overlap(found[i], found[j], kind, beta) > F(threshold):
                    found[j][column] = 0
    # The empty ones behind, in any order: as they came.
    return np.array(found[:total] + [row for row in rows if row[4] == 0], F).reshape(rows.shape)


def overlap(a: Any, b: Any, kind: str, beta: float) -> Any:
    """box_iou, box_diou or box_diounms, as the kind asks for."""
    if kind == "greedynms":
        return iou(a, b) - distance(a, b, 0.6)
    if kind == "diounms":
        return iou(a, b) - distance(a, b, beta)
    return iou(a, b)


def iou(a: Any, b: Any) -> Any:
    w, h = shared_length(a[0], a[2], b[0], b[2]), shared_length(a[1], a[3], b[1], b[3])
    shared = F(0) if w < 0 or h < 0 else w * h
    union = a[2] * a[3] + b[2] * b[3] - shared
    return F(0) if shared == 0 or union == 0 else shared / union


def shared_length(x1: Any, w1: Any, x2: Any, w2: Any) -> Any:
    left = max(x1 - w1 / F(2), x2 - w2 / F(2))
    right = min(x1 + w1 / F(2), x2 + w2 / F(2))
    return right - left


def distance(a: Any, b: Any, exponent: float) -> Any:
    top, bottom = min(a[1] - a[3] / F(2), b[1] - b[3] / F(2)), max(a[1] + a[3] / F(2), b[1] + b[3] / F(2))
    left, right = min(a[0] - a[2] / F(2), b[0] - b[2] / F(2)), max(a[0] + a[2] / F(2), b[0] + b[2] / F(2))
    w, h = right - left, bottom - top
    c = w * w + h * h
    if c == 0:
        return F(0)
    d = (a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1])
    return F(float(d / c) ** exponent)


def crowd(seed: int, classes: int = 3) -> Any:
    """Rows that overlap much, some without objectness or size, some scores equal, many 0."""
    generator = np.random.default_rng(seed)
    count = int(generator.integers(0, 30))
    rows = np.empty((count, 5 + classes), F)
    rows[:, :2] = generator.uniform(0.3, 0.7, (count, 2))
    rows[:, 2:4] = generator.uniform(0, 0.5, (count, 2)) * (generator.random((count, 1)) > 0.1)
    rows[:, 4] = generator.random(count) > 0.2
    scores = generator.random((count, classes))
    coarse = generator.random((count, 1)) < 0.3
    rows[:, 5:] = np.where(coarse, np.round(scores * 4) / 4, scores) * (generator.random((count, classes)) > 0.4)
    rows[rows[:, 4] == 0, 5:] = 0
    return rows


def many(count: int, classes: int, side: float) -> Any:
    """Boxes of about that side all over the picture, all of them sure, some scores equal."""
    generator = np.random.default_rng(4)
    rows = np.ones((count, 5 + classes), F)
    rows[:, :2] = generator.uniform(0, 1, (count, 2))
    rows[:, 2:4] = side * generator.uniform(0.5, 1.5, (count, 2))
    scores = generator.uniform(0.3, 1, (count, classes))
    rows[:, 5:] = np.where(generator.random((count, 1)) < 0.5, scores.round(2), scores)
    return rows
