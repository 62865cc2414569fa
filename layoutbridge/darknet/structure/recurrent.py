"""The settings of layers that carry a state from one step of a sequence to the next.

Each consists of [connected] or [convolutional] layers, its parts (`Layer.parts`), and of what is done between them.
"""

from __future__ import annotations

from dataclasses import dataclass

from layoutbridge.darknet.structure.settings import Settings, words


@dataclass(frozen=True, slots=True, kw_only=True)
class Recurrent(Settings):
    """A layer with a state."""

    has_filters = True
    sums_many = True

    output: int
    batch_normalize: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rnn(Recurrent):
    """[rnn]: hidden' = input(x) + self(hidden), with `shortcut` plus hidden; the result is output(hidden')."""

    kind = "rnn"

    activation: str
    hidden: int
    shortcut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Crnn(Rnn):
    """[crnn]: as [rnn], of convolutions that keep the picture's size."""

    kind = "crnn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gru(Recurrent):
    """[gru]: hidden' = z·hidden + (1 − z)·candidate.

    z = logistic(wz(hidden) + uz(x)), r = logistic(wr(hidden) + ur(x)), the candidate is wh(r·hidden) + uh(x) after the
    `candidate_activation`: the logistic, or in the original tanh where the cfg asks for it.
    """

    kind = "gru"

    candidate_activation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lstm(Recurrent):
    """[lstm]: cell' = f·cell + i·g, hidden' = o·tanh(cell').

    i, f and o are the logistic and g is tanh of wi(hidden) + ui(x) and so on.
    """

    kind = "lstm"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvLstm(Recurrent):
    """[conv_lstm], the main fork's: as [lstm], of convolutions that keep the picture's size.

    Each of them ends in the `activation`; with `peephole` vf(cell), vi(cell) and vo(cell') are added to f, i and o.
    After hidden' was made, cell' is held within ±`state_constrain` (0: not at all). `state_activation` stands for tanh.
    """

    kind = "conv_lstm"
    flavors = ("alexey",)
    training_options = words("shortcut time_normalizer")

    activation: str
    size: int
    groups: int
    peephole: bool
    state_activation: str
    state_constrain: int

    @property
    def window(self) -> int:
        """The side of its filters."""
        return self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class History(Settings):
    """[history], the main fork's: the input and those of the `steps` − 1 before it, one behind another.

    Where a pass has one step Darknet keeps nothing: the others are zeros.
    """

    kind = "history"
    flavors = ("alexey",)

    steps: int
