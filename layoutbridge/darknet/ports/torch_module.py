"""The `nn.Module` of a Darknet network; `darknet.ports.torch` makes it, and imports this when it is needed.

A layer is a submodule with Darknet's number and name. Its parameters are those of the weights file, under the names
that Darknet gives them: biases, scales and weights can be trained, means and variances are buffers. Batch norm is
what Darknet computes in inference, also while training. A module for inference holds no parameters: its batch norms are
folded into weights that are packed for the processor.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from layoutbridge.darknet.meaning import Arrays, Context, Memory, Variant, write_layer
from layoutbridge.darknet.meaning.boxes import append_head
from layoutbridge.darknet.ports.outputs import INPUT, check_steps, output_layers, output_name
from layoutbridge.darknet.ports.port import state_name
from layoutbridge.darknet.reading.weights import Header, Weights, made_weights, write_weights
from layoutbridge.darknet.structure.choices import HEAD_LAYOUTS
from layoutbridge.darknet.structure.model import Layer, Network, is_statistic
from layoutbridge.errors import ParameterError, ShapeError, WeightsError, counted
from layoutbridge.frameworks.primitives import LazyArray
from layoutbridge.frameworks.torch.derived import Derived
from layoutbridge.frameworks.torch.packing import with_activations
from layoutbridge.frameworks.torch.program import Program, ProgramModule
from layoutbridge.frameworks.torch.target import TorchTarget, TorchValue

_TOLD = ("filters", "output", "size", "stride", "stride_x", "stride_y", "groups", "activation", "operation")


@dataclass(frozen=True, slots=True)
class _TorchContext(Context[TorchValue]):
    """A layer whose parameters are the module's: what is computed from them is recorded, not done once."""

    def array(self, name: str) -> Any:
        """The parameter `name`, to be computed with as with an array."""
        key = self.layer.key(name)
        return Derived(self._program, key, self.arrays[self.layer.index, key])

    def lazy(self, name: str) -> LazyArray:
        """The parameter `name` as the module holds it."""
        return self.array(name).held(name)  # type: ignore[no-any-return]

    def constant(self, name: str, values: ArrayLike) -> LazyArray:
        """A constant of the layer's own, or what was computed from a parameter."""
        return values.held(name) if isinstance(values, Derived) else LazyArray.of(name, values)

    @property
    def _program(self) -> Program:
        assert isinstance(self.target, TorchTarget)
        return self.target.program


class DarknetLayer(ProgramModule):
    """One layer of a Darknet network: takes its inputs [N, ...] in the cfg's order, returns its output.

    A recurrent one takes its `states` behind them, and returns a tuple of the output and the states behind the step;
    with `steps` T it takes and returns batches [T·N, ...] of whole sequences, without states. Parameters and buffers
    stand in the order of the weights file; `in_file` describes them. `for_inference` there are none.
    """

    def __init__(
        self, network: Network, layer: Layer, arrays: Arrays, steps: int | None = None, *, for_inference: bool = False
    ) -> None:
        states = layer.states if steps is None else ()
        in_shapes = layer.in_shapes or (network.in_shape,)  # a layer without inputs sees the batch there
        target = TorchTarget((*in_shapes, *(state.shape for state in states)), packs=for_inference)
        inputs = target.inputs[: len(layer.inputs)]
        before = target.inputs[len(in_shapes) :]
        memory = Memory(
            1 if steps is None else steps,
            {(layer.index, state.name): value for state, value in zip(states, before, strict=True)},
        )
        variant = Variant(keep_batch_norm=not for_inference)
        context: type[Context[TorchValue]] = Context if for_inference else _TorchContext
        value = target.with_batch(write_layer(context(target, network, layer, inputs, arrays, variant, memory)))
        if states:
            after = [memory.after[layer.index, state.name] for state in states]
            value = target.together([value, *after])
        with_activations(target.program, value.number)
        super().__init__(target.program, value.number)
        self.states = {state_name(layer, state): state.shape for state in states}
        self.kind, self.line, self.in_file = layer.kind, layer.line, layer.parameters
        shapes = [*map(_by, layer.in_shapes), f"to {_by(layer.out_shape)}"]
        options = layer.settings.options()
        told = [f"{key}={options[key]}" for key in _TOLD if options.get(key) is not None]
        self._described = ", ".join(shapes + told)

    def hold(self, arrays: Mapping[str, NDArray[np.float32]], owners: Mapping[str, DarknetLayer]) -> None:
        """Take copies of `arrays` as parameters and buffers; those of `owners` are theirs."""
        for parameter in self.in_file:
            name = parameter.name
            if name in owners:
                tensor = getattr(owners[name], name)
            else:
                tensor = torch.from_numpy(np.array(arrays[name], np.float32, order="C"))
                tensor = tensor if is_statistic(name) else torch.nn.Parameter(tensor)
            if is_statistic(name):
                self.register_buffer(name, tensor)
            else:
                self.register_parameter(name, tensor)

    def extra_repr(self) -> str:
        """Shapes of inputs and output, and what the cfg says."""
        return self._described

    def _get_name(self) -> str:
        return self.kind


