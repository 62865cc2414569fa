"""An ncnn network while it grows: layers that read and make blobs by name, and the weights they need, still unread.

ncnn wants what other formats leave to the runtime: a blob is read once only, so one that is read more often goes
through a `Split`; and a layer with weights takes the activation behind it as one of its own numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from layoutbridge.frameworks.primitives import LazyArray
from layoutbridge.frameworks.scopes import Scopes

INPUT_NAME = "input"
_INPUT = "Input"
Number = int | float | tuple[int, ...] | tuple[float, ...]
_WITH_ACTIVATION = ("Convolution", "ConvolutionDepthWise", "Deconvolution", "InnerProduct")
_ACTIVATION_TYPE, _ACTIVATION_NUMBERS = 9, 10  # where these layers take the activation's kind and its numbers
_ACTIVATIONS = {"ReLU": 1, "LeakyReLU": 2, "Clip": 3, "Sigmoid": 4, "Mish": 5}  # a ReLU with a slope is the leaky one


Stored = Literal["float32", "float16", "int8", "table"]
_BYTES: dict[Stored, int] = {"float32": 4, "float16": 2, "int8": 1, "table": 1}
TABLE = 256  # float32 numbers before the places of weights in them


@dataclass(frozen=True, slots=True)
class Weight:
    """An array of a layer in the .bin; `tagged` where ncnn reads how it is stored from a word in front of it.

    Only such a one may be `stored` as float16, as int8, which its values must be then, or as places in a table of the
    256 numbers that fit them best.
    """

    array: LazyArray
    tagged: bool = False
    stored: Stored = "float32"

    @property
    def nbytes(self) -> int:
        """How many bytes it takes in the file, whose words are of four."""
        table = 4 * TABLE if self.stored == "table" else 0
        return -(-_BYTES[self.stored] * self.array.size // 4) * 4 + 4 * self.tagged + table


@dataclass(frozen=True, slots=True)
class NcnnLayer:
    """One line of the .param: `numbers` by ncnn's own keys (a float stays one: ncnn tells them apart)."""

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: Mapping[int, Number] = field(default_factory=dict)
    weights: tuple[Weight, ...] = ()


class NcnnGraph(Scopes):
    """Layers in the order in which they were asked for, after the input, whose `lengths` stand under their keys."""

    def __init__(self, lengths: Mapping[int, Number]) -> None:
        super().__init__()
        self.layers = [NcnnLayer(_INPUT, INPUT_NAME, (), (INPUT_NAME,), lengths)]

    def add_input(self, name: str, lengths: Mapping[int, Number]) -> None:
        """Another input, called `name`."""
        self.layers.append(NcnnLayer(_INPUT, name, (), (name,), lengths))

    def add(
        self, kind: str, inputs: Sequence[str], numbers: Mapping[int, Number] | None = None, *weights: Weight
    ) -> str:
        """A layer of one blob; returns the blob's name, which is the layer's too."""
        return self.add_several(kind, inputs, 1, numbers, *weights)[0]

    def add_several(
        self,
        kind: str,
        inputs: Sequence[str],
        count: int,
        numbers: Mapping[int, Number] | None = None,
        *weights: Weight,
    ) -> tuple[str, ...]:
        """A layer that makes `count` blobs; returns their names."""
        name = self.unique(kind)
        outputs = (name,) if count == 1 else tuple(f"{name}:{position}" for position in range(count))
        self.layers.append(NcnnLayer(kind, name, tuple(inputs), outputs, numbers or {}, weights))
        return outputs

    def finished(self, outputs: Mapping[str, str], labels: Mapping[str, str] | None = None) -> list[NcnnLayer]:
        """The layers that `outputs` (names of the results, each with its blob) need, ready to be written.

        Activations are joined to the layers before them, and what is read more than once is split. `labels` names
        other blobs, which are no results.
        """
        needed = self._needed(outputs.values())
        joined = _with_activations(needed, set(outputs.values()))
        inner = {blob: label for blob, label in (labels or {}).items() if label not in outputs and blob != INPUT_NAME}
        return _with_splits(joined, outputs, inner)

    def _needed(self, blobs: Iterable[str]) -> list[NcnnLayer]:
        wanted = set(blobs)
        kept = []
        for layer in reversed(self.layers):
            if layer.kind != _INPUT and wanted.isdisjoint(layer.outputs):
                continue
            wanted.update(layer.inputs)
            kept.append(layer)
        return kept[::-1]


