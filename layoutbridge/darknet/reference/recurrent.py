"""rnn, gru, lstm, crnn, conv_lstm, history: one step after another, the state handed on.

Definition: the forward functions of rnn_layer.c, gru_layer.c, lstm_layer.c, crnn_layer.c and conv_lstm_layer.c.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from layoutbridge.darknet.reference.activations import activate
from layoutbridge.darknet.reference.values import Array, Feed, computes, logistic
from layoutbridge.darknet.structure.recurrent import ConvLstm, Crnn, Gru, History, Lstm, Rnn

States = Mapping[str, Array]
Step = Callable[[Array, States], tuple[Array, States]]


@computes(Rnn, Crnn)
def rnn(feed: Feed, settings: Rnn) -> Array:
    """[rnn] and [crnn]: the activated parts added."""

    def step(x: Array, states: States) -> tuple[Array, States]:
        hidden = feed.part("input", x) + feed.part("self", states["hidden"])
        if settings.shortcut:
            hidden = hidden + states["hidden"]
        return feed.part("output", hidden), {"hidden": hidden}

    return _over_steps(feed, step)


@computes(Gru)
def gru(feed: Feed, settings: Gru) -> Array:
    """[gru]: z keeps, 1 − z takes."""

    def step(x: Array, states: States) -> tuple[Array, States]:
        hidden = states["hidden"]
        z, r = (logistic(feed.part(f"w{gate}", hidden) + feed.part(f"u{gate}", x)) for gate in "zr")
        candidate = feed.part("wh", r * hidden) + feed.part("uh", x)
        hidden = z * hidden + (1 - z) * activate(settings.candidate_activation, candidate)
        return hidden, {"hidden": hidden}

    return _over_steps(feed, step)


@computes(Lstm)
def lstm(feed: Feed, _: Lstm) -> Array:
    """[lstm]: f forgets, i takes in, o lets out."""

    def step(x: Array, states: States) -> tuple[Array, States]:
        i, f, g, o = (feed.part(f"w{gate}", states["hidden"]) + feed.part(f"u{gate}", x) for gate in "ifgo")
        cell = logistic(f) * states["cell"] + logistic(i) * np.tanh(g)
        hidden = logistic(o) * np.tanh(cell)
        return hidden, {"hidden": hidden, "cell": cell}

    return _over_steps(feed, step)


@computes(ConvLstm)
def conv_lstm(feed: Feed, settings: ConvLstm) -> Array:
    """[conv_lstm]: as [lstm], the peepholes looking at the cell, which is held within its bounds at the end."""

    def step(x: Array, states: States) -> tuple[Array, States]:
        i, f, g, o = (feed.part(f"w{gate}", states["hidden"]) + feed.part(f"u{gate}", x) for gate in "ifgo")
        cell = states["cell"]
        if settings.peephole:
            f, i = f + feed.part("vf", cell), i + feed.part("vi", cell)
        cell = logistic(f) * cell + logistic(i) * activate(settings.state_activation, g)
        if settings.peephole:
            o = o + feed.part("vo", cell)
        hidden = logistic(o) * activate(settings.state_activation, cell)
        bound = settings.state_constrain
        return hidden, {"hidden": hidden, "cell": np.clip(cell, -bound, bound) if bound else cell}

    return _over_steps(feed, step)


@computes(History)
def history(feed: Feed, settings: History) -> Array:
    """[history]: the steps of this pass, the latest first; zeros before its first."""
    x = feed.x.reshape(feed.steps, feed.batch // feed.steps, *feed.x.shape[1:])
    seen = [np.concatenate([np.zeros_like(x[:age]), x[: feed.steps - age]]) for age in range(settings.steps)]
    return np.concatenate(seen, axis=2)


def _over_steps(feed: Feed, step: Step) -> Array:
    """What `step` makes of each step in turn, [T·N, ...]; the last states are carried on."""
    x = feed.x.reshape(feed.steps, -1, *feed.x.shape[1:])
    states: States = feed.states
    outputs = []
    for at_step in x:
        output, states = step(at_step, states)
        outputs.append(output)
    feed.carried.update(states)
    return np.concatenate(outputs)