class DarknetModule(torch.nn.Module):
    """A Darknet network in PyTorch; `DarknetNetwork.to_torch` makes it.

    Layers are submodules such as `27_reorg`. The state dict holds what the weights file holds: biases, scales,
    means, variances and weights of each layer; layers that share parameters have the same tensors.

    A recurrent network is one step, from states of zeros; `step` takes and gives the states. With `steps` T it takes
    whole sequences, [T, N, ...], and gives [T, N, ...].

    `for_inference` it runs faster and nothing can be trained: batch norms are folded, in float64, convolutions' weights
    packed (`frameworks.torch.packing`), the state dict is empty and outputs have no gradient. `train()` raises
    `ParameterError`, `to_weights` `WeightsError`.

    >>> from layoutbridge.darknet.reading.build import build_network
    >>> from layoutbridge.darknet.reading.cfg import parse_cfg
    >>> cfg = "[net]\\nwidth=4\\nheight=4\\nchannels=8\\n[reorg]\\nstride=2\\n"
    >>> sections, warnings = parse_cfg(cfg, source="net.cfg", flavor="alexey")
    >>> module = DarknetModule(build_network(sections, flavor="alexey", warnings=warnings), {})
    >>> module(torch.zeros(3, 8, 4, 4)).shape
    torch.Size([3, 32, 2, 2])
    >>> module.get_submodule("0_reorg")
    reorg(
      8×4×4, to 32×2×2, stride=2, operation=darknet_reorg
      (darknet_reorg): Rearrange(darknet_reorg, stride=2, ...)
    )
    """

    def __init__(
        self,
        network: Network,
        arrays: Arrays,
        header: Header | None = None,
        trailing: NDArray[np.uint8] | None = None,
        *,
        steps: int | None = None,
        for_inference: bool = False,
    ) -> None:
        check_steps(network, steps)
        super().__init__()
        self.in_shape, self.steps, self.for_inference = network.in_shape, steps, for_inference
        self.header, self.trailing = header, b"" if trailing is None else trailing.tobytes()
        self.names = tuple(layer.name for layer in network.layers)
        made: list[DarknetLayer] = []
        for layer in network.layers:
            module = DarknetLayer(network, layer, arrays, steps, for_inference=for_inference)
            if not for_inference:
                owners = {p.name: made[p.shared_with] for p in layer.parameters if p.shared_with is not None}
                module.hold({p.name: arrays[layer.index, p.name] for p in layer.parameters}, owners)
            made.append(module)
            self.add_module(layer.name, module)
        self._sources = tuple(layer.inputs or (-1,) for layer in network.layers)
        self._done = _last_uses(self._sources, kept=(len(self.names) - 1,))
        if for_inference:
            self.eval()

    def train(self, mode: bool = True) -> Self:
        """As every module's; raises `ParameterError` where there is nothing to train."""
        if mode and self.for_inference:
            raise ParameterError("a module for inference has nothing to train: take that of to_torch() without")
        return super().train(mode)

    @property
    def layers(self) -> tuple[DarknetLayer, ...]:
        """The layers in order."""
        return tuple(self.get_submodule(name) for name in self.names)  # type: ignore[misc]

    @overload
    def forward(self, x: torch.Tensor, every_layer: Literal[False] = ...) -> torch.Tensor: ...

    @overload
    def forward(self, x: torch.Tensor, every_layer: Literal[True]) -> list[torch.Tensor]: ...

    def forward(self, x: torch.Tensor, every_layer: bool = False) -> torch.Tensor | list[torch.Tensor]:
        """The last layer's output for x [N, C, H, W] (or [N, K]), as Darknet holds it; with `every_layer` all of them.

        Raises `ShapeError` for an x that does not fit, `ParameterError` for one of whole numbers.
        """
        values = self._run(self._taken(x), keep_all=every_layer, states={})
        if every_layer:
            return [self._given(value) for value in values]
        return self._given(values[-1])

    @overload
    def step(
        self, x: torch.Tensor, states: Mapping[str, torch.Tensor] | None = ..., every_layer: Literal[False] = ...
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]: ...

    @overload
    def step(
        self, x: torch.Tensor, states: Mapping[str, torch.Tensor] | None = ..., *, every_layer: Literal[True]
    ) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]: ...

    def step(
        self, x: torch.Tensor, states: Mapping[str, torch.Tensor] | None = None, every_layer: bool = False
    ) -> tuple[torch.Tensor | list[torch.Tensor], dict[str, torch.Tensor]]:
        """What `forward` gives for one step x [N, ...], and the states behind it, by name [N, ...].

        `states` are those behind the step before, all of them; None is zeros. Raises as `forward`, `ShapeError` for
        states that do not fit, and `ParameterError` for other names, or of a module of whole sequences.
        """
        if self.steps is not None:
            raise ParameterError(
                f"this module takes sequences of {counted(self.steps, 'step')}: one step is of to_torch() without"
            )
        known = self.state_shapes
        if states is not None and set(states) != set(known):
            raise ParameterError(f"the states must be {', '.join(known) or 'none'}, not {', '.join(states) or 'none'}")
        carried = dict(states or {})
        values = self._run(x, keep_all=every_layer, states=carried)
        return (values if every_layer else values[-1]), carried

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """The states by name, as `state_0_lstm_cell`, with the shapes of one picture; none with `steps`."""
        return {name: shape for layer in self.layers for name, shape in layer.states.items()}

    def _taken(self, x: torch.Tensor) -> torch.Tensor:
        """x as a batch: a sequence [T, N, ...] as [T·N, ...]."""
        if self.steps is None:
            return x
        if x.dim() != len(self.in_shape) + 2 or x.shape[0] != self.steps:
            wanted = ", ".join(map(str, self.in_shape))
            raise ShapeError(f"the input must be [{self.steps}, N, {wanted}], not {list(x.shape)}")
        return x.reshape(-1, *x.shape[2:])

    def _given(self, x: torch.Tensor) -> torch.Tensor:
        """A batch as it is given: of a sequence as [T, N, ...]."""
        return x if self.steps is None else x.reshape(self.steps, -1, *x.shape[1:])

    def _run(self, x: torch.Tensor, keep_all: bool, states: dict[str, torch.Tensor]) -> list[Any]:
        """All layers' outputs for x; those that nothing reads any more are None but with `keep_all`.

        `states` are those before the step, zeros where there is none; they are replaced by those behind it.
        """
        if x.dim() != len(self.in_shape) + 1 or tuple(x.shape[1:]) != self.in_shape:
            raise ShapeError(f"the input must be [N, {', '.join(map(str, self.in_shape))}], not {list(x.shape)}")
        if not x.is_floating_point():
            raise ParameterError(f"the input must hold floats (a picture's values in 0..1), not {x.dtype}")
        if self.for_inference and torch.is_grad_enabled():
            with torch.no_grad():
                return self._passed(x, keep_all, states)
        return self._passed(x, keep_all, states)

    def _passed(self, x: torch.Tensor, keep_all: bool, states: dict[str, torch.Tensor]) -> list[Any]:
        values: list[Any] = []
        for name, sources, done in zip(self.names, self._sources, self._done, strict=True):
            inputs = [x if source < 0 else values[source] for source in sources]
            layer = getattr(self, name)
            made = layer(*inputs, *(_state(states, x, *state) for state in layer.states.items()))
            if layer.states:
                made, *after = made
                states.update(zip(layer.states, after, strict=True))
            values.append(made)
            if not keep_all:
                for index in done:
                    values[index] = None
        return values

    def save_darknet(self, path: str | os.PathLike[str]) -> None:
        """Write a .weights file for the network's cfg, whole or not at all; untrained, byte for byte what was read.

        Raises as `to_weights` does, and `UnusableInputError` where the folder cannot be written.
        """
        write_weights(self.to_weights(copy=False), path)

    def to_weights(self, copy: bool = True) -> Weights:
        """The parameters as a weights file holds them, float32, under the header that was read.

        Without `copy`, what lies in memory already is the module's own and changes with it. Raises `WeightsError`
        for a module without a header or for inference, and as `reading.weights.made_weights` does.
        """
        if self.for_inference:
            raise WeightsError("a module for inference holds folded weights alone: take them of to_torch() without")
        if self.header is None:
            raise WeightsError("this module was made without a weights file: it has no header to write")

        def values(index: int, name: str) -> NDArray[np.float32]:
            held = getattr(modules[index], name).detach().to("cpu", torch.float32).numpy()
            return np.array(held, order="C") if copy else np.ascontiguousarray(held)

        modules = self.layers
        layers = [(name, module.in_file) for name, module in zip(self.names, modules, strict=True)]
        return made_weights(layers, values, self.header, np.frombuffer(self.trailing, np.uint8))


