"""A Darknet network in PyTorch: an `nn.Module` to train or to run, an exported program and a state dict in files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray

from layoutbridge.darknet.meaning import Arrays, check_kinds
from layoutbridge.darknet.ports.outputs import check_head
from layoutbridge.darknet.ports.port import Export, Port, Runner, States, next_state, over_steps
from layoutbridge.darknet.ports.provenance import about, file_sha256, origin
from layoutbridge.darknet.ports.readers.ultralytics import NAMES
from layoutbridge.darknet.ports.records.tuned import Tuned
from layoutbridge.darknet.reading.weights import Weights
from layoutbridge.darknet.structure.model import Network, Shape
from layoutbridge.errors import ParameterError, UnusableInputError, WeightsError
from layoutbridge.files import whole_file, whole_files
from layoutbridge.frameworks.base import ABOUT, check_count, require
from layoutbridge.frameworks.torch import emission as framework
from layoutbridge.frameworks.torch.metadata import BESIDE, state_dict_of

if TYPE_CHECKING:
    import torch

    from layoutbridge.darknet.ports.torch_module import DarknetModule

PROGRAM, STATE_DICT = ".pt2", ".safetensors"
STATE_DICTS = (STATE_DICT, ".pth", ".pt")  # the others are pickled, and read with weights_only
_WRAPPERS = ("_orig_mod", "module")  # where torch.compile and the parallel wrappers keep what they wrap


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchExport(Export):
    """What was written: the program (or the state dict alone), and the state dict's file, None where there is none."""

    state_path: Path | None

    @property
    def files(self) -> tuple[Path, ...]:
        """The program and the state dict."""
        return tuple(dict.fromkeys(path for path in (self.path, self.state_path) if path is not None))

    @property
    def contents(self) -> str:
        """Which state dict, where there is no program."""
        return "" if self.outputs else "the state dict of to_torch()"

    @property
    def remarks(self) -> tuple[str, ...]:
        """How a state dict is loaded, where it is not safetensors' own."""
        if self.outputs or self.path.suffix == STATE_DICT:
            return ()
        return ("load it: net.to_torch().load_state_dict(torch.load(path, weights_only=True))",)


def to_module(
    network: Network,
    weights: Weights,
    head: str | None = None,
    *,
    steps: int | None = None,
    for_inference: bool = False,
) -> DarknetModule:
    """`network` with copies of its weights as an `nn.Module`: see `ports.torch_module.DarknetModule`.

    With `steps` a recurrent network takes whole sequences, `for_inference` it is not to be trained. With a `head` it
    returns what that consists of: see `torch_module.DarknetProgram`. Raises `UnsupportedError` for a layer that cannot
    be expressed, with the cfg's line, `UnknownNameError` for a head, `ParameterError` for steps, and
    `MissingFrameworkError`.
    """
    check_kinds(network)
    require("torch", "PyTorch", framework.EXTRA)
    from layoutbridge.darknet.ports.torch_module import DarknetModule, DarknetProgram

    given = (network, weights.arrays, weights.header, weights.trailing)
    if head is None:
        return DarknetModule(*given, steps=steps, for_inference=for_inference)
    return DarknetProgram(*given, head=head, steps=steps, for_inference=for_inference)


def run_torch(
    network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool = False
) -> list[NDArray[np.float32]]:
    """The outputs of all layers for x [N, C, H, W] (or [N, K]) in PyTorch; of the last layer alone by default.

    Arrays are float32 [N, C, H, W], or [N, K] where Darknet's layer is flat. Raises as `to_module` does.
    """
    check_kinds(network)
    require("torch", "PyTorch", framework.EXTRA)
    import torch

    from layoutbridge.darknet.ports.torch_module import DarknetModule

    module = DarknetModule(network, parameters)
    with torch.inference_mode():
        taken = framework.to_tensor(np.ascontiguousarray(x, np.float32))
        outputs = module(taken, every_layer=True) if every_layer else [module(taken)]
    return [framework.to_numpy(output) for output in outputs]


def run_torch_sequence(
    network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool = False
) -> list[NDArray[np.float32]]:
    """The outputs [T, N, ...] of a recurrent network for x [T, N, ...] in PyTorch, step after step from zeros.

    The rest is as for `run_torch`.
    """
    check_kinds(network)
    require("torch", "PyTorch", framework.EXTRA)
    import torch

    from layoutbridge.darknet.ports.torch_module import DarknetModule

    module = DarknetModule(network, parameters)

    def step(given: NDArray[Any], before: States) -> tuple[list[NDArray[Any]], States]:
        states = {name: framework.to_tensor(state) for name, state in before.items()}
        values, after = module.step(
            framework.to_tensor(np.ascontiguousarray(given, np.float32)), states, every_layer=True
        )
        outputs = values if every_layer else values[-1:]
        return [*map(framework.to_numpy, outputs)], {name: framework.to_numpy(state) for name, state in after.items()}

    with torch.inference_mode():
        return over_steps(network, x, step)


