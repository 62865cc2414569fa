"""Long lists of cases: how many of them the default tests take, how many more are slow; the rest is thorough."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from zlib import crc32

import pytest


def mark_samples(items: Iterable[pytest.Item]) -> None:
    """Mark the cases of each test that has ``@pytest.mark.sample(default, slow=…, first=…)``, as ``marks`` says.

    ``first`` are parameters whose cases the default tests take in any case.
    """
    samples: dict[str, pytest.Mark] = {}
    tests: dict[str, list[pytest.Function]] = defaultdict(list)
    for item in items:
        sample = item.get_closest_marker("sample")
        if sample is not None and isinstance(item, pytest.Function):
            test = item.nodeid.split("[")[0]
            samples[test] = sample
            tests[test].append(item)
    for test, cases in tests.items():
        shares = dict(samples[test].kwargs)
        first = shares.pop("first", ())
        others = {
            case.name: case for case in cases if not any(value in first for value in case.callspec.params.values())
        }
        for name, mark in marks(others, *samples[test].args, **shares).items():
            others[name].add_marker(mark)


def marks(names: Collection[str], default: int = 0, *, slow: int | None = None) -> dict[str, str]:
    """Those that are slow or thorough: all but ``default`` of them, ``slow`` (or all) of these slow.

    They are drawn by their names: a name that is added moves few others, and no axis of parameters is favoured.

    >>> marks(["reorg-1", "reorg-2", "focus-1", "focus-2"], 1, slow=2)
    {'reorg-1': 'slow', 'focus-2': 'slow', 'reorg-2': 'thorough'}
    >>> marks(["reorg", "focus"], 1)
    {'reorg': 'slow'}
    """
    left = sorted(names, key=lambda name: crc32(name.encode()))[default:]
    most = len(left) if slow is None else slow
    return {name: "slow" if place < most else "thorough" for place, name in enumerate(left)}
