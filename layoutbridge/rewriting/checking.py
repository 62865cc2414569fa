"""Whether a rewritten model is sound, and both models run side by side on one random input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.errors import UnsupportedError, UnusableInputError, first_line, visible
from layoutbridge.frameworks.base import numpy_dtype
from layoutbridge.frameworks.onnx.sessions import open_session, refusals_of
from layoutbridge.rewriting.draft import Draft
from layoutbridge.rewriting.places.locating import Scene, graphs_within
from layoutbridge.rewriting.places.wanted import Fix

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto

_LARGE = 1024  # bytes of a constant that no shape depends on
CLOSE = 1e-5  # of the largest value, where numbers are added up in another order
_WITHOUT = "--no-check, check=False, leaves the trial out"
_AS_IT_IS: Mapping[str, tuple[int, ...]] = MappingProxyType({})
_DRAWN = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
Values = Mapping[str, NDArray[Any]]


def refuse_unsound(made: ModelProto, before: ModelProto) -> None:
    """Raise `UnsupportedError` where onnx's checker or its strict shape inference refuses a model, and not the first.

    Large weights take no part, nor do data in other files.
    """
    told = _complaint(made)
    if told is not None and _complaint(before) is None:
        raise UnsupportedError(f"the rewritten model would not be sound: {told}")


def _complaint(model: ModelProto) -> str | None:
    from onnx import checker

    try:
        checker.check_model(_without_weights(model), full_check=True)
    except Exception as error:  # the checker's and the inference's errors have no common class
        return first_line(error)
    return None


def _without_weights(model: ModelProto) -> ModelProto:
    """The model with its large constants as inputs."""
    from onnx import GraphProto, ModelProto, helper

    made, graph = ModelProto(), GraphProto()
    for field, value in model.ListFields():
        if field.name != "graph":
            _set(made, field, value)
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            _set(graph, field, value)
    given = {value.name for value in graph.input}
    for tensor in model.graph.initializer:
        if tensor.data_location != tensor.EXTERNAL and tensor.ByteSize() < _LARGE:
            graph.initializer.append(tensor)
        elif tensor.name not in given:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    made.graph.CopyFrom(graph)
    return made


def _set(message: Any, field: Any, value: Any) -> None:
    held = getattr(message, field.name)
    if hasattr(held, "extend"):
        held.extend(value)
    elif hasattr(held, "CopyFrom"):
        held.CopyFrom(value)
    else:
        setattr(message, field.name, value)


class NotCloseError(UnsupportedError):
    """Sums in another order give outputs that are too far away."""


class Trial:
    """A model's graph at numbers for all sizes, and random values for its inputs: models are run on these."""

    def __init__(self, scene: Scene, folder: Path | None) -> None:
        self.name, self.folder = scene.name, folder
        self.given = dict(_random_inputs(scene))

    def run(
        self, model: ModelProto, also: Sequence[tuple[str, str]] = (), orders: Mapping[str, tuple[int, ...]] = _AS_IT_IS
    ) -> Values:
        """Every output of the model by its name, and tensors within it, given with their dtypes.

        `orders` are those in which inputs and outputs of the model have the axes of the trial's.
        """
        from onnx import GraphProto, ModelProto, helper

        held = {value.name for value in model.graph.output}
        more = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(numpy_dtype(dtype)), None)
            for name, dtype in dict(also).items()
            if name not in held
        ]
        content = model.SerializeToString() + ModelProto(graph=GraphProto(output=more)).SerializeToString()
        try:
            with refusals_of(self.name, "run"):
                session = open_session(content, optimized=False, data_folder=self.folder)
                names = [each.name for each in session.get_outputs()]
                given = {name: x.transpose(orders[name]) if name in orders else x for name, x in self.given.items()}
                results = session.run(names, given)
        except UnusableInputError as error:
            raise UnusableInputError(f"{error} ({_WITHOUT})") from None
        values = dict(zip(names, results, strict=True))
        return values | {name: values[name].transpose(np.argsort(orders[name])) for name in orders if name in values}


def _random_inputs(scene: Scene) -> Iterable[tuple[str, NDArray[Any]]]:
    random = np.random.default_rng(0)
    for name in scene.graph.inputs:
        tensor = scene.graph.tensors.get(name)
        if tensor is None:
            raise UnusableInputError(f"'{scene.name}' takes '{visible(name[:80])}', which is not made up: {_WITHOUT}")
        if tensor.is_constant:
            continue
        dtype = numpy_dtype(tensor.dtype)
        if dtype.kind in "biu":
            yield name, random.integers(0, 2, tensor.shape).astype(dtype)
        else:
            yield name, random.standard_normal(tensor.shape).astype(dtype)


# ---------------------------------------------------------------------- what is compared


