"""Every error that layoutbridge raises on purpose, under one base class; others' errors told in one line.

Whatever values a public function is given, and whatever lies in the files that it reads, it raises these and nothing
else. An argument of another kind than its annotation says, a list where a path is wanted, may raise Python's own
`TypeError` or `AttributeError`: such a call would be wrong with any value.

The message always carries the offending numbers and what to do about them; the command line prints it as
one line (several for a cfg file with several errors) and exits with code 2.
"""

import re
from collections import Counter

_MOST_PROBLEMS = 20  # of one file in a message
_MOST_ALIKE = 3
_MOST_SHOWN = 200  # characters of a value
_LINE = re.compile(r", line ([0-9]+)")


def visible(text: str) -> str:
    """`text` with control characters, which may steer a terminal, and halves of characters as written in Python.

    >>> print(visible(chr(27) + "[31m.cfg"))
    \\x1b[31m.cfg
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def named(name: str) -> str:
    """A name that a file has, as a message tells it: `visible`, and 200 characters of it at most.

    >>> named("conv" + chr(10)), len(named("a" * 5000))
    ('conv\\\\n', 203)
    """
    return visible(name if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]}...")


def shown(value: object) -> str:
    """`value` as a message shows it: on one line, not too long, and also where Python refuses to print it.

    >>> shown(10**5000), shown("a" * 300)[-20:]
    ('(too many digits to print)', '... (302 characters)')
    """
    try:
        text = repr(value)
    except ValueError:
        return "(too many digits to print)"
    except Exception:  # somebody else's class
        return f"(a {type(value).__name__} that cannot be printed)"
    line = " ".join(visible(text[:_MOST_SHOWN]).split())
    return line if len(text) <= _MOST_SHOWN else f"{line}... ({len(text)} characters)"


def counted(count: int, one: str, several: str | None = None, *, form: str = "") -> str:
    """So many of something; `several` is the plural where that is no `one` with an s, `form` how the number is written.

    >>> counted(1, "node"), counted(1200, "node", form=","), counted(0, "class", "classes")
    ('1 node', '1,200 nodes', '0 classes')
    """
    return f"{count:{form}} {one if count == 1 else several or f'{one}s'}"


class LayoutBridgeError(Exception):
    """Base class: the call, or what it was given, is unusable.

    Its text is one line, and shows what could steer a terminal as it is written in Python.
    """

    def __str__(self) -> str:
        return visible(super().__str__())


class PatternError(LayoutBridgeError, ValueError):
    """A pattern cannot be read, or does not describe a permutation."""


class ParameterError(LayoutBridgeError, ValueError):
    """A parameter (stride, groups, opset, ...) is unknown to its owner or out of range."""


class ShapeError(LayoutBridgeError, ValueError):
    """A shape, size or dtype that the operation does not accept."""


class UnknownNameError(LayoutBridgeError, LookupError):
    """A name that nothing is registered under; the message lists the nearest ones."""


class UnusableInputError(LayoutBridgeError, ValueError):
    """A file, table or callable that cannot be read, found or run."""


class MissingFrameworkError(LayoutBridgeError, ImportError):
    """A framework that the call needs is not installed; the message names the extra that brings it."""


class UnsupportedError(LayoutBridgeError, ValueError):
    """A framework has no way to do what was asked at this dtype, layout or version."""


class CfgError(LayoutBridgeError, ValueError):
    """A Darknet cfg file that cannot be read or built; the message names the file and the line.

    It is raised with everything that was found, one line each: `problems`. The message has the first 20 of them, and
    of those that differ in nothing but the line three.

    >>> str(CfgError("net.cfg, line 3: [conv] ...", "net.cfg, line 9: [max] ...")).splitlines()
    ['net.cfg, line 3: [conv] ...', 'net.cfg, line 9: [max] ...']
    >>> str(CfgError(*(f"net.cfg, line {line}: [conv] ..." for line in range(3, 10)))).splitlines()[2:]
    ['net.cfg, line 5: [conv] ...', 'and 4 more']
    """

    def __str__(self) -> str:
        alike: Counter[str] = Counter()
        told: list[str] = []
        for problem in map(visible, self.problems):
            kind = _LINE.sub("", problem, count=1)
            alike[kind] += 1
            if alike[kind] <= _MOST_ALIKE and len(told) < _MOST_PROBLEMS:
                told.append(problem)
        more = len(self.problems) - len(told)
        return "\n".join((*told, *((f"and {more} more",) if more else ())))

    @property
    def problems(self) -> tuple[str, ...]:
        """Each error of the file, in one line, in the order of the file's lines."""

        def line_of(problem: str) -> int:
            found = _LINE.search(problem)
            return int(found.group(1)) if found else 0

        return tuple(sorted(self.args, key=line_of))


class WeightsError(LayoutBridgeError, ValueError):
    """A Darknet weights file that does not fit its network; the message carries the counts and the layer."""


def first_line(error: BaseException) -> str:
    """The first line of what `error` says, 300 characters at most; its class where it says nothing.

    >>> first_line(ValueError("no such node\\nat graph.cc:12"))
    'no such node'
    """
    try:
        text = str(error)
    except Exception:  # somebody else's class
        text = ""
    return next((line.strip() for line in text.splitlines() if line.strip()), type(error).__name__)[:300]


def class_and_first_line(error: BaseException) -> str:
    """The same behind the class of `error`, for an error of somebody else's code.

    >>> class_and_first_line(ValueError("no such node"))
    'ValueError: no such node'
    """
    kind, line = type(error).__name__, first_line(error)
    return kind if line == kind else f"{kind}: {line}"
