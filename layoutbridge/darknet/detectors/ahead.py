"""Things made in other threads while those before them are used: pictures, while the network looks at others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def made_ahead(items: Iterator[Item], make: Callable[[Item], Made], count: int, threads: int) -> Iterator[Made]:
    """`make(item)` of each item in order, `count` of them ahead, by so many threads; items come from one of their own.

    An error of `items` or `make` is raised where its item would have come.

    >>> list(made_ahead(iter("abc"), str.upper, count=2, threads=2))
    ['A', 'B', 'C']
    """
    end: Any = object()

    def made(asked: Future[Any]) -> Any:
        item = asked.result()
        return end if item is end else make(item)

    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(threads) as makers:
        waiting: deque[Future[Any]] = deque()

        def ask() -> None:
            waiting.append(makers.submit(made, reader.submit(next, items, end)))

        try:
            for _ in range(count):
                ask()
            while (one := waiting.popleft().result()) is not end:
                ask()
                yield one
        finally:  # where nobody wants more, what has not begun is not begun
            reader.shutdown(wait=False, cancel_futures=True)
            makers.shutdown(wait=False, cancel_futures=True)