def _with_activations(layers: Sequence[NcnnLayer], outputs: set[str]) -> list[NcnnLayer]:
    """Each activation that alone reads a layer with weights, or a view of it, becomes part of that layer."""
    uses = _uses(layers)
    made: dict[str, tuple[int, int]] = {}  # by blob: the layer with weights, and the layer that makes it of that
    kept: list[NcnnLayer] = []
    for layer in layers:
        before = made.pop(layer.inputs[0], None) if layer.inputs else None
        alone = before is not None and uses[layer.inputs[0]] == 1 and layer.inputs[0] not in outputs
        activation = _activation(layer)
        if before is not None and alone and activation is not None:
            weighted, last = before
            kept[weighted] = replace(kept[weighted], numbers={**kept[weighted].numbers, **activation})
            kept[last] = replace(kept[last], outputs=layer.outputs)
            continue
        if layer.kind in _WITH_ACTIVATION:
            made[layer.outputs[0]] = len(kept), len(kept)
        elif before is not None and alone and layer.kind == "Reshape":
            made[layer.outputs[0]] = before[0], len(kept)
        kept.append(layer)
    return kept


def _activation(layer: NcnnLayer) -> dict[int, Number] | None:
    """What a layer with weights takes to compute `layer` too, or None where it cannot."""
    key = "LeakyReLU" if layer.kind == "ReLU" and layer.numbers else layer.kind
    if key not in _ACTIVATIONS:
        return None
    values = cast("tuple[float, ...]", tuple(layer.numbers.values()))
    numbers: dict[int, Number] = {_ACTIVATION_TYPE: _ACTIVATIONS[key]}
    return numbers | {_ACTIVATION_NUMBERS: values} if values else numbers


def _with_splits(layers: Sequence[NcnnLayer], outputs: Mapping[str, str], labels: Mapping[str, str]) -> list[NcnnLayer]:
    """The layers with every blob read once, the results under their names and others under their labels."""
    uses = _uses(layers)
    results: dict[str, list[str]] = {}  # of a blob: the names under which it is a result
    for name, blob in outputs.items():
        results.setdefault(blob, []).append(name)
    renamed = dict(labels)
    copies: dict[str, Iterator[str]] = {}  # what a reader of a split blob reads next
    written: list[NcnnLayer] = []
    for layer in layers:
        inputs = tuple(next(copies[blob]) if blob in copies else renamed.get(blob, blob) for blob in layer.inputs)
        splits = []
        for blob in layer.outputs:
            names, readers = results.get(blob, []), uses.get(blob, 0)
            if len(names) + readers > 1 or (names and layer.kind == _INPUT):  # the input keeps its name
                source = renamed.get(blob, blob)
                parts = [f"{source}/{number}" for number in range(1, readers + 1)]
                splits.append(NcnnLayer("Split", f"{source}/Split", (source,), (*names, *parts)))
                copies[blob] = iter(parts)
            elif names:
                renamed[blob] = names[0]
        written += [replace(layer, inputs=inputs, outputs=tuple(renamed.get(b, b) for b in layer.outputs)), *splits]
    return written


def _uses(layers: Sequence[NcnnLayer]) -> dict[str, int]:
    uses: dict[str, int] = {}
    for layer in layers:
        for blob in layer.inputs:
            uses[blob] = uses.get(blob, 0) + 1
    return uses
