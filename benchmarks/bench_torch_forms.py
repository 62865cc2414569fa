"""How to write a rearrangement in PyTorch: the forms that compute the same, timed in turns, as ratios to a copy.

`python benchmarks/bench_torch_forms.py` prints medians of interleaved calls on two threads, the time of `clone` = 1;
under pytest it also holds the emitted module to the fastest form. "emitted" is `layoutbridge.emit(op, "torch")`.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from layoutbridge.frameworks import emit
from layoutbridge.operations.catalog import op

torch: Any = pytest.importorskip("torch", reason="torch is not installed")
functional = torch.nn.functional
Forms = dict[str, Callable[[], Any]]

SHAPES = ((1, 64, 26, 26), (1, 4, 640, 640), (8, 64, 104, 104), (8, 64, 208, 208))


def deinterleaving_forms(name: str, x: Any, stride: int) -> Forms:
    n, c, h, w = x.shape
    s = stride
    # the view [rows, 1, height, width] whose pixel_unshuffle it is, and the digits around it
    rows, height, width = {
        "darknet_reorg": (n, c * h // s, w * s),
        "space_to_depth": (n, c * h, w),
        "pixel_unshuffle": (n * c, h, w),
    }[name]
    result = (n, c * s * s, h // s, w // s)

    def digits() -> Any:
        return x.reshape(rows, height // s, s, width // s, s)

    def slices() -> Any:
        view = digits()
        parts = [view[:, :, p, :, q] for p in range(s) for q in range(s)]
        return torch.stack(parts, 1).view(result)

    return {
        "pixel_unshuffle between views": lambda: functional.pixel_unshuffle(x.reshape(rows, 1, height, width), s).view(
            result
        ),
        "reshape, permute, reshape": lambda: digits().permute(0, 2, 4, 1, 3).reshape(result),
        "slices, stack": slices,
    }


def interleaving_forms(name: str, x: Any, stride: int) -> Forms:
    n, c, h, w = x.shape
    s = stride
    channels = c // s**2
    rows, height = {"depth_to_space": (n, channels * h), "pixel_shuffle": (n * channels, h)}[name]
    result = (n, channels, h * s, w * s)

    def digits() -> Any:
        return x.reshape(rows, s, s, height, w)

    def slices() -> Any:
        view = digits()
        columns = [torch.stack([view[:, p, q] for q in range(s)], -1) for p in range(s)]
        return torch.stack(columns, 2).view(result)

    return {
        "pixel_shuffle between views": lambda: functional.pixel_shuffle(x.reshape(rows, s * s, height, w), s).view(
            result
        ),
        "reshape, permute, reshape": lambda: digits().permute(0, 3, 1, 4, 2).reshape(result),
        "slices, stack": slices,
    }


def channel_shuffle_forms(name: str, x: Any, groups: int) -> Forms:
    n, c, h, w = x.shape
    return {
        "channel_shuffle": lambda: functional.channel_shuffle(x, groups),
        "reshape, permute, reshape": lambda: x.reshape(n, groups, c // groups, h * w).transpose(1, 2).reshape(x.shape),
    }


BUILDERS: dict[str, Callable[[str, Any, int], Forms]] = {
    "darknet_reorg": deinterleaving_forms,
    "space_to_depth": deinterleaving_forms,
    "pixel_unshuffle": deinterleaving_forms,
    "depth_to_space": interleaving_forms,
    "pixel_shuffle": interleaving_forms,
    "channel_shuffle": channel_shuffle_forms,
}


def ratios_to_copy(
    name: str, shape: tuple[int, ...], layout: str = "contiguous", seconds: float = 1.0
) -> dict[str, float]:
    """Medians of interleaved calls of every form, the time of `clone` = 1; checks that all give the same."""
    x = torch.rand(shape)
    if layout == "channels last":
        x = x.contiguous(memory_format=torch.channels_last)
    module = emit(op(name), "torch")
    forms: Forms = {"copy": x.clone, **BUILDERS[name](name, x, 2), "emitted": lambda: module(x)}
    expected = op(name)(x.numpy())
    for title, form in forms.items():
        assert title == "copy" or (form().numpy() == expected).all(), title
    times: dict[str, list[float]] = {title: [] for title in forms}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times["copy"]) < 5:
        for title, form in forms.items():
            start = time.perf_counter()
            form()
            times[title].append(time.perf_counter() - start)
    copy = statistics.median(times["copy"])
    return {title: statistics.median(taken) / copy for title, taken in times.items() if title != "copy"}


def table(layout: str, seconds: float = 1.0) -> str:
    """One row an operation and shape, in Markdown."""
    rows = [f"input: {layout}, float32, stride 2, torch {torch.__version__}, {torch.get_num_threads()} threads"]
    for name in BUILDERS:
        for shape in SHAPES:
            ratios = ratios_to_copy(name, shape, layout, seconds)
            rows.append(f"| {name} {list(shape)} | " + " | ".join(f"{k} {v:.2f}" for k, v in ratios.items()) + " |")
    return "\n".join(rows)


@pytest.mark.parametrize("name", BUILDERS)
def test_emitted_module_is_no_slower_than_the_other_forms(benchmark: Any, name: str) -> None:
    """Where a copy takes longer than a call; a busy machine is allowed half as much again."""
    torch.set_num_threads(2)
    ratios = benchmark.pedantic(ratios_to_copy, (name, (1, 64, 104, 104)), rounds=1)
    benchmark.extra_info.update(ratios)
    assert ratios["emitted"] <= 1.5 * min(ratios.values()), ratios


if __name__ == "__main__":
    torch.set_num_threads(2)
    for wanted in sys.argv[1:] or ("contiguous", "channels last"):
        print(table(wanted), flush=True)
