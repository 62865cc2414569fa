"""The graph of a program's JSON, at numbers for its symbols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import methodcaller
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.scanning.graphs.graph import Graph, Move, Node, Tensor
from layoutbridge.scanning.graphs.movements import sliced
from layoutbridge.scanning.readers.torch.aliases import Aliases, shares, writes
from layoutbridge.scanning.readers.torch.archive import DTYPES
from layoutbridge.scanning.readers.torch.arrays import written
from layoutbridge.scanning.readers.torch.calls import Call, Held, Moved, Ref
from layoutbridge.scanning.readers.torch.lengths import Formula, Unknown
from layoutbridge.scanning.readers.torch.movements import moved_by

FORMAT = "PyTorch"
_LARGEST_VALUE = 1 << 20
_DRAWN = ("rand", "normal", "bernoulli", "multinomial")  # within the names of what draws its values
_LISTS = ("as_ints", "as_floats", "as_bools", "as_strings")
_PLAIN = ("as_int", "as_float", "as_bool", "as_string", "as_scalar_type")


@dataclass(slots=True)
class Builder:
    """Makes the graph of `graph`, a dict of the program's JSON, where its symbols have these `numbers`.

    `labels` are what users call the tensors that it takes, `values` what is in those that are small constants.
    """

    graph: Mapping[str, Any]
    numbers: Mapping[str, int]
    labels: dict[str, str]
    constant: set[str] = field(default_factory=set)
    values: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inner: list[Graph] = field(default_factory=list)
    custom: dict[str, None] = field(default_factory=dict)
    made_up: bool = False
    _held: dict[str, Held] = field(default_factory=dict)
    _now: dict[str, str] = field(default_factory=dict)
    _aliases: Aliases = field(default_factory=Aliases)
    _last_use: dict[str, int] = field(default_factory=dict)

    def built(self, name: str, inputs: tuple[str, ...] | None = None, notes: tuple[str, ...] = ()) -> Graph:
        """The graph, called `name`, with the `inputs` of these names, or all that it takes."""
        taken = list(_names(self.graph["inputs"]))
        for raw in taken:
            self._enter(raw, self.labels.get(raw, raw), raw in self.constant)
        results = list(_names(self.graph["outputs"]))
        for position, node in enumerate(self.graph["nodes"]):
            self._last_use.update(dict.fromkeys(_names(each["arg"] for each in node["inputs"]), position))
        self._last_use.update(dict.fromkeys(results, len(self.graph["nodes"])))
        for position, node in enumerate(self.graph["nodes"]):
            self._read(node, position)
        return Graph(
            name=name,
            format=FORMAT,
            nodes=tuple(self.nodes),
            tensors=self.tensors,
            inputs=tuple(self._now[raw] for raw in (taken if inputs is None else inputs)),
            outputs=tuple(dict.fromkeys(self._now[raw] for raw in results)),
            node_count=len(self.graph["nodes"]),
            inner=tuple(self.inner),
            notes=(*notes, *self._notes()),
        )

    def _notes(self) -> list[str]:
        told = []
        if self.custom:
            told.append(f"custom operators were passed over: {', '.join(self.custom)}")
        if self.made_up:
            told.append("lengths that depend on values were taken as 1, and what has them is passed over")
        return told

    # ------------------------------------------------------------------ tensors

    def _enter(self, raw: str, label: str, is_constant: bool, value: NDArray[Any] | None = None) -> None:
        told = self.graph["tensor_values"][raw]
        lengths = [self._length(each) for each in told["sizes"]]
        fixed = None not in lengths
        self.made_up |= not fixed
        shape = tuple(1 if length is None else length for length in lengths)
        dtype = DTYPES.get(told["dtype"], "uint8")  # the rest have a byte each
        self._held[raw] = Held(shape, dtype, self.values.get(raw, value), fixed)
        self._now[raw] = label
        self.tensors[label] = Tensor(label, shape, dtype, _open_shape(told["sizes"]), is_constant)

    def _length(self, told: Mapping[str, Any]) -> int | None:
        try:
            return self._whole(told)
        except Unknown:
            return None

    def _whole(self, told: Mapping[str, Any]) -> int:
        if told.get("as_name") is not None:
            return self._whole(self.graph["sym_int_values"][told["as_name"]])
        if told.get("as_int") is not None:
            return int(told["as_int"])
        return Formula(told["as_expr"]["expr_str"]).at(self.numbers)

    # ------------------------------------------------------------------ calls

    def _read(self, node: Mapping[str, Any], position: int) -> None:
        outputs = list(_names(node["outputs"]))
        name = node.get("name") or (outputs[0] if outputs else node["target"])
        label = _labelled(node, name)
        operator, _, overload = node["target"].removeprefix("torch.ops.").rpartition(".")
        for each in node["inputs"]:
            if "as_graph" in each["arg"]:
                self._enter_inner(each["arg"]["as_graph"]["graph"], label)
        if not outputs:
            return
        read = [raw for raw in _names(each["arg"] for each in node["inputs"]) if raw in self._held]
        settled = not any(word in operator for word in _DRAWN)
        is_constant = settled and all(self.tensors[self._now[raw]].is_constant for raw in read)
        for raw in outputs:
            self._enter(raw, _labelled(node, raw), is_constant)
        call = self._call(node, operator, overload, outputs)
        moved = moved_by(call) if call is not None else None
        if not operator.startswith(("aten", "higher_order")) and "." in operator:
            self.custom[f"{operator}.{overload}" if overload != "default" else operator] = None
        if read or not settled:
            self._enter_nodes(label, operator, read, outputs, moved)
        self._keep_values(call, moved, outputs)
        self._follow(label, operator, read, outputs, moved, position)

    def _call(self, node: Mapping[str, Any], operator: str, overload: str, outputs: list[str]) -> Call | None:
        """The call in plain values; None where a number in it depends on values."""
        try:
            arguments = {each["name"]: self._value(each["arg"]) for each in node["inputs"]}
        except Unknown:
            return None
        held = {str(raw): self._held[raw] for raw in _refs(arguments.values()) if raw in self._held}
        if not all(each.fixed for each in (*held.values(), *(self._held[raw] for raw in outputs))):
            return None
        return Call(operator, overload, arguments, held, tuple(self._held[raw] for raw in outputs))

    def _value(self, told: Mapping[str, Any]) -> Any:
        ((kind, value),) = told.items()
        if kind == "as_tensor":
            return Ref(value["name"])
        if kind == "as_tensors":
            return [Ref(each["name"]) for each in value]
        if kind == "as_optional_tensors":
            return [Ref(each["as_tensor"]["name"]) if "as_tensor" in each else None for each in value]
        if kind == "as_sym_int":
            return self._whole(value)
        if kind == "as_sym_ints":
            return [self._whole(each) for each in value]
        return value if kind in (*_PLAIN, *_LISTS) else None

    def _enter_nodes(self, label: str, operator: str, read: list[str], outputs: list[str], moved: Moved | None) -> None:
        sources = tuple(self._now[raw] for raw in (read if moved is None else moved.sources))
        for place, raw in enumerate(outputs):
            self._add(label, operator, sources, self._now[raw], None if moved is None else moved.moves[place])

    def _add(self, label: str, operator: str, sources: tuple[str, ...], output: str, move: Move | None) -> None:
        self.nodes.append(Node(label, operator, sources, output, *(move or ())))

    def _keep_values(self, call: Call | None, moved: Moved | None, outputs: list[str]) -> None:
        """Work out what is in a small constant: what indexes elements often comes from `arange` and views of it."""
        if call is not None and call.operator == "aten.arange":
            value = _arange(call)
            self._held[outputs[0]] = self._held[outputs[0]]._replace(value=value)
        elif moved is not None:
            values = [self._held[raw].value for raw in moved.sources]
            sizes = [np.prod(self._held[raw].shape) for raw in outputs]
            if any(value is None for value in values) or max(sizes) > _LARGEST_VALUE:
                return
            for raw, move in zip(outputs, moved.moves, strict=True):
                self._held[raw] = self._held[raw]._replace(value=move.movement(*values))

    # ------------------------------------------------------------------ memory that is shared

    def _follow(
        self, label: str, operator: str, read: list[str], outputs: list[str], moved: Moved | None, position: int
    ) -> None:
        """Keep track of what shares memory, and of what is written into it."""
        if not read:
            return
        if writes(operator):
            shape = self._held[outputs[0]].shape
            self._write(label, operator, read[0], outputs[0], position)
            self._aliases.add(outputs[0], read[0], Move(methodcaller("reshape", shape), "view"))
            return
        sharing = shares(operator)
        if sharing is not False:
            for place, raw in enumerate(outputs):
                self._aliases.add(raw, read[0], moved.moves[place] if sharing and moved is not None else None)

    def _write(self, label: str, operator: str, raw: str, output: str, position: int) -> None:
        """What shares memory with `raw` is read from now on as it is where `raw` has become `output`."""
        self._now[raw] = self._now[output]
        self._held[raw] = self._held[raw]._replace(value=None)
        aliases, above = self._aliases, self._aliases.above(raw)
        group = [each for each in aliases.group(raw) if each != raw]
        if not aliases.is_used(group, self._last_use, position):
            return
        below = raw
        for base in above:
            self._renew(label, operator, base, below, _write_through(aliases.made_of[below][1]))
            below = base
        for each in group:
            wanted = aliases.is_used([each, *aliases.below(each)], self._last_use, position)
            if each not in above and wanted:
                source, move = aliases.made_of[each]
                self._renew(label, operator, each, source, move, reads_itself=move is None)

    def _renew(
        self, label: str, operator: str, raw: str, source: str, move: Move | None, reads_itself: bool = True
    ) -> None:
        old, new = self._now[raw], self._now[source]
        same = self._held[raw].shape == self._held[source].shape and move is not None and move.kind == "view"
        self._held[raw] = self._held[raw]._replace(value=None)
        if same:
            self._now[raw] = new
            return
        held, told = self.tensors[old], f"{self._now[raw].partition(' after ')[0]} after {label}"
        self.tensors[told] = Tensor(told, held.shape, held.dtype, held.open_shape)
        sources = (old, new) if reads_itself else (new,)
        self._add(label, operator, sources, told, move)
        self._now[raw] = told

    def _enter_inner(self, graph: Mapping[str, Any], label: str) -> None:
        builder = Builder(graph, self.numbers, {})
        self.inner.append(builder.built(label))
        self.custom |= builder.custom


# ---------------------------------------------------------------------- parts


def _write_through(move: Move | None) -> Move | None:
    """What writing into a view, made by `move`, does to what it is a view of; None where that is not known."""
    if move is None or not (move.kind in ("view", "transpose") or getattr(move.movement, "func", None) is sliced):
        return None
    return Move(partial(written, places=move.movement))


def _names(arguments: Any) -> list[str]:
    """The names of the tensors among arguments of the program's JSON."""
    found = []
    for told in arguments:
        if "as_tensor" in told:
            found.append(told["as_tensor"]["name"])
        for each in told.get("as_tensors") or ():
            found.append(each["name"])
        for each in told.get("as_optional_tensors") or ():
            if "as_tensor" in each:
                found.append(each["as_tensor"]["name"])
    return found


def _refs(values: Any) -> list[Ref]:
    found: list[Ref] = []
    for value in values:
        found.extend(each for each in (value if isinstance(value, list) else [value]) if isinstance(each, Ref))
    return found


def _labelled(node: Mapping[str, Any], name: str) -> str:
    """`name` behind the path of the module that the call belongs to."""
    stack = (node.get("metadata") or {}).get("nn_module_stack") or ""
    path = stack.rpartition(";")[2].split(",")[1:2]
    return f"{path[0]}/{name}" if path and path[0] and not path[0].startswith("_empty") else name


def _open_shape(sizes: list[Mapping[str, Any]]) -> tuple[int | str | None, ...]:
    return tuple(
        str(Formula(each["as_expr"]["expr_str"])) if each.get("as_int") is None else each["as_int"] for each in sizes
    )


def _arange(call: Call) -> NDArray[Any] | None:
    bounds = [call.arguments.get(name) for name in ("start", "end", "step")]
    start, end, step = (bounds[0] or 0, bounds[1], bounds[2] or 1)
    if not all(type(each) is int for each in (start, end, step)) or call.outputs[0].shape[0] > _LARGEST_VALUE:
        return None
    return np.arange(start, end, step).astype(call.outputs[0].dtype)
