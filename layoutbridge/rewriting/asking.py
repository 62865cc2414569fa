"""What a user asks for, by the number or a name of a place and the name of an entry, as places and operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from layoutbridge.errors import ParameterError, shown
from layoutbridge.rewriting.places.locating import Located, Scene, Wishes
from layoutbridge.rewriting.places.wanted import Fix, is_same_map, refuse_unmovable, wanted_at
from layoutbridge.rewriting.proving import region_of


def fixes_asked(scene: Scene, asked: Sequence[Wishes], refuse: Callable[[Located], None]) -> tuple[list[Fix], ...]:
    """What is to be done by each way of doing it that is `asked` for; what is as asked for already is left out.

    `refuse` raises for a place where nothing can be done. Raises `ParameterError`, and as `wanted_at`.
    """
    known: dict[int, str] = {}
    made: tuple[list[Fix], ...] = tuple([] for _ in asked)
    for wishes, own in zip(asked, made, strict=True):
        for wish, name in wishes.items():
            located = scene.called(_checked(wish))
            if not isinstance(name, str):
                raise ParameterError(f"{located.told} is to be an entry's name, not {shown(name)}")
            if located.number in known:
                told = f"{known[located.number][:80]} and {name[:80]}"
                raise ParameterError(f"{located.told} is asked for twice, as {told}")
            known[located.number] = name
            refuse_unmovable(located)
            refuse(located)
            wanted = wanted_at(located, name)
            graphs = (located.graph, *((located.second,) if len(located.seen_at) > 1 else ()))
            seen = (graph for graph in graphs if graph is not None)
            if not all(is_same_map(graph, region_of(graph, located), wanted.on_all_axes) for graph in seen):
                own.append(Fix(located, wanted))
    return made


def _checked(wish: object) -> str | int:
    if isinstance(wish, bool) or not isinstance(wish, str | int):
        raise ParameterError(f"a place is told by its number or by a name, not {shown(wish)}")
    return wish