def write_torch(
    network: Network,
    parameters: Arrays,
    path: str | os.PathLike[str],
    *,
    head: str = "darknet",
    batch: int | None = None,
    every_layer: bool = False,
    steps: int | None = None,
    state_dict: bool = False,
    names: Sequence[str] | None = None,
    tuned: Tuned | None = None,
    sources: Mapping[str, str | os.PathLike[str]] | None = None,
) -> TorchExport:
    """Write `network` to `path`, whole or not at all: a program (.pt2), or a state dict (.safetensors, .pth, .pt).

    The program, which `torch.export.load` reads, takes `x`, float32 [N, C, H, W] of RGB in 0..1 (or [N, K]), and
    returns the outputs of `head` (`ports.outputs`), with `every_layer` those of all layers too: one tensor, or a
    tuple in the order of the export's `outputs`. Of a recurrent network the states before the step follow x, in the
    order of the export's `states`, and those behind it the outputs; with `steps` T it takes and gives whole sequences,
    [T, N, ...]. `batch` None leaves N open. With `state_dict` the parameters follow into `<stem>.safetensors` beside
    it: what `safetensors.torch.load_file` reads of it is `to_torch().state_dict()`, an entry for each layer, those that
    share parameters too. A .pth or .pt holds the same for `torch.load(path, weights_only=True)`. All tell version,
    source, flavor, the classes' `names`, the record of a measured choice (`tuned`) and the SHA-256 of `sources` ("cfg"
    and "weights" to paths), the program also how its outputs are read. Reading a state dict's file runs no code.

    Raises as `to_module` does, `UnknownNameError` for a head, `ParameterError` for an unusable batch or another ending,
    `UnusableInputError` where the folder cannot be written, and `MissingFrameworkError` without safetensors.
    """
    target = Path(path)
    check_count("the batch", batch, may_be_open=True)
    if target.suffix not in (PROGRAM, *STATE_DICTS):
        raise ParameterError(
            f"'{target}' must end in {PROGRAM}, the ending of exported programs, or {' or '.join(STATE_DICTS)}, those "
            "of state dicts"
        )
    check_head(head)
    check_kinds(network)
    described = about(network, head, names, batch=batch, tuned=tuned)
    told = origin(network) | {f"{kind}_sha256": file_sha256(file) for kind, file in (sources or {}).items()}
    if target.suffix in STATE_DICTS:
        told |= {NAMES: described[NAMES]} if names is not None else {}
        pickled = target.suffix != STATE_DICT
        require("torch" if pickled else "safetensors", "PyTorch" if pickled else "safetensors", framework.EXTRA)
        with whole_file(target) as temporary:
            write = _write_pickled if pickled else _write_state_dict
            write(network, parameters, temporary, target, told)
        return TorchExport(path=target, outputs={}, batch=batch, state_path=target)  # of all forms the same
    require("torch", "PyTorch", framework.EXTRA)
    state_path = target.with_suffix(STATE_DICT) if state_dict else None
    if state_path is not None:
        require("safetensors", "safetensors", framework.EXTRA)
    import torch

    from layoutbridge.darknet.ports.torch_module import DarknetProgram

    module = DarknetProgram(network, parameters, head=head, every_layer=every_layer, steps=steps)
    outputs, states = module.output_shapes, module.state_shapes
    program = _exported(module, network.in_shape, batch)
    paths = (target,) if state_path is None else (target, state_path)
    obsolete: Callable[[], Sequence[Path]] = tuple if state_path is not None else partial(state_dict_of, target)
    with whole_files(paths, obsolete) as (temporary, *beside):
        kept: dict[str, Any] = {**described, **told, "outputs": [*outputs, *map(next_state, states)]}
        if state_path is not None:
            _write_state_dict(network, parameters, beside[0], state_path, told)
            kept |= {BESIDE: state_path.name}
        kept |= {"states": list(states)} if states else {}
        kept |= {} if steps is None else {"steps": steps}
        try:
            with framework.exporting():
                torch.export.save(program, temporary, extra_files={ABOUT: json.dumps(kept)})
        except (OSError, RuntimeError) as error:  # PyTorch's own writer raises RuntimeError for a full disk
            raise UnusableInputError(f"cannot write '{target}': {error}") from None
    return TorchExport(path=target, outputs=outputs, batch=batch, state_path=state_path, states=states, steps=steps)


