"""The subjects there are, each a module that is loaded on use."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from layoutbridge.atlas.descriptions.subject import Subject
from layoutbridge.errors import UnknownNameError, shown

SUBJECTS = ("torch", "ncnn")


def subject(name: str) -> Subject:
    """The subject called `name`; raises `UnknownNameError` with the names there are.

    >>> subject("torch").title
    'PyTorch'
    """
    if name not in SUBJECTS:
        raise UnknownNameError(f"nothing in the atlas is called {shown(name)}; there are {', '.join(SUBJECTS)}")
    found: Subject = import_module(f"layoutbridge.atlas.subjects.{name}").SUBJECT
    return found


def subjects(names: Sequence[str] | None = None) -> tuple[Subject, ...]:
    """The subjects called so, all of them without names."""
    return tuple(subject(name) for name in dict.fromkeys(SUBJECTS if names is None else names))
