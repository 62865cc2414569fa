"""What a target for networks is here: one record, which `run`, `check`, the command line and the tests take from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning import Arrays
from layoutbridge.darknet.reading.fitting import floats_of
from layoutbridge.darknet.structure.model import Layer, Network, Shape, State
from layoutbridge.errors import ShapeError, shown
from layoutbridge.frameworks.winograd import Tile
from layoutbridge.inputs import refuse_costly

_FLOAT32_BYTES, _FLOAT64_BYTES = 4, 8
_RUNS = 8
_SHOWN = 4  # outputs that are told in full

Run = Callable[[Network, Arrays, NDArray[Any], bool], list[NDArray[Any]]]
States = Mapping[str, NDArray[Any]]  # by the name of the state, [N, ...]
Step = Callable[[NDArray[Any], States], tuple[list[NDArray[Any]], States]]
FLOAT32, WINOGRAD, FLOAT16 = 5e-5, 1e-4, 2e-2  # what a right port stays within, as shares of a layer's largest value


@dataclass(frozen=True, slots=True)
class Runner:
    """How a whole network is run: `run(network, parameters, x, every_layer)` for x [N, C, H, W] (or [N, K]).

    It returns the outputs as Darknet holds them, [N, C, H, W], or [N, K] where a layer is flat: of every layer, or of
    the last one alone. `run_sequence` does the same for a network with states and x [T, N, ...], step after step from
    states of zeros, and returns [T, N, ...]. `package` is the distribution whose version tells it, `tolerance` its
    arithmetic's, and `heading` its name over a narrow column.
    """

    run: Run
    run_sequence: Run
    package: str
    tolerance: float = FLOAT32
    heading: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What was written: the file or folder, and the outputs' names with the shapes of one picture, None being open.

    `batch` is that of the file, None where it is open; an output in `unbatched` has none, and its shape is the whole
    one. A file without a program has no outputs. `states` are those of recurrent layers, inputs and outputs beside the
    others (`next_state`), with the shapes of one picture; with `steps` the file takes and gives whole sequences of so
    many, and has none. `warnings` are one line each, and so are `remarks`, which tell what may matter to those who use
    the file; `contents` says in a few words what is in it beside the outputs. `head` is what it returns where that was
    not asked for.
    """

    path: Path
    outputs: Mapping[str, tuple[int | None, ...]]
    batch: int | None = None
    warnings: tuple[str, ...] = ()
    unbatched: frozenset[str] = frozenset()
    states: Mapping[str, tuple[int | None, ...]] = field(default_factory=dict)
    steps: int | None = None
    head: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """All that was written."""
        return (self.path,)

    @property
    def leading(self) -> tuple[int | None, ...]:
        """The lengths in front of an output's shape: the steps, where there are some, and the batch."""
        return (self.batch,) if self.steps is None else (self.steps, self.batch)

    @property
    def contents(self) -> str:
        """Nothing more to say."""
        return ""

    @property
    def remarks(self) -> tuple[str, ...]:
        """None."""
        return ()

    def __str__(self) -> str:
        told = ", ".join(filter(None, (self.contents, self._told_outputs())))
        return f"{' and '.join(map(str, self.files))}: {told}"

    def shaped(self, shape: Sequence[int | None], *, batched: bool = True) -> str:
        """The shape of a picture's output, or of a state, as text: behind the batch, unless it has none."""
        leading = ("N" if length is None else str(length) for length in self.leading if batched)
        return f"[{', '.join((*leading, *('?' if length is None else str(length) for length in shape)))}]"

    def _told_outputs(self) -> str:
        if not self.outputs:
            return ""
        told = [
            f"{name} {self.shaped(shape, batched=name not in self.unbatched)}"
            for name, shape in list(self.outputs.items())[:_SHOWN]
        ]
        more = f", and {len(self.outputs) - _SHOWN} more" if len(self.outputs) > _SHOWN else ""
        return f"{'output' if len(self.outputs) == 1 else 'outputs'} {', '.join(told)}{more}"


