"""What was tried, and what was chosen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from layoutbridge.darknet.ports.records.tuned import Settings, Tuned
from layoutbridge.darknet.tuning.budgets import Budget
from layoutbridge.darknet.tuning.candidates import INT8


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to run the network, as it was measured: a form of the file for `target`, in its runtime of a `version`.

    `seconds` is the median of a picture and `spread` the width of the middle half; `ratio` is the time as a share of
    the plain form's in the same runtime, measured in turns with it. `load` is in seconds, `memory` and `bytes` in
    bytes, `deviation` a share of the largest value. What was not measured is None; `reason` says why it is out, and
    is empty for those that could be chosen. `options` are the writer's for this form.
    """

    target: str
    runtime: str
    version: str
    form: str
    threads: int
    settings: Settings
    options: Mapping[str, Any] = field(default_factory=dict)
    seconds: float | None = None
    spread: float | None = None
    ratio: float | None = None
    load: float | None = None
    memory: int | None = None
    bytes: int | None = None
    deviation: float | None = None
    reason: str = ""
    chosen: bool = False

    @property
    def in_int8(self) -> bool:
        """Whether it is written by `quantize`."""
        return self.form == INT8


@dataclass(frozen=True, slots=True)
class Tuning:
    """The trials, the chosen one first, then by time, those that are out last; `best` is the chosen one.

    `processor` and `cores` are where it was measured, `missing` says of targets why they were not tried, `took` is how
    many seconds all of it took.
    """

    source: str
    processor: str
    cores: int
    budget: Budget
    trials: tuple[Trial, ...]
    missing: Mapping[str, str]
    took: float

    @property
    def best(self) -> Trial:
        """What was chosen."""
        return self.trials[0]

    @property
    def record(self) -> Tuned:
        """The choice for the metadata of the file that is written so."""
        best = self.best
        day = datetime.now(UTC).date().isoformat()
        return Tuned(
            self.processor,
            best.runtime,
            best.version,
            best.threads,
            dict(best.settings),
            best.form,
            round(best.ratio or 1.0, 4),
            day,
        )

    def __str__(self) -> str:
        best = self.best
        return f"{self.source}: {self.record.told} in {best.runtime}, {1000 * (best.seconds or 0):.1f} ms a picture"

    def to_json(self) -> str:
        """All of it as JSON."""
        trials = [asdict(trial) | {"options": _told(trial.options)} for trial in self.trials]
        return json.dumps(asdict(self) | {"trials": trials, "missing": dict(self.missing)})


def _told(options: Mapping[str, Any]) -> dict[str, Any]:
    """Tiles by layer as lists."""
    return {
        name: {str(index): list(tile) for index, tile in value.items()} if isinstance(value, Mapping) else value
        for name, value in options.items()
    }
