"""State dicts of PyTorch: files of them read without running anything, and their tensors put together as layers.

A state dict names its tensors as modules lie within modules and says nothing else: layers are told by what they have
(`running_var` is a batch norm's), a batch norm belongs to the convolution that stands nearest under the same name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from layoutbridge.archives import checked_zip
from layoutbridge.darknet.returning.source import (
    Kind,
    Normalization,
    Part,
    Source,
    Tensor,
    by_numbers_in,
    loose_tensors,
)
from layoutbridge.errors import LayoutBridgeError, UnusableInputError, class_and_first_line, first_line, shown
from layoutbridge.frameworks.base import require
from layoutbridge.inputs import file_size, refuse_costly

SAFETENSORS = ".safetensors"
PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".tar")
_FRAMEWORK = "PyTorch"
_EPSILON = 1e-5  # of PyTorch's BatchNorm2d; a state dict does not hold it
_FEATURED_EPSILON = 1e-4  # of the ports of Darknet whose layers are called `module_list.0.BatchNorm2d`
_WITHIN = ("state_dict", "model_state_dict", "model", "net", "ema", "weights")  # under which trainers keep theirs
_WRAPPERS = ("module.", "_orig_mod.", "_ema.", "ema_model.")
_STATISTICS = ("running_mean", "running_var")
_DIGITS = re.compile(r"(\d+)")
_LARGEST = 1 << 36


def read_state_dict(path: str | os.PathLike[str]) -> tuple[dict[str, NDArray[Any]], bool]:
    """The arrays of a .safetensors, .pth or .pt file, and whether they stand in the order in which they were defined.

    Nothing that a file has pickled into it runs. Raises `UnusableInputError` for a file that is not whole, holds code
    or no state dict, `MissingFrameworkError` without safetensors, or PyTorch.
    """
    ending = Path(path).suffix.lower()
    if ending == SAFETENSORS:
        return _of_safetensors(path), False
    if ending in PICKLES:
        return arrays_of(_unpickled(path), f"'{os.fspath(path)}'"), True
    raise UnusableInputError(
        f"'{os.fspath(path)}' is no state dict by its ending: {SAFETENSORS} and {', '.join(PICKLES)} are read"
    )


def _of_safetensors(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    file_size(path, "safetensors file")
    require("safetensors", "safetensors", "torch")
    from safetensors import SafetensorError, safe_open

    held: dict[str, NDArray[Any]] = {}
    try:
        with safe_open(path, "numpy") as file:
            for name in file.keys():  # noqa: SIM118  # no dict
                try:
                    held[name] = file.get_tensor(name)
                except TypeError:  # of a kind that NumPy lacks
                    held[name] = _of_bfloat16(path, name)
    except SafetensorError as error:
        raise UnusableInputError(f"'{os.fspath(path)}' is no whole safetensors file: {first_line(error)}") from None
    return {name: held[name] for name in sorted(held, key=by_numbers_in)}


def _of_bfloat16(path: str | os.PathLike[str], name: str) -> NDArray[Any]:
    require("torch", "PyTorch", "torch")
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        values: NDArray[Any] = file.get_tensor(name).float().numpy()
    return values


def _unpickled(path: str | os.PathLike[str]) -> object:
    size = file_size(path, "file of PyTorch", most=_LARGEST)
    torch = require("torch", "PyTorch", "torch")
    import pickle
    import zipfile

    told = f"'{os.fspath(path)}'"
    if size == 0:
        raise UnusableInputError(f"{told} is empty")
    try:
        if zipfile.is_zipfile(path):
            parts = checked_zip(path, "file of PyTorch")
            refuse_costly(sum(part.file_size for part in parts), size, told)
        return torch.load(path, map_location="cpu", weights_only=True)
    except LayoutBridgeError:
        raise
    except Exception as error:  # whatever reading bytes that are no such file runs into
        refused = isinstance(error, pickle.UnpicklingError) and "weights_only" in str(error)
        if refused or "TorchScript" in str(error):
            raise UnusableInputError(
                f"{told} holds pickled code, a whole module say, which would run when it is read, and is refused: save "
                "the state dict alone, torch.save(model.state_dict(), path), or as .safetensors"
            ) from None
        raise UnusableInputError(f"{told} is no whole file of PyTorch: {class_and_first_line(error)}") from None


def arrays_of(held: object, told: str) -> dict[str, NDArray[Any]]:
    """The arrays of a state dict, or of a trainer's checkpoint that has one in it, without a wrapper's prefix.

    Raises `UnusableInputError` for what has none.
    """
    left = held
    for _ in range(len(_WITHIN)):
        if not isinstance(left, Mapping) or tensors_of(left):
            break
        left = next((left[name] for name in _WITHIN if isinstance(left.get(name), Mapping)), None)
    found = tensors_of(left) if isinstance(left, Mapping) else {}
    if not found:
        raise UnusableInputError(
            f"{told} is no state dict: no tensors with names are in it ({shown(type(held).__name__)})"
        )
    return unwrapped(found)


def unwrapped(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays by their names without a wrapper's prefix, where all have it."""
    found = dict(arrays)
    for prefix in _WRAPPERS:
        while found and all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): values for name, values in found.items()}
    return found


def tensors_of(held: Mapping[Any, Any]) -> dict[str, NDArray[Any]]:
    """What of it are tensors, or arrays, with a name."""
    return {
        name: values
        for name, value in held.items()
        if isinstance(name, str) and (values := _as_array(value)) is not None
    }


