"""Figures for programs: what is in each cell, or how the digits cross, without where it lies."""

from __future__ import annotations

from dataclasses import asdict

from layoutbridge.report.figures.figure import Figure
from layoutbridge.report.figures.panels import Panel


def figure_record(figure: Figure) -> dict[str, object]:
    """A figure as plain values: its panels, or its crossings.

    A panel's `cells` are [position in the result, position in the input], those that are drawn; `differing` are the
    positions of those that are marked; `part` says what is left out, if anything.
    """
    if figure.picture is None:
        return {"title": figure.title, "crossings": [asdict(crossing) for crossing in figure.crossings]}
    panels = [_panel(panel) for panel in figure.picture.panels]
    return {"title": figure.title, "panels": panels, "notes": list(figure.picture.notes)}


def _panel(panel: Panel) -> dict[str, object]:
    return {
        "title": panel.title,
        "shape": list(panel.shape),
        "part": panel.part,
        "cells": [[cell.position, cell.source] for cell in panel.cells],
        "differing": [cell.position for cell in panel.cells if cell.differs],
    }