def _nothing(_: Path) -> tuple[Path, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class Port:
    """A target for networks.

    `name` is that of its module and on the command line, `title` what people call it. Files end in one of `endings`
    (an empty one is a folder); with `any_ending` in any that is no other target's. `write(network, parameters, path,
    *, ...)` writes one, whole or not at all; its keywords are the target's options. `runner` runs a network there in
    float32, None where files are written alone, `forms` in other arithmetic ("half", "winograd"). `beside(path)` are
    the files that may be written next to `path`; files that end in one of `without_outputs` hold parameters alone.
    `runtimes` are programs that read the files, for which `write` may choose the `runtime`'s fastest form. `tiles` are
    those of Winograd's form that `tune` times convolutions in, where these are not all that it knows.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    write: Callable[..., Export]
    runner: Runner | None = None
    forms: Mapping[str, Runner] = field(default_factory=lambda: MappingProxyType({}))
    beside: Callable[[Path], tuple[Path, ...]] = _nothing
    without_outputs: tuple[str, ...] = ()
    any_ending: bool = False
    runtimes: tuple[str, ...] = ()
    tiles: tuple[Tile, ...] = ()


def refuse_costly_run(network: Network) -> None:
    """Raise `UnusableInputError` where all layers' outputs for one picture take too much memory.

    That is `_RUNS` times what reading its weights file may take: a cfg of a few lines can ask for terabytes.
    """
    values = prod(network.in_shape) + sum(prod(layer.out_shape) for layer in network.layers)
    size = _FLOAT32_BYTES * floats_of(network)
    refuse_costly(_FLOAT64_BYTES * values, size, f"all layers of {network.source}", doing="to run", times=_RUNS)


def checked_input(network: Network, x: NDArray[Any]) -> NDArray[Any]:
    """x as an array; raises `ShapeError` where it is not [N, *in_shape] of real numbers with N of at least 1.

    Raises as `refuse_costly_run`, too.
    """
    return _checked(network, x, "N")


def checked_sequence(network: Network, x: NDArray[Any]) -> NDArray[Any]:
    """x as an array; raises `ShapeError` where it is not [T, N, *in_shape] of real numbers, T and N at least 1."""
    return _checked(network, x, "TN")


def _checked(network: Network, x: NDArray[Any], leading: str) -> NDArray[Any]:
    """x as an array with the axes `leading`, a letter each, in front of the network's own."""
    try:
        array, count = np.asarray(x), len(leading)
    except ValueError:  # lists of other lengths side by side
        raise ShapeError(f"the input must be an array, not {shown(x)}") from None
    if array.shape[count:] != network.in_shape or 0 in array.shape[:count]:
        wanted = ", ".join([*leading, *map(str, network.in_shape)])
        raise ShapeError(f"the input must be [{wanted}], not {list(array.shape)}")
    if array.dtype.kind not in "fiu":
        raise ShapeError(f"the input must hold real numbers, not {array.dtype}")
    refuse_costly_run(network)
    return array


def state_name(layer: Layer, state: State) -> str:
    """What the input is called that takes a state before the step, as in `state_0_lstm_cell`: Python's too."""
    return f"state_{layer.name}_{state.name}"


def next_state(name: str) -> str:
    """What the output is called that gives the state behind the step.

    >>> next_state("state_0_lstm_cell")
    'state_0_lstm_cell_next'
    """
    return f"{name}_next"


def state_shapes(network: Network) -> dict[str, Shape]:
    """The network's states by name, with the shapes of one picture."""
    return {state_name(layer, state): state.shape for layer, state in network.states}


def over_steps(network: Network, x: NDArray[Any], step: Step) -> list[NDArray[Any]]:
    """What `step` makes of each step of x [T, N, ...] and the states before it, zeros at first: outputs [T, N, ...]."""
    states: States = {name: np.zeros((x.shape[1], *shape), np.float32) for name, shape in state_shapes(network).items()}
    made = []
    for at_step in x:
        outputs, states = step(at_step, states)
        made.append(outputs)
    return [np.stack(outputs) for outputs in zip(*made, strict=True)]


def first_step(
    run_sequence: Run, network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool
) -> list[NDArray[Any]]:
    """The outputs of one step for x [N, ...], from states of zeros."""
    return [output[0] for output in run_sequence(network, parameters, np.asarray(x)[None], every_layer)]