def compare_fixed(trial: Trial, scene: Scene, made: ModelProto, fixes: Sequence[Fix]) -> float:
    """Run both models: each place must give what is wanted of it, and what depends on none stays bit for bit.

    Returns the largest difference of an output, as a share of the largest value of that. Raises `UnsupportedError`.
    """
    shown = [each.located for each in fixes if each.located.inside == 0]
    also = [(name, each.dtype) for each in shown for name in (each.region.sources[0], each.region.output)]
    constants = {tensor.name for tensor in made.graph.initializer} | {value.name for value in made.graph.input}
    also = [(name, dtype) for name, dtype in also if name not in constants]
    before, after = trial.run(scene.model, also), trial.run(made, also)
    roots = {name for each in fixes for name in _roots(scene, each)}
    changed = dependents(made.graph.node, roots)
    for name, value in before.items():
        if name not in changed and not is_same(value, after[name]):
            raise UnsupportedError(f"'{visible(name[:80])}' depends on no place, and its values would change")
    for each in fixes:
        region = each.located.region
        source = after.get(region.sources[0], trial.given.get(region.sources[0]))
        if each.located.inside or source is None:
            continue
        if not is_same(np.asarray(each.wanted.on_all_axes(source)), after[region.output]):
            raise UnsupportedError(f"{each.located.told} would not give what {each.wanted.label} does")
    return deviation(_outputs(scene, before), _outputs(scene, after))


def _roots(scene: Scene, fix: Fix) -> tuple[str, ...]:
    """The tensors of the model's own graph that a fix changes: within control flow what that gives."""
    if fix.located.inside == 0:
        return (fix.located.region.output,)
    return list(graphs_within(scene.model.graph))[fix.located.inside][1]


def _outputs(scene: Scene, values: Values) -> Values:
    return {name: values[name] for name in scene.graph.outputs}


def compare_stages(begin: Draft, before: Draft, after: Draft) -> float:
    """Run the model as it was `before` some stages and `after` them: both must give the same outputs.

    That is bit for bit where the stages only moved elements, else to `CLOSE`; inputs and outputs whose axes have
    another order now are turned. Returns the largest difference from the model that stood at the beginning, as a share
    of the largest value of an output. Raises `UnsupportedError`, `NotCloseError` where sums alone are to blame.
    """
    trial = Trial(before.scene, before.source.folder)
    expected = _outputs(before.scene, trial.run(before.scene.model))
    values = _outputs(after.scene, trial.run(after.scene.model, orders=after.orders))
    if after.is_exact:
        for name, value in expected.items():
            if not is_same(value, values[name]):
                told = f"the values of '{visible(name[:80])}' would change"
                raise UnsupportedError(f"{told}{_drawn_told(before.scene)}")
    else:
        compare_close(expected, values)
    first = expected if begin is before else _outputs(begin.scene, trial.run(begin.scene.model))
    return deviation(first, values)


def _drawn_told(scene: Scene) -> str:
    """What a difference may come from where a model draws numbers: others at each place in the order of nodes."""
    kinds = {node.op_type for graph, _ in graphs_within(scene.model.graph) for node in graph.node}
    drawn = sorted(kinds & _DRAWN)
    return f", which may be the work of its {' and '.join(drawn)}: {_WITHOUT}" if drawn else ""


def compare_close(expected: Values, values: Values) -> None:
    """Raise `NotCloseError` where values are not the same but for the order in which numbers were added up."""
    found = deviation(expected, values)
    if not found <= CLOSE:
        raise NotCloseError(
            f"other weights would give outputs that are {found:.1e} of the largest value away ({_WITHOUT})"
        )


def deviation(expected: Values, values: Values) -> float:
    """The largest difference of any of the values, as a share of the largest among its own.

    >>> deviation({"y": np.array([4.0, 2.0])}, {"y": np.array([4.0, 1.0])}), deviation({"y": 2.0}, {"y": 1.0})
    (0.25, 0.5)
    """
    found = 0.0
    for name, value in expected.items():
        one, two = np.asarray(value), np.asarray(values[name])
        if one.dtype.kind not in "biufV" or not one.size:
            continue
        if one.shape != two.shape:
            return float("inf")
        one, two = (np.atleast_1d(each).astype(np.float64) for each in (one, two))
        apart = np.abs(one - two)
        apart[(one == two) | (np.isnan(one) & np.isnan(two))] = 0
        largest = float(np.max(np.abs(one[np.isfinite(one)]), initial=0))
        found = max(found, float(apart.max()) / (largest or 1.0))
    return found


def is_same(one: Any, two: Any) -> bool:
    """Whether both are the same bit for bit."""
    one, two = np.asarray(one), np.asarray(two)
    if object in (one.dtype, two.dtype):
        return bool(np.array_equal(one, two))
    return one.shape == two.shape and one.dtype == two.dtype and one.tobytes() == two.tobytes()


def dependents(nodes: Iterable[NodeProto], roots: Iterable[str]) -> set[str]:
    """The tensors that are, or are computed from, `roots`; nodes stand in the order in which they run."""
    found = set(roots)
    for node in nodes:
        if found & _read(node):
            found.update(node.output)
    return found


def _read(node: NodeProto) -> set[str]:
    """The tensors that a node reads, those that graphs within it read from outside with them."""
    return set(node.input).union(*(_read_in(a.g) for a in node.attribute if a.HasField("g")))


def _read_in(graph: GraphProto) -> set[str]:
    return {value.name for value in graph.output}.union(*(_read(node) for node in graph.node))
