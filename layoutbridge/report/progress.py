"""Progress on a terminal while work goes on; silent where nobody looks, and rich's bars are not even imported there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn, TaskID


@contextmanager
def framework_progress(console: Console | None) -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each framework, fed by calls `(framework, done, total)`; nothing is drawn off a terminal."""
    if console is None or not console.is_terminal:
        yield lambda framework, done, total: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        TextColumn("{task.fields[state]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def advance(framework: str, done: int, total: int) -> None:
            if framework not in tasks:
                tasks[framework] = bars.add_task(framework, total=total, state="loading")
            state = "done" if done == total else f"stride {done + 1} of {total}"
            bars.update(tasks[framework], completed=done, total=total, state=state)

        yield advance


@contextmanager
def byte_progress(console: Console | None, what: str) -> Iterator[Callable[[int, int], None]]:
    """One bar fed by calls `(done, total)`; nothing is drawn off a terminal, or before the first call."""
    if console is None or not console.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import TextColumn, TimeElapsedColumn

    with _one_bar(console, what, TextColumn("{task.percentage:>3.0f}%"), TimeElapsedColumn()) as advance:
        yield advance


@contextmanager
def count_progress(console: Console | None, what: str) -> Iterator[Callable[[int, int], None]]:
    """The same with the numbers themselves, and how long it will take."""
    if console is None or not console.is_terminal:
        yield lambda done, total: None
        return
    from rich.progress import MofNCompleteColumn, TimeRemainingColumn

    with _one_bar(console, what, MofNCompleteColumn(), TimeRemainingColumn()) as advance:
        yield advance


@contextmanager
def _one_bar(console: Console, what: str, *columns: ProgressColumn) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import BarColumn, Progress, TextColumn

    all_columns = (TextColumn("{task.description}"), BarColumn(), *columns)
    with Progress(*all_columns, console=console, transient=True) as bars:
        tasks: list[TaskID] = []

        def advance(done: int, total: int) -> None:
            if not tasks:
                tasks.append(bars.add_task(what, total=total))
            bars.update(tasks[0], completed=done, total=total)

        yield advance


@contextmanager
def step_progress(console: Console | None, what: str) -> Iterator[Callable[[str], None]]:
    """One line that tells the present step, fed by calls `(step)`; nothing is drawn off a terminal."""
    if console is None or not console.is_terminal:
        yield lambda step: None
        return
    from rich.markup import escape
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda step: bars.update(task, description=escape(f"{what}: {step}"))


@contextmanager
def named_progress(console: Console | None, what: str) -> Iterator[Callable[[str, int, int], None]]:
    """One bar fed by calls `(what, done, total)`, with what is worked at, by default `what`; none off a terminal."""
    if console is None or not console.is_terminal:
        yield lambda begun, done, total: None
        return
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(what, total=None)
        yield lambda begun, done, total: bars.update(
            task, description=escape(begun or what), completed=done, total=total
        )