class DarknetProgram(DarknetModule):
    """A Darknet network that returns a head's outputs: one tensor, or a tuple where `output_shapes` has several.

    `head` is one of `heads.HEADS`; with `every_layer` all layers' outputs follow in order, each once.

    >>> from layoutbridge.darknet.reading.build import build_network
    >>> from layoutbridge.darknet.reading.cfg import parse_cfg
    >>> cfg = "[net]\\nwidth=4\\nheight=4\\nchannels=8\\n[reorg]\\nstride=2\\n[softmax]\\n"
    >>> sections, warnings = parse_cfg(cfg, source="net.cfg", flavor="alexey")
    >>> network = build_network(sections, flavor="alexey", warnings=warnings)
    >>> module = DarknetProgram(network, {}, head="raw", every_layer=True)
    >>> module.output_shapes
    {'0_reorg': (32, 2, 2), '1_softmax': (128,)}
    >>> [tuple(output.shape) for output in module(torch.zeros(3, 8, 4, 4))]
    [(3, 32, 2, 2), (3, 128)]
    """

    def __init__(
        self,
        network: Network,
        arrays: Arrays,
        header: Header | None = None,
        trailing: NDArray[np.uint8] | None = None,
        *,
        head: str = "darknet",
        every_layer: bool = False,
        steps: int | None = None,
        for_inference: bool = False,
    ) -> None:
        self._read = output_layers(network, head)
        super().__init__(network, arrays, header, trailing, steps=steps, for_inference=for_inference)
        self._done = _last_uses(self._sources, kept=self._read)
        self._every_layer = every_layer
        self.boxes = _boxes(network, self._read, head) if head in HEAD_LAYOUTS else None
        shapes = {output_name(network, index): network.shape_of(index) for index in self._read}
        if self.boxes is not None:
            shapes = {head: self.boxes.shape}
        if every_layer:
            layers = {layer.name: layer.out_shape for layer in network.layers}
            shapes = {name: shape for name, shape in shapes.items() if name not in layers} | layers
        self.output_shapes = shapes

    def forward(  # type: ignore[override]
        self, x: torch.Tensor, *states: torch.Tensor
    ) -> torch.Tensor | tuple[torch.Tensor, ...]:
        """The outputs for x [N, C, H, W] (or [N, K]), in the order of `output_shapes`; raises as `DarknetModule`.

        Of a recurrent network the states before the step, in the order of `state_shapes`, follow x (all zeros where
        none is given), and those behind it the outputs.
        """
        carried = dict(zip(self.state_shapes, states, strict=True)) if states else {}
        x = self._taken(x)
        values = self._run(x, keep_all=self._every_layer, states=carried)
        chosen = [x if index == INPUT else values[index] for index in self._read]
        if self.boxes is not None:
            chosen = [self.boxes(*chosen)]
        if self._every_layer:
            extra = chosen if self.boxes is not None else [x] * (INPUT in self._read)
            chosen = [*extra, *values]
        chosen = [*map(self._given, chosen), *(carried[name] for name in self.state_shapes)]
        return chosen[0] if len(chosen) == 1 else tuple(chosen)


