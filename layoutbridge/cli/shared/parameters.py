"""Parameters of any entry as options of the commands: what an entry declares can be asked for, and stands nowhere else.

A command that takes a catalogue name is made with `cls=WithParameters`, has an argument `parameters: Parameters = None`
and gives that to `operations_asked`. Its own options are known to typer; all others are taken for parameters of the
entry, and are refused by name where it has none such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from layoutbridge.errors import ParameterError

if TYPE_CHECKING:
    from layoutbridge.algebra.rearrangement import ParameterValue, Rearrangement
    from layoutbridge.operations.entry import CatalogEntry
    from layoutbridge.operations.expressions import ChooseParameters, Expression

_CARRIER = "--stride"  # what help shows as an example, and what brings name=value to the command
_ARGUMENT = "parameters"


def parameters_option(panel: str | None = None, *, of: str = "the entry") -> Any:
    """The option that stands in help for all parameters, `of` what is named there."""
    told = f"Any parameter of {of}: --stride 2 or 2x4, --window 7, --order pqc. See: layoutbridge list NAME"
    return typer.Option(_CARRIER, metavar="VALUE", help=told, rich_help_panel=panel, show_default=False)


Parameters = Annotated[list[str] | None, parameters_option()]


class WithParameters(TyperCommand):
    """A command to which options that are not its own are parameters of the entries that it is given."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Bring parameters to the argument `parameters`; raises `ParameterError` for what is no option at all."""
        own = own_options(self.get_params(ctx))
        words = list(_rewritten(args, own, refuses=not ctx.resilient_parsing))
        return super().parse_args(ctx, words)


def own_options(params: Iterable[Any]) -> dict[str, bool]:
    """The command's own options, and whether a word follows each as its value."""
    options = [param for param in params if param.param_type_name == "option" and param.name != _ARGUMENT]
    return {
        name: not (option.is_flag or option.count)
        for option in options
        for name in (*option.opts, *option.secondary_opts)
    }


def _rewritten(args: Sequence[str], own: Mapping[str, bool], *, refuses: bool) -> Iterator[str]:
    """The words with each parameter as a value of the one option that typer knows for them."""
    words = iter(args)
    for word in words:
        option, equals, value = word.partition("=")
        if word == "--":
            yield word
            yield from words
        elif not word.startswith("--") or option in own:
            yield word
            if not equals and own.get(word):
                yield from _following(words)
        else:
            name = option[2:].replace("-", "_")
            if refuses:
                _refuse_unknown(name, option, own)
            following = [value] if equals else [*_following(words)]
            if refuses and not equals and (not following or following[0].startswith("--")):
                raise ParameterError(f"{option} needs a value behind it, as in {option} 2")
            yield from (_CARRIER, f"{name}={following[0] if following else ''}")


def _following(words: Iterator[str]) -> Iterator[str]:
    word = next(words, None)
    if word is not None:
        yield word


def _refuse_unknown(name: str, option: str, own: Mapping[str, bool]) -> None:
    """Raise for what is no parameter of any entry nor like one: a slip in one of the command's own options."""
    declared = _declared()
    if name in declared:
        return
    known = {each[2:].replace("-", "_"): each for each in own if each.startswith("--")}
    near = get_close_matches(name[:80], [*known, *(declared - {*known})], n=1, cutoff=0.5)
    if near and near[0] in declared:
        return  # the entry says what it takes
    meant = f"; did you mean {known[near[0]]}?" if near else ""
    raise ParameterError(f"no such option: {option[:80]}{meant} (layoutbridge --help tells more)")


def refuse_undeclared(given: Iterable[str]) -> None:
    """Raise `ParameterError` for a parameter that no entry of the catalogue has."""
    declared = _declared()
    for name in given:
        if name not in declared:
            near = get_close_matches(name[:80], declared, n=1, cutoff=0.5)
            raise ParameterError(f"no such option: --{name[:80]}{f'; did you mean --{near[0]}?' if near else ''}")


def _declared() -> set[str]:
    from layoutbridge.operations.catalog import catalog

    return {name for entry in catalog().values() for name in entry.parameters}


def given_parameters(parameters: Sequence[str] | None) -> dict[str, str]:
    """What was asked for, by name, as it was written; `ParameterError` for one that is given twice."""
    given: dict[str, str] = {}
    for text in parameters or ():
        name, _, value = text.partition("=")
        if name in given:
            raise ParameterError(f"--{name} is given twice, as {given[name][:80]} and as {value[:80]}: give it once")
        given[name] = value
    return given


def operation_asked(name: str, parameters: Sequence[str] | None) -> tuple[str, Rearrangement]:
    """An entry, pattern or expression at the parameters of the command line, behind what reports call it.

    Raises `ParameterError` for a parameter that no entry in it takes, `UnknownNameError`, `PatternError`, `ShapeError`.
    """
    return operations_asked((name,), parameters)[0]


def operations_asked(names: Sequence[str], parameters: Sequence[str] | None) -> list[tuple[str, Rearrangement]]:
    """The same of several; a parameter must be of an entry in one of them at least."""
    expressions, choose = expressions_asked(names, parameters)
    made = [expression.build(choose) for expression in expressions]
    return [(expression.title(each), each) for expression, each in zip(expressions, made, strict=True)]


def expressions_asked(
    names: Sequence[str], parameters: Sequence[str] | None
) -> tuple[list[Expression], ChooseParameters]:
    """What was read, and what the command line says an entry's parameters are."""
    from layoutbridge.operations.expressions import read_expression

    given = given_parameters(parameters)
    expressions = [read_expression(name) for name in names]
    refuse_unused(given, expressions)
    return expressions, lambda entry: chosen_parameters(entry, given)


def chosen_parameters(entry: CatalogEntry, given: Mapping[str, str]) -> dict[str, ParameterValue]:
    """Those of the parameters that `entry` takes, as values of their kinds."""
    from layoutbridge.operations.written import written_value

    return {
        name: written_value(entry.parameters[name], text, f"--{name}")
        for name, text in given.items()
        if name in entry.parameters
    }


def refuse_unused(given: Mapping[str, str], expressions: Sequence[Expression]) -> None:
    """Raise `ParameterError` for a parameter that no entry in the expressions takes."""
    from layoutbridge.operations.expressions import not_taken, unused

    lost = unused([*given], expressions)
    if not lost:
        return
    entries = list({found.name: found for expression in expressions for found in expression.entries}.values())
    if not entries:
        raise ParameterError(f"a pattern takes no --{lost[0]}: write lengths behind it, as in '..., s=2'")
    if len(entries) == 1:
        raise ParameterError(not_taken(entries[0], lost[0], "--"))
    known = dict.fromkeys(f"--{name}" for found in entries for name in found.parameters)
    told = f"they take {', '.join(known)}" if known else "they take no parameters"
    raise ParameterError(f"neither {' nor '.join(found.name for found in entries)} takes --{lost[0]}; {told}")
