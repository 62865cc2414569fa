"""`export` of an operation: for which framework, with which options, and what is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from layoutbridge.cli.shared.arguments import flag_of, open_shape, target_written
from layoutbridge.cli.shared.overwriting import ask_before_overwriting
from layoutbridge.cli.shared.parameters import operation_asked
from layoutbridge.cli.shared.printing import remark
from layoutbridge.errors import ParameterError, UnsupportedError
from layoutbridge.frameworks.table import FRAMEWORKS, framework, frameworks, names_of

if TYPE_CHECKING:
    from layoutbridge.frameworks.framework import Framework

_ADDED = "added"  # the value of a `--batch` that stands alone
OPERATION_TARGETS = tuple(name for known in FRAMEWORKS for name in names_of(known))


def export_operation(
    name: str,
    parameters: Sequence[str] | None,
    to: str | None,
    output: str,
    given: Mapping[str, Any],
    *,
    force: bool,
) -> None:
    """Write the operation `name` at `parameters` for the framework `to`, or the one that `output` ends as, and tell it.

    `given` are the options of the command line that operations take, None where they were left out. Without `--batch`
    and `--no-batch` what names every axis itself gets no batch axis. With `force` nobody is asked about a file that
    exists.
    """
    from layoutbridge.frameworks import export

    title, operation = operation_asked(name, parameters)
    to = to or _framework_written(output)
    record = _framework_named(to)
    options = {
        "dtype": given["--dtype"], "opset": given["--opset"], "data_format": given["--data-format"],
        "max_rank": given["--max-rank"], "without": given["--without"], "runtime": given["--for"],
    }  # fmt: skip
    options = {key: value for key, value in options.items() if value is not None}
    _refuse_unfit(record, to, options)
    shape = given["--shape"]
    batch = _batch_asked(given["--batch"], given["--no-batch"])
    if batch is None and not operation.has_batch:
        batch = False
    ask_before_overwriting([output], force=force)
    lengths = None if shape is None else open_shape(shape)
    export(operation, record.name, output, shape=lengths, batch=batch, **options)
    remark(f"wrote {output}: {title} for {to}")


def with_batch_told(args: Sequence[str]) -> list[str]:
    """The words of `export` with a `--batch` that stands alone made one with a value; a network's has a number.

    >>> with_batch_told(["focus", "--batch", "-o", "a.onnx"])
    ['focus', '--batch=added', '-o', 'a.onnx']
    >>> with_batch_told(["net.cfg", "net.weights", "--batch", "2"])
    ['net.cfg', 'net.weights', '--batch', '2']
    """
    if any(word.lower().endswith(".cfg") for word in args):
        return list(args)
    behind = [*args, ""][1:]
    return [
        f"--batch={_ADDED}" if word == "--batch" and not following.isdecimal() else word
        for word, following in zip(args, behind, strict=True)
    ]


def _batch_asked(batch: str | None, no_batch: bool) -> bool | None:
    """What `--batch` and `--no-batch` say of an operation; None where neither is given."""
    if batch is None:
        return False if no_batch else None
    if no_batch:
        raise ParameterError("--batch adds a batch axis and --no-batch leaves it out: give one of the two")
    if batch != _ADDED:
        raise ParameterError(
            f"--batch of an operation takes no number, and {batch[:80]} is given: its length stands in --shape; "
            f"--batch {batch[:80]} is for a network (its name must end in .cfg)"
        )
    return True


def _framework_written(output: str) -> str:
    return target_written(output, {each.name: each.writes for each in frameworks()})


def _framework_named(to: str) -> Framework:
    if to not in OPERATION_TARGETS:
        *others, last = OPERATION_TARGETS
        raise UnsupportedError(f"an operation is written for {', '.join(others)} or {last}, not for {to}")
    return framework(to)


def _refuse_unfit(record: Framework, to: str, options: Iterable[str]) -> None:
    """Raise `ParameterError` for an option that the framework's files are not written with."""
    from layoutbridge.frameworks.framework import options_of

    for option in options:
        if option not in options_of(record.save):
            fitting = [names_of(other.name)[-1] for other in frameworks() if option in options_of(other.save)]
            raise ParameterError(f"{flag_of(option)} is for --to {' or '.join(fitting)}, not --to {to}")