def _as_array(value: object) -> NDArray[Any] | None:
    if isinstance(value, np.ndarray):
        return value
    if type(value).__module__.partition(".")[0] != "torch" or not hasattr(value, "detach"):
        return None
    held = value.detach()
    if held.is_sparse or held.is_quantized or held.is_complex() or held.is_meta:
        raise UnusableInputError(f"tensors of {held.dtype} that lie as {held.layout} are not read: make them dense")
    if held.is_floating_point() and held.element_size() <= 2:  # bfloat16 has no like in NumPy
        held = held.float()
    made: NDArray[Any] = held.cpu().numpy()
    return made


# ---------------------------------------------------------------------- layers


def source_of_state(
    arrays: Mapping[str, NDArray[Any]], *, ordered: bool, epsilon: float | None = None, named: str = ""
) -> Source:
    """The layers of a state dict; `ordered` where its order is that of definition, else that of its names.

    `epsilon` is that of its batch norms; None takes PyTorch's, or what is known of the port.
    """
    tensors = {name: Tensor(name, values) for name, values in arrays.items()}
    owners: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        owner, _, last = name.rpartition(".")
        owners.setdefault(owner, {})[last] = tensor
    featured = any(re.search(r"module_list\.\d+\.BatchNorm2d$", owner) for owner in owners)
    taken = epsilon if epsilon is not None else _FEATURED_EPSILON if featured else _EPSILON
    norms: dict[str, Normalization] = {}
    products: dict[str, Part] = {}
    used: set[str] = set()
    for owner, held in owners.items():
        if all(name in held for name in _STATISTICS):
            norms[owner] = Normalization(
                held.get("weight"), held.get("bias"), held["running_mean"], held["running_var"], taken
            )
        elif "weight" in held and held["weight"].values.ndim in (2, 4):
            kind: Kind = "dense" if held["weight"].values.ndim == 2 else "convolution"
            products[owner] = Part(owner, kind, held["weight"], held.get("bias"))
        else:
            continue
        used.update(tensor.name for tensor in held.values())
    order = list(owners)
    parts = with_norms(order, products, norms, paired(order, products, norms))
    loose = loose_tensors({name: values for name, values in arrays.items() if name not in used})
    told = "the order of definition" if ordered else "the order of its names, numbers by their size"
    notes: tuple[str, ...] = ()
    if norms and epsilon is None:
        notes = (f"batch norm's epsilon is taken to be {taken:g}: a state dict does not hold it (epsilon= says it)",)
    return Source(named or _FRAMEWORK, parts, loose, told, notes)


def paired(order: Sequence[str], products: Mapping[str, Part], norms: Mapping[str, Normalization]) -> dict[str, str]:
    """For each batch norm the product that it follows, where one does: each is followed by one at most.

    Of those with as many channels it is the one with which it shares the longest name; of several the one with the same
    digits at its end (`conv2`, `bn2`), else the nearest before it.
    """
    places = {name: place for place, name in enumerate(order)}
    found: dict[str, str] = {}
    left = dict(products)
    for norm in sorted(norms, key=lambda name: places[name]):
        fitting = [name for name, part in left.items() if _out_channels(part, norms[norm])]
        if not fitting:
            continue
        shared = {name: _shared(name, norm) for name in fitting}
        deepest = max(shared.values())
        near = [name for name in fitting if shared[name] == deepest]
        digits = _DIGITS.findall(norm.rpartition(".")[2])
        before = [name for name in near if places[name] < places[norm]]
        alike = [name for name in near if digits and _DIGITS.findall(name.rpartition(".")[2]) == digits]
        if len(alike) == 1:
            chosen = alike[0]
        elif before:
            chosen = max(before, key=lambda name: places[name])
        elif deepest > 0 and len(near) == 1:
            chosen = near[0]
        else:
            continue
        if deepest == 0 and len(order) > 1 and chosen in before and not _is_next(chosen, norm, places, norms):
            continue
        found[norm] = chosen
        del left[chosen]
    return found


def _is_next(product: str, norm: str, places: Mapping[str, int], norms: Iterable[str]) -> bool:
    """Whether no other batch norm stands between the two."""
    return not any(places[product] < places[other] < places[norm] for other in norms)


def _out_channels(part: Part, norm: Normalization) -> bool:
    assert part.weights is not None
    return norm.channels in part.weights.shape[:2]


def _shared(a: str, b: str) -> int:
    """How many words two names have in common at their beginning."""
    count = 0
    for one, other in zip(a.split("."), b.split("."), strict=False):
        if one != other:
            break
        count += 1
    return count


def with_norms(
    order: Sequence[str],
    products: Mapping[str, Part],
    norms: Mapping[str, Normalization],
    pairs: Mapping[str, str],
) -> tuple[Part, ...]:
    """The parts in `order`, each batch norm with the product that `pairs` has for it, the others by themselves."""
    behind = {product: norm for norm, product in pairs.items()}
    made = []
    for name in order:
        if name in products:
            part = products[name]
            norm = norms[behind[name]] if name in behind else None
            made.append(Part(part.name, part.kind, part.weights, part.bias, norm, part.channels_last))
        elif name in norms and name not in pairs:
            made.append(Part(name, "normalization", normalization=norms[name]))
    return tuple(made)