def _exported(module: DarknetModule, in_shape: Shape, batch: int | None) -> torch.export.ExportedProgram:
    import torch

    leading = () if module.steps is None else (module.steps,)
    shapes = [(*leading, batch or 2, *in_shape), *((batch or 2, *shape) for shape in module.state_shapes.values())]
    try:
        # the exporter takes an open length of 1 for a constant
        example = tuple(torch.zeros(*shape, dtype=torch.float32, device="cpu") for shape in shapes)
    except RuntimeError:  # PyTorch's, for want of memory
        raise ParameterError(f"a batch of {batch} pictures does not fit into memory: take a smaller one") from None
    opened = None if batch is not None else torch.export.Dim("batch")
    axes: dict[str, Any] = {"x": {} if opened is None else {len(leading): opened}}
    if module.state_shapes:
        axes["states"] = tuple({} if opened is None else {0: opened} for _ in module.state_shapes)
    with framework.exporting():
        return torch.export.export(module, example, dynamic_shapes=axes, strict=False)


def _state_dict(network: Network, parameters: Arrays) -> dict[str, NDArray[np.float32]]:
    """The parameters as they lie in the weights file: only those in another order there are copied."""
    return {
        f"{layer.name}.{parameter.name}": np.ascontiguousarray(parameters[layer.index, parameter.name], np.float32)
        for layer in network.layers
        for parameter in layer.parameters
    }


def _write_pickled(
    network: Network, parameters: Arrays, temporary: Path, target: Path, metadata: Mapping[str, str]
) -> None:
    """Tensors by their names, as `torch.save` writes them; `metadata` in the same archive."""
    import torch

    tensors = {name: framework.to_tensor(values) for name, values in _state_dict(network, parameters).items()}
    try:
        torch.save(tensors, temporary)
        with ZipFile(temporary, "a") as archive:  # whose members lie in one folder
            folder = Path(archive.namelist()[0]).parts[0]
            archive.writestr(f"{folder}/{ABOUT}", json.dumps(dict(metadata), ensure_ascii=False))
    except (OSError, RuntimeError) as error:  # PyTorch's own writer raises RuntimeError for a full disk
        raise UnusableInputError(f"cannot write '{target}': {error}") from None


def _write_state_dict(
    network: Network, parameters: Arrays, temporary: Path, target: Path, metadata: Mapping[str, str]
) -> None:
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    arrays = _state_dict(network, parameters)
    try:
        temporary.touch()
        usual_mode = temporary.stat().st_mode
        save_file(arrays, temporary, metadata=dict(metadata))
        temporary.chmod(usual_mode)  # safetensors leaves it for its owner alone
    except (OSError, SafetensorError) as error:
        raise UnusableInputError(f"cannot write '{target}': {error}") from None


def weights_of(network: Network, module: torch.nn.Module) -> Weights:
    """The parameters of `module`, which `to_module` made of `network` or of one with the same parameters.

    It may be wrapped by `torch.compile` or `DistributedDataParallel`. Raises `ParameterError` for another
    kind of module, and `WeightsError` where a layer's parameters have other shapes, or as `DarknetModule.to_weights`.
    """
    made = own_module(module)
    if made is None:
        raise ParameterError(f"a module that to_torch made is needed, not {type(module).__name__}")
    held = [layer.in_file for layer in made.layers]
    if len(held) != len(network.layers):
        raise WeightsError(f"the module has {len(held)} layers, and {network.source} {len(network.layers)}")
    for layer, parameters in zip(network.layers, held, strict=True):
        if layer.parameters != parameters:
            raise WeightsError(f"{network.where(layer)}: the parameters of {layer.name} are not those of the module")
    return made.to_weights()


def own_module(module: object) -> DarknetModule | None:
    """What `to_module` made, out of what wraps it; None where `module` is something else."""
    require("torch", "PyTorch", framework.EXTRA)
    from layoutbridge.darknet.ports.torch_module import DarknetModule

    while not isinstance(module, DarknetModule):
        inner = next((getattr(module, name) for name in _WRAPPERS if hasattr(module, name)), None)
        if inner is None:
            return None
        module = inner
    return module


# ---------------------------------------------------------------------- the record


def _write(
    network: Network,
    parameters: Arrays,
    path: str | os.PathLike[str],
    *,
    head: str = "darknet",
    batch: int | None = None,
    every_layer: bool = False,
    steps: int | None = None,
    names: Sequence[str] | None = None,
    tuned: Tuned | None = None,
    sources: Mapping[str, str | os.PathLike[str]] | None = None,
) -> TorchExport:
    """`write_torch`, with the state dict beside a program."""
    return write_torch(
        network,
        parameters,
        path,
        head=head,
        batch=batch,
        every_layer=every_layer,
        steps=steps,
        state_dict=Path(path).suffix == PROGRAM,
        names=names,
        tuned=tuned,
        sources=sources,
    )


PORT = Port(
    "torch",
    "PyTorch",
    (PROGRAM, *STATE_DICTS),
    _write,
    Runner(run_torch, run_torch_sequence, "torch"),
    beside=lambda path: (path.with_suffix(STATE_DICT),),
    without_outputs=STATE_DICTS,
)
