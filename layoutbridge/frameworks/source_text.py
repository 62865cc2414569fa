"""Source text of small functions, laid out as ruff and black do: what the writers of code have in common."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from keyword import iskeyword
from textwrap import wrap

from layoutbridge.algebra.moves import Lowering, Move, Shape
from layoutbridge.algebra.rearrangement import Rearrangement
from layoutbridge.algebra.sizes import Size
from layoutbridge.algebra.spelling import Spelling
from layoutbridge.errors import visible

LONGEST_LINE = 100
_INDENT = "    "
_LONGEST_NAME = 20  # of a variable: a pattern may give an axis the names of all its digits
_NAME = re.compile(r"[A-Za-z](\w*[A-Za-z0-9])?", re.ASCII)  # what einops takes for an axis, too


@dataclass(frozen=True, slots=True)
class Bracketed:
    """`head`, the items between brackets, `close`. A `display`, a list or a tuple, has an item a line when broken."""

    head: str
    items: tuple[str | Bracketed, ...]
    close: str = ")"
    display: bool = False

    def __str__(self) -> str:
        return f"{self.head}{', '.join(map(str, self.items))}{self.close}"


def call(function: str, *items: str | Bracketed) -> Bracketed:
    """`function(item, item)`."""
    return Bracketed(f"{function}(", items)


def listed(items: Iterable[object]) -> Bracketed:
    """`[item, item]`.

    >>> str(call("tf.reshape", "x", listed(["n", 4])))
    'tf.reshape(x, [n, 4])'
    """
    return Bracketed("[", tuple(map(str, items)), "]", display=True)


def laid_out(start: str, what: str | Bracketed, indent: str = _INDENT, end: str = "") -> list[str]:
    """The lines of a statement that begins with `start`, within the longest line where brackets let it."""
    line = f"{indent}{start}{what}{end}"
    if isinstance(what, str) or not what.items or len(line) <= LONGEST_LINE:
        return [line]
    opened, closed, deeper = f"{indent}{start}{what.head}", f"{indent}{what.close}{end}", indent + _INDENT
    inside = f"{deeper}{', '.join(map(str, what.items))}"
    if len(inside) <= LONGEST_LINE and (not what.display or len(what.items) == 1):
        return [opened, inside + ("," if what.display else ""), closed]
    return [opened, *(line for item in what.items for line in laid_out("", item, deeper, ",")), closed]


# ---------------------------------------------------------------------- names and lengths


class Lengths:
    """Lengths as expressions of variables, one for each axis; it remembers which variables were asked for.

    >>> lengths = Lengths(["C", "H", "W"], ["x"])
    >>> lengths(Size.axis(0) / Size.constant(4)), lengths.unpacked((Size.axis(0), Size.axis(1)))
    ('c // 4', ['    c, _ = x.shape'])
    """

    def __init__(self, axes: Sequence[str], taken: Iterable[str]) -> None:
        variables = ["length" if axis in ("l", "L") else axis for axis in axes]  # an l is read as a 1
        self.names = usable_names(variables, {"x", "y", *taken})
        self._used: set[int] = set()

    def __call__(self, size: Size) -> str:
        """The whole number that `size` is."""
        self._used.update(axis for axis, _ in size.powers)
        over = [self.names[axis] for axis, power in size.powers for _ in range(power)]
        under = [self.names[axis] for axis, power in size.powers for _ in range(-power)]
        if size.coefficient.numerator != 1 or not over:
            over.append(str(size.coefficient.numerator))
        if size.coefficient.denominator != 1:
            under.append(str(size.coefficient.denominator))
        divisor = under[0] if len(under) == 1 else f"({' * '.join(under)})"
        return " * ".join(over) + (f" // {divisor}" if under else "")

    def of(self, shape: Shape) -> list[str]:
        """Each length of a shape."""
        return [self(size) for size in shape]

    def name(self, axis: int) -> str:
        """The variable that holds the length of an axis."""
        self._used.add(axis)
        return self.names[axis]

    @property
    def uses_any(self) -> bool:
        """Whether any length was asked for."""
        return bool(self._used)

    def unpacked(self, shape: Shape, source: str = "x.shape", first: int = 0) -> list[str]:
        """The line that takes the lengths that were asked for from a tensor of `shape`, from its axis `first` on."""
        names = [self.names[axis] if axis in self._used else "_" for axis in range(first, len(shape))]
        if all(name == "_" for name in names):
            return []
        line = f"{_INDENT}{', '.join(names) if len(names) > 1 else f'({names[0]},)'} = {source}"
        if len(line) <= LONGEST_LINE:
            return [line]
        return laid_out("", Bracketed("(", tuple(names), f") = {source}", display=True))


def usable_names(wanted: Sequence[str], taken: Iterable[str]) -> tuple[str, ...]:
    """Variables in small letters that are no keywords, not taken and distinct; a letter where a name cannot be one.

    >>> usable_names(["N", "n", "for", "größe", "x"], ["x"])
    ('n', 'n2', 'for2', 'a', 'x2')
    """
    used = set(taken)
    names: list[str] = []
    for name in (each.lower() for each in wanted):
        is_plain = _NAME.fullmatch(name) and len(name) <= _LONGEST_NAME
        plain = name if is_plain else next(letter for letter in _letters() if letter not in used)
        made = plain if plain not in used and not iskeyword(plain) else _numbered(plain, used)
        used.add(made)
        names.append(made)
    return tuple(names)


def _numbered(name: str, used: set[str]) -> str:
    return next(made for number in range(2, len(used) + 3) if (made := f"{name}{number}") not in used)


def _letters() -> Iterable[str]:
    yield from "abcdefghijkmnopqrstuvwz"
    number = 0
    while True:
        number += 1
        yield f"a{number}"


def function_name(op: Rearrangement, taken: Iterable[str]) -> str:
    """What the function is called: as its entry, else `rearrange`; never as what it uses itself."""
    name = re.sub(r"\W+", "_", op.name or "rearrange", flags=re.ASCII).strip("_") or "rearrange"
    name = f"op_{name}" if name[0].isdigit() else name
    return f"{name}_axes" if iskeyword(name) or name in taken else name


# ---------------------------------------------------------------------- a function


def docstring(op: Rearrangement, note: str = "") -> list[str]:
    """The label and the pattern: in one line, or in paragraphs where that would be too long."""
    pattern = _escaped(" ".join(op.pattern.split()))
    title = f"{_escaped(op.label)}{note}" if op.name else note.removeprefix(", ")
    told = f"{title}: {pattern}" if title else pattern
    line = f'{_INDENT}"""{told}"""'
    if len(line) <= LONGEST_LINE:
        return [line]
    paragraphs = [title, "", *wrap(pattern, LONGEST_LINE - len(_INDENT))] if title else wrap(told, LONGEST_LINE - 7)
    first, *others = (f"{_INDENT}{text}".rstrip() for text in paragraphs)
    return [f'{_INDENT}"""{first.strip()}', *others, f'{_INDENT}"""']


def _escaped(text: str) -> str:
    return visible(text).replace("\\", "\\\\").replace('"', '\\"')


def function_text(
    imports: Sequence[str], name: str, parameters: Sequence[str], returns: str, body: Sequence[str]
) -> str:
    """A module of one function."""
    arrow = f" -> {returns}" if returns else ""
    head = laid_out("", Bracketed(f"def {name}(", tuple(parameters), f"){arrow}:"), "")
    return "\n".join([*imports, "", "", *head, *body]) + "\n"


def fixed_lengths(spelling: Spelling, lengths: Lengths) -> list[str]:
    """Assertions of the lengths that the pattern fixes, which no reshape would mind."""
    rank, unpacks = len(spelling.in_shape), lengths.uses_any
    return [
        f"{_INDENT}assert {lengths.name(axis) if unpacks else f'x.shape[{axis - rank}]'} == {length}"
        for axis, length in spelling.domain.fixed
    ]


def views_between(lowering: Lowering[Size]) -> list[tuple[Shape | None, Move[Size] | None]]:
    """What there is to do in turn: the view to take first, None where the tensor has that shape, and the move."""
    shape = lowering.in_shape
    found: list[tuple[Shape | None, Move[Size] | None]] = []
    for move in lowering.moves:
        found.append((None if move.view == shape else move.view, move))
        shape = move.written
    return found if shape == lowering.result else [*found, (lowering.result, None)]


# ---------------------------------------------------------------------- functions that chain methods


@dataclass(frozen=True, slots=True)
class Methods:
    """What is written behind an array to transpose it, to flip it, and to read an axis in an order."""

    transpose: str
    flip: Callable[[Move[Size]], str]
    gather: Callable[[Move[Size]], Bracketed]


def method_function(op: Rearrangement, spelling: Spelling, methods: Methods, imports: Sequence[str], kind: str) -> str:
    """The function of arrays of this `kind` that reshapes, transposes and reshapes again."""
    taken = [line.split()[-1] for line in imports]
    lengths = Lengths(spelling.axes, taken)
    links = _links(spelling.lowering, methods, lengths)
    fixed = fixed_lengths(spelling, lengths)
    lines = [*docstring(op), *lengths.unpacked(spelling.in_shape), *fixed, *_chained(links)]
    return function_text(imports, function_name(op, taken), [f"x: {kind}"], kind, lines)


def _links(lowering: Lowering[Size], methods: Methods, lengths: Lengths) -> list[str | Bracketed]:
    links: list[str | Bracketed] = []
    for view, move in views_between(lowering):
        if view is not None:
            links.append(call(".reshape", *lengths.of(view)))
        if move is None:
            continue
        match move.kind:
            case "transpose":
                links.append(call(f".{methods.transpose}", *map(str, move.order)))
            case "flip":
                links.append(methods.flip(move))
            case _:
                links.append(methods.gather(move))
    return links


def flipped_by_index(move: Move[Size]) -> str:
    """Indexing that reads axes backwards, counted from the last: `[..., ::-1, :, :]`."""
    rank = len(move.view)
    return f"[..., {', '.join('::-1' if axis in move.flipped else ':' for axis in range(min(move.flipped), rank))}]"


def _chained(links: Sequence[str | Bracketed]) -> list[str]:
    line = f"{_INDENT}return x{''.join(map(str, links))}"
    if len(line) <= LONGEST_LINE:
        return [line]
    *before, last = links
    return [line for link in before for line in laid_out("x = x", link)] + laid_out("return x", last)
