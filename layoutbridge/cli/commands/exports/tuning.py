"""The fastest form of a network, by trial: for `export --for auto` and for `tune`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layoutbridge.cli.shared.arguments import flag_of
from layoutbridge.cli.shared.printing import progress_console
from layoutbridge.errors import ParameterError

if TYPE_CHECKING:
    from layoutbridge.darknet.networks.network import DarknetNetwork
    from layoutbridge.darknet.ports.port import Port
    from layoutbridge.darknet.tuning.budgets import Budget
    from layoutbridge.darknet.tuning.results import Tuning

AUTO = "auto"


def refuse_untuned(target: Port, output: str, options: Mapping[str, Any]) -> None:
    """Raise `ParameterError` for a target or an ending that is not tuned, and for options that leave nothing to try."""
    from layoutbridge.darknet.tuning.candidates import TUNED_TARGETS

    if target.name not in TUNED_TARGETS:
        raise ParameterError(f"--for {AUTO} is for --to {' or '.join(TUNED_TARGETS)}, not --to {target.name}")
    if Path(output).suffix in target.without_outputs:
        raise ParameterError(f"--for {AUTO} is for programs: '{output}' would hold parameters alone")
    for option in ("winograd", "store_winograd"):
        if option in options:
            raise ParameterError(f"--for {AUTO} tries Winograd's form by itself: leave out {flag_of(option)}")
    for option in ("dynamic_size", "steps"):
        if option in options:
            raise ParameterError(f"--for {AUTO} measures pictures of one size: leave out {flag_of(option)}")


def tuned(
    net: DarknetNetwork,
    options: Mapping[str, Any],
    *,
    targets: Sequence[str] | None,
    calibrate: str | None,
    threads: Sequence[int] | None = None,
    budget: Budget | None = None,
    seconds: float | None = None,
) -> Tuning:
    """What is fastest; the `options` are the targets', "half" among them asks for trials in float16, too."""
    from layoutbridge.darknet.tuning.tuning import SECONDS, tune
    from layoutbridge.report.progress import step_progress

    given = {name: value for name, value in options.items() if name != "half"}
    quiet = redirect_stderr(StringIO()) if calibrate is not None else nullcontext()  # LiteRT's quantizer draws bars
    with step_progress(progress_console(), "tuning") as progress, quiet:
        return tune(
            net,
            targets=targets,
            threads=threads,
            half="half" in options,
            calibrate=calibrate,
            budget=budget,
            options=given,
            seconds=SECONDS if seconds is None else seconds,
            progress=progress,
        )


def told_choice(found: Tuning) -> str:
    """What was chosen, in a line."""
    best = found.best
    tried = sum(trial.seconds is not None for trial in found.trials)
    return (
        f"fastest of {tried} tried in {found.took:.0f} s: {found.record.told} in {best.runtime} {best.version}, "
        f"{1000 * (best.seconds or 0):.2f} ms a picture, {best.ratio or 1:.2f} of the plain form's time there"
    )
