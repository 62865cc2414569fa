"""A graph of TensorFlow's without calls of functions: their bodies stand in the calls' places. Nothing is run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from layoutbridge.errors import UnusableInputError
from layoutbridge.scanning.graphs.limits import refuse_more_nodes
from layoutbridge.scanning.readers.tensorflow.bounds import BARRIER, Bounds

_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_DEEPEST = 64  # calls within calls
# TensorFlow works out constants while it infers shapes: none of these may be among them.
_REFUSED = frozenset(
    ("ReadFile", "MatchingFiles", "Restore", "RestoreV2", "RestoreSlice", "WriteFile", "SaveV2", "ImmutableConst")
)


class Functions(Mapping[str, Any]):
    """The functions of a graph by name."""

    def __init__(self, functions: Iterable[Any]) -> None:
        self._held = {function.signature.name: function for function in functions}
        self._known: Any = None  # a graph that knows all of them: what a body calls is looked up there

    def __getitem__(self, name: str) -> Any:
        return self._held[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def body(self, function: Any) -> tuple[dict[str, Any], list[str]]:
        """A function's nodes by name, and the tensors among theirs that are its results."""
        import tensorflow as tf
        from tensorflow.core.framework.graph_pb2 import GraphDef
        from tensorflow.python.framework.function_def_to_graph import function_def_to_graph_def

        if self._known is None:
            self._known, library = tf.Graph(), GraphDef()
            library.library.function.extend(self._held.values())
            with self._known.as_default():
                tf.import_graph_def(library, name="")
        with self._known.as_default():
            body, flat = function_def_to_graph_def(function)
        results = [flat[function.ret[result.name]] for result in function.signature.output_arg]
        return {node.name: node for node in body.node}, results


class Flat:
    """What outputs of a graph need, in `graph`, a `GraphDef`, with calls of the functions of `library` expanded.

    A node keeps its name where no other has it, else it stands behind the name of the call.
    """

    def __init__(self, library: Functions, source: str) -> None:
        from tensorflow.core.framework.graph_pb2 import GraphDef

        self.graph = GraphDef()
        self.library, self._source = library, source
        self._names: set[str] = set()
        self._bounds = Bounds()

    def add(
        self,
        nodes: Mapping[str, Any],
        outputs: list[str],
        given: Mapping[str, str] | None = None,
        prefix: str = "",
        depth: int = 0,
    ) -> list[str]:
        """Add what `outputs` need of `nodes`, and return what they are called here.

        `given` are tensors that are here already in the place of nodes. Raises `UnusableInputError` for a graph that
        goes in circles, lacks a node, or grows too large.
        """
        if depth > _DEEPEST:
            raise UnusableInputError(f"'{self._source}' has calls within calls, more than {_DEEPEST} deep")
        here: dict[str, str] = {f"{name}:0": tensor for name, tensor in (given or {}).items()}
        known = set(given or ())
        for name in self._in_order(nodes, [_node(output) for output in outputs], known):
            held = nodes[name]
            taken = [here[_tensor(each)] for each in held.input if not each.startswith("^")]
            function = _function(held, self.library)
            if function is not None:
                made = self._expand(function, taken, f"{prefix}{name}/", depth)
                here.update((f"{name}:{place}", tensor) for place, tensor in enumerate(made))
                continue
            new = self._copy(held, prefix, taken)
            here.update((f"{name}:{place}", f"{new}:{place}") for place in range(_outputs(held)))
        return [here[_tensor(output)] for output in outputs]

    def _expand(self, function: Any, taken: list[str], prefix: str, depth: int) -> list[str]:
        body, results = self.library.body(function)
        names = [each.name for each in function.signature.input_arg]
        given = dict(zip(names, taken, strict=True))
        return self.add(body, results, given, prefix, depth + 1)

    def _copy(self, held: Any, prefix: str, taken: list[str]) -> str:
        from tensorflow.core.framework.node_def_pb2 import NodeDef

        if held.op in _REFUSED:
            raise UnusableInputError(f"'{self._source}' reads or writes files as it runs ({held.op}), and is not read")
        refuse_more_nodes(self._source, len(self.graph.node) + 1)
        new = NodeDef()
        new.CopyFrom(held)
        new.name = self._free(held.name, prefix)
        new.device = ""
        del new.input[:]
        new.input.extend(taken)
        for attribute in [name for name in new.attr if name.startswith("_")]:
            del new.attr[attribute]
        place = self._bounds.admit(new, _outputs(held))
        if place is not None:
            new.input[place] = self._cut_off(new, place)
        self.graph.node.append(new)
        return str(new.name)

    def _cut_off(self, node: Any, place: int) -> str:
        """A step before an input of `node`, through which TensorFlow does not look for constants."""
        from tensorflow.core.framework.node_def_pb2 import NodeDef
        from tensorflow.python.framework import op_def_registry

        argument = op_def_registry.get(node.op).input_arg[place]
        made = NodeDef(name=self._free(f"{node.name}/constant", ""), op=BARRIER, input=[node.input[place]])
        made.attr["T"].type = node.attr[argument.type_attr].type if argument.type_attr else argument.type
        made.attr["U"].list.SetInParent()
        self.graph.node.append(made)
        return f"{made.name}:0"

    def _free(self, name: str, prefix: str) -> str:
        made, count = name, 1
        while made in self._names:
            made = f"{prefix}{name}" if count == 1 and prefix else f"{prefix}{name}_{count}"
            count += 1
        self._names.add(made)
        return made

    def _in_order(self, nodes: Mapping[str, Any], wanted: list[str], known: set[str]) -> Iterator[str]:
        """The nodes that others need before those."""
        done, open_now = set(known), set[str]()
        left = [(name, False) for name in reversed(wanted)]
        while left:
            name, is_ready = left.pop()
            if is_ready:
                open_now.discard(name)
                done.add(name)
                yield name
                continue
            if name in done:
                continue
            if name in open_now or name not in nodes:
                why = "needs itself" if name in nodes else "is missing"
                raise UnusableInputError(f"'{self._source}' is no whole graph: its node {name[:80]} {why}")
            open_now.add(name)
            left.append((name, True))
            left += [(_node(each), False) for each in nodes[name].input if not each.startswith("^")]


def _function(held: Any, library: Functions) -> Any | None:
    """The function that a node calls; None where it is no call."""
    if held.op in _CALLS:
        return library[held.attr["f"].func.name]
    return library.get(held.op)


def _outputs(held: Any) -> int:
    """How many tensors a node gives, or more: what it declares in lists of types and counts."""
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(held.op)
    if definition is None:
        raise UnusableInputError(
            f"TensorFlow here has no operator {held.op[:80]}: the package that brings it is missing"
        )
    count = 0
    for result in definition.output_arg:
        if result.number_attr:
            count += held.attr[result.number_attr].i
        else:
            count += len(held.attr[result.type_list_attr].list.type) if result.type_list_attr else 1
    return count


def _node(tensor: str) -> str:
    return tensor.partition(":")[0]


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"
