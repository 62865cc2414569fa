"""What is X of one runtime called in another? Read from the atlas: the ops there that are the same map."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

from layoutbridge.atlas.answers import Answer, Atlas, parsed_atlas
from layoutbridge.errors import ParameterError, UnknownNameError, shown
from layoutbridge.frameworks.table import FRAMEWORKS, WRITTEN, names_of
from layoutbridge.operations.catalog import catalog, op


@dataclass(frozen=True, slots=True)
class Ported:
    """The map that was asked for, by its `names`, and what to write for it: `answers` are ops of the runtime itself.

    Where it has none, `code` is a function of its API that is the same map; empty where none is written for it.
    """

    names: tuple[str, ...]
    target: str
    answers: tuple[Answer, ...]
    code: str


@cache
def published() -> Atlas:
    """The atlas that comes with layoutbridge."""
    return parsed_atlas(files("layoutbridge.atlas").joinpath("atlas.json").read_text("utf-8"), "atlas.json")


def port(name: str | None, source: str | None, target: str, stride: int = 2) -> Ported:
    """What to write in `target` for an entry of the catalogue, or for an op of another subject, `source`.

    `source` is such as `ncnn:Reorg:1`: a subject, an op, its mode, and its layout where that is NHWC. Raises
    `UnknownNameError` with the nearest for what is not there, and `ParameterError` where both are given and differ, or
    neither is.

    >>> port(None, "ncnn:PixelShuffle:0", "torch").answers[0].op
    'pixel_shuffle'
    """
    names = _names(name, source)
    subjects = list(dict.fromkeys(each.subject for each in published().answers))
    language = _language(target)
    if target not in subjects and not language:
        raise UnknownNameError(f"nothing in the atlas is called {shown(target)}; there are {', '.join(subjects)}")
    same = tuple(each for each in published().answers if each.subject == target and set(each.names) & set(names))
    return Ported(names, target, same, "" if same or not language else _code(names[0], language, stride))


def _language(target: str) -> str:
    """The framework whose code runs in a subject; empty where none is written for it."""
    own = next((name for name in WRITTEN if target == name or (name in FRAMEWORKS and target in names_of(name))), "")
    return own or ("onnx" if target.startswith("onnx") else "")


def _names(name: str | None, source: str | None) -> tuple[str, ...]:
    if name is not None:
        op(name.removeprefix("inverse of "))  # raises for a name that is none
    if source is None:
        if name is None:
            raise ParameterError("say what is to be ported: a catalogue name, or --from ncnn:Reorg:1")
        return _same_as(name)
    by_key = {each.key: each for each in published().answers}
    if source not in by_key:
        near = get_close_matches(source, by_key, n=3, cutoff=0.3)
        raise UnknownNameError(f"no op in the atlas is called {shown(source)}; near it are {', '.join(near) or 'none'}")
    found = by_key[source]
    if not found.names:
        raise ParameterError(f"{source} is no entry of the catalogue: {found.detail}")
    if name is not None and name not in found.names:
        raise ParameterError(f"{source} is {', '.join(found.names)}, and not {name}")
    return found.names


def _same_as(name: str) -> tuple[str, ...]:
    """The names of the same map, the given one first."""
    own = catalog()[name].build()
    return (name, *(other for other, entry in catalog().items() if other != name and entry.build() == own))


def _code(name: str, language: str, stride: int) -> str:
    from layoutbridge.frameworks import code

    is_inverse = name.startswith("inverse of ")
    entry = catalog()[name.removeprefix("inverse of ")]
    made = entry.build_at(stride)
    return code(made.inverse() if is_inverse else made, language)
