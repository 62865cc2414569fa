"""rnn, gru, lstm, crnn, conv_lstm, history: steps over a state, each written with the parts of the layer.

Definition: rnn_layer.c, gru_layer.c, lstm_layer.c, crnn_layer.c, conv_lstm_layer.c of both forks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from layoutbridge.darknet.meaning.activations import activate
from layoutbridge.darknet.meaning.context import MEANINGS, Context, means
from layoutbridge.darknet.meaning.parametric import weights_and_bias
from layoutbridge.darknet.structure.recurrent import ConvLstm, Crnn, Gru, History, Lstm, Rnn
from layoutbridge.darknet.structure.settings import Normalizable
from layoutbridge.errors import UnsupportedError
from layoutbridge.frameworks.primitives import LazyArray, RecurrentCell, V

Step = Callable[[Sequence[V], Mapping[str, V]], tuple[V, dict[str, V]]]


@means(Rnn)
def rnn(context: Context[V], settings: Rnn) -> V:
    """[rnn]: input and output, which need no state of another step, of all steps at once."""
    add = context.target.add

    def step(inputs: Sequence[V], states: Mapping[str, V]) -> tuple[V, dict[str, V]]:
        hidden = add(inputs[0], _part(context, "self", states["hidden"]))
        if settings.shortcut:
            hidden = add(hidden, states["hidden"])
        return hidden, {"hidden": hidden}

    hidden = _over_steps(context, [_part(context, "input", context.x)], step)
    return _labelled(context, _part(context, "output", hidden))


@means(Crnn)
def crnn(context: Context[V], settings: Crnn) -> V:
    """[crnn]: as [rnn]; in the original a view, which of a square picture alone has the lengths of its input."""
    if context.variant.open_size and context.network.flavor == "pjreddie":
        raise UnsupportedError("the size cannot be left open: the original's crnn takes the height for the width")
    return rnn(context, settings)


@means(Gru)
def gru(context: Context[V], settings: Gru) -> V:
    """[gru]: the target's own, or the few products and sums that it is."""
    own = _own(context, "zrh", settings.candidate_activation)
    if own is not None:
        return own
    target = context.target

    def step(inputs: Sequence[V], states: Mapping[str, V]) -> tuple[V, dict[str, V]]:
        hidden = states["hidden"]
        z, r = (
            activate(target, target.add(_part(context, f"w{gate}", hidden), x), "logistic")
            for gate, x in zip("zr", inputs[:2], strict=True)
        )
        taken = target.add(_part(context, "wh", target.multiply(r, hidden)), inputs[2])
        candidate = activate(target, taken, settings.candidate_activation)
        difference = target.add(hidden, target.multiply(candidate, -1.0))
        hidden = target.add(candidate, target.multiply(z, difference))  # z·hidden + (1 − z)·candidate
        return hidden, {"hidden": hidden}

    return _labelled(context, _over_steps(context, [_part(context, f"u{gate}", context.x) for gate in "zrh"], step))


@means(Lstm)
def lstm(context: Context[V], settings: Lstm) -> V:
    """[lstm]: the target's own, or the few products and sums that it is."""
    own = _own(context, "iofg", "tanh")
    if own is not None:
        return own
    return _labelled(context, _gated(context, "tanh", constrain=0, peephole=False))


@means(ConvLstm)
def conv_lstm(context: Context[V], settings: ConvLstm) -> V:
    """[conv_lstm]: an LSTM of convolutions."""
    return _gated(context, settings.state_activation, constrain=settings.state_constrain, peephole=settings.peephole)


@means(History)
def history(context: Context[V], settings: History) -> V:
    """[history]: the steps of this pass, the latest first; zeros before its first."""
    target, x = context.target, context.x
    steps = context.memory.steps
    given = _apart(context, x)
    zeros = target.multiply(given[0], 0.0)
    joined = [
        target.concat([given[step - age] if age <= step else zeros for age in range(settings.steps)])
        for step in range(steps)
    ]
    return _together(context, joined)


# ---------------------------------------------------------------------- parts


