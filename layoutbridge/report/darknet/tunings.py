"""What was tried to run a network fast, on a terminal: the chosen one first, those that are out with their reasons."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from layoutbridge.report.numbers import size_told

if TYPE_CHECKING:
    from layoutbridge.darknet.tuning.results import Trial, Tuning


def show_tuning(console: Console, found: Tuning) -> None:
    """A line a trial, the fastest first; below, why others are out or were not tried."""
    columns: dict[str, Callable[[Trial], str]] = {
        "ms": lambda trial: "" if trial.seconds is None else f"{1000 * trial.seconds:.2f}",
        "±": lambda trial: "" if trial.spread is None else f"{500 * trial.spread:.2f}",
        "of plain": lambda trial: "" if trial.ratio is None else f"{trial.ratio:.2f}",
        "load": lambda trial: "" if trial.load is None else f"{trial.load:.1f} s",
        "memory": lambda trial: "" if trial.memory is None else size_told(trial.memory),
        "size": lambda trial: "" if trial.bytes is None else size_told(trial.bytes),
        "deviation": lambda trial: "" if trial.deviation is None else f"{trial.deviation:.0e}",
    }
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("tried", overflow="fold")
    for heading in columns:
        table.add_column(heading, justify="right", no_wrap=True)
    for trial in found.trials:
        if trial.seconds is not None:
            name = escape(trial_told(trial))
            mark = " (chosen)" if trial.chosen else " (out)" if trial.reason else ""
            table.add_row(f"{name}{mark}", *(told(trial) for told in columns.values()))
    console.print(table)
    cores = "1 core" if found.cores == 1 else f"{found.cores} cores"
    lines = [f"on {found.processor}, {cores}; ms a picture: the median, ± half of the middle half; "
             "of plain: the share of the plain form's time in the same runtime, in turns with it"]  # fmt: skip
    lines += [f"{trial_told(trial)}: {trial.reason}" for trial in found.trials if trial.reason]
    lines += [f"{name}: {reason}" for name, reason in found.missing.items()]
    for line in lines:
        console.print(line, highlight=False, markup=False)


def trial_told(trial: Trial) -> str:
    """The trial in a few words."""
    threads = "1 thread" if trial.threads == 1 else f"{trial.threads} threads"
    settings = "".join(f", {name}={value}" for name, value in trial.settings.items())
    return f"{trial.target} {trial.form}, {threads}{settings}"