class _Boxes(ProgramModule):
    """The boxes of all detection layers, from their outputs."""

    def __init__(self, target: TorchTarget, value: TorchValue) -> None:
        super().__init__(target.program, value.number)
        self.shape = value.shape


def _boxes(network: Network, heads: tuple[int, ...], kind: str) -> _Boxes:
    target = TorchTarget([network.shape_of(index) for index in heads])
    value, _ = append_head(target, network, dict(zip(heads, target.inputs, strict=True)), kind)
    return _Boxes(target, target.with_batch(value))


def _state(states: Mapping[str, torch.Tensor], x: torch.Tensor, name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The state called `name` before a step with the input x."""
    if name not in states:
        return x.new_zeros(x.shape[0], *shape)
    state = states[name]
    if state.dim() != len(shape) + 1 or tuple(state.shape[1:]) != shape or state.shape[0] != x.shape[0]:
        raise ShapeError(f"the state {name} must be {[x.shape[0], *shape]}, not {list(state.shape)}")
    return state


def _last_uses(sources: tuple[tuple[int, ...], ...], kept: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Which layers' outputs each layer is the last to read, but for those that are `kept` to the end."""
    last = {source: index for index, taken in enumerate(sources) for source in taken if source not in (INPUT, *kept)}
    return tuple(tuple(k for k, at in last.items() if at == index) for index in range(len(sources)))


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