def _part(context: Context[V], name: str, x: V) -> V:
    """What the part `name` makes of x."""
    with context.target.scope(name):
        part = context.of_part(name, x)
        made: V = MEANINGS[part.layer.kind](part, part.layer.settings)
    return made


def _labelled(context: Context[V], x: V) -> V:
    return context.target.reshape(x, context.layer.out_shape)


def _gated(context: Context[V], state_activation: str, *, constrain: int, peephole: bool) -> V:
    """cell' = f·cell + i·g, hidden' = o·tanh(cell'), for vectors and for pictures."""
    target = context.target

    def step(inputs: Sequence[V], states: Mapping[str, V]) -> tuple[V, dict[str, V]]:
        hidden, cell = states["hidden"], states["cell"]
        i, f, g, o = (target.add(_part(context, f"w{gate}", hidden), x) for gate, x in zip("ifgo", inputs, strict=True))
        if peephole:
            f, i = target.add(f, _part(context, "vf", cell)), target.add(i, _part(context, "vi", cell))
        kept = target.multiply(activate(target, f, "logistic"), cell)
        taken = target.multiply(activate(target, i, "logistic"), activate(target, g, state_activation))
        cell = target.add(kept, taken)
        if peephole:
            o = target.add(o, _part(context, "vo", cell))
        hidden = target.multiply(activate(target, o, "logistic"), activate(target, cell, state_activation))
        if constrain:
            cell = target.activation(cell, "clip", low=-float(constrain), high=float(constrain))
        return hidden, {"hidden": hidden, "cell": cell}

    return _over_steps(context, [_part(context, f"u{gate}", context.x) for gate in "ifgo"], step)


def _over_steps(context: Context[V], inputs: Sequence[V], step: Step[V]) -> V:
    """What `step` makes of each step's inputs and the state in turn, all steps; the last state is carried on."""
    target, memory, layer = context.target, context.memory, context.layer
    taken_apart = [_apart(context, x) for x in inputs]
    zeros = target.multiply(taken_apart[0][0], 0.0)  # what is added to a state has its shape
    states = {state.name: memory.before.get((layer.index, state.name), zeros) for state in layer.states}
    outputs = []
    for at_step in zip(*taken_apart, strict=True):
        output, states = step(at_step, states)
        outputs.append(output)
    memory.after.update({(layer.index, name): state for name, state in states.items()})
    return _together(context, outputs)


def _apart(context: Context[V], x: V) -> Sequence[V]:
    """x step by step."""
    steps = context.memory.steps
    return context.target.unstacked(x, steps) if steps > 1 else [x]


def _together(context: Context[V], by_step: Sequence[V]) -> V:
    """The steps as one value again."""
    return context.target.stacked(by_step) if context.memory.steps > 1 else by_step[0]


def _own(context: Context[V], gates: str, candidate: str) -> V | None:
    """What the target's own layer makes of all steps; None where it has none, or batch norm stands by itself."""
    target, memory, layer = context.target, context.memory, context.layer
    names = [f"{side}{gate}" for side in "uw" for gate in gates]
    parts = {name: replace(context, layer=layer.part_called(name), inputs=()) for name in names}
    held = {
        name: weights_and_bias(part, part.layer.settings)
        for name, part in parts.items()
        if isinstance(part.layer.settings, Normalizable)
    }
    if any(bias is None for _, bias in held.values()):
        return None

    def arrays(side: str, which: int) -> tuple[LazyArray, ...]:
        return tuple(held[f"{side}{gate}"][which] for gate in gates)  # type: ignore[misc]

    cell = RecurrentCell(
        "gru" if gates == "zrh" else "lstm",
        arrays("u", 0),
        arrays("w", 0),
        arrays("u", 1),
        arrays("w", 1),
        "tanh" if candidate == "tanh" else "sigmoid",
    )
    before = [
        memory.before[layer.index, state.name] for state in layer.states if (layer.index, state.name) in memory.before
    ]
    made = target.own_recurrence(context.flat(context.x), cell, before, memory.steps)
    if made is None:
        return None
    output, *after = made
    memory.after.update({(layer.index, s.name): value for s, value in zip(layer.states, after, strict=True)})
    return _labelled(context, output)
