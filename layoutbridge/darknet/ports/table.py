"""The targets for networks: a line each. What layoutbridge knows of one lies in its module, and is loaded on use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from layoutbridge.errors import UnknownNameError, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from layoutbridge.darknet.meaning import Arrays
    from layoutbridge.darknet.ports.port import Port, Runner
    from layoutbridge.darknet.structure.model import Network

_OTHER_NAMES: dict[str, tuple[str, ...]] = {  # the module of a target: what else it is called
    "onnx": (),
    "torch": ("pytorch",),
    "keras": ("tensorflow",),
    "tflite": ("litert",),
    "ncnn": (),
    "openvino": (),
}
TARGETS = tuple(_OTHER_NAMES)
WRITTEN_FOR = (*TARGETS, "coreml")  # the rest are written, and run elsewhere
LITERT = ("litert",)  # the programs that read .tflite files
REFERENCE = "reference"  # what the others are compared with


def port(name: str) -> Port:
    """The record of the target called `name`; raises `UnknownNameError` with the names there are.

    >>> port("tensorflow").title
    'Keras'
    """
    known = _known(name)
    if known not in WRITTEN_FOR:
        raise UnknownNameError(f"a network is written for {', '.join(WRITTEN_FOR)}, not for {shown(name)}")
    record: Port = import_module(f"layoutbridge.darknet.ports.{known}").PORT
    return record


def ports() -> tuple[Port, ...]:
    """The records of all targets, in the table's order. No framework is imported for it."""
    return tuple(map(port, WRITTEN_FOR))


def runtimes() -> tuple[str, ...]:
    """The programs that a file can be written for, in the order of the targets that they read; no record is loaded.

    >>> runtimes()[:2], runtimes()[-1]
    (('onnxruntime', 'openvino'), 'litert')
    """
    from layoutbridge.frameworks.onnx.programs.forms import RUNTIMES
    from layoutbridge.frameworks.onnx.programs.table import PROFILES

    return (*RUNTIMES, *PROFILES, *LITERT)


def form_names(kind: str) -> tuple[str, ...]:
    """The names of what runs in arithmetic of a `kind`, in the table's order.

    >>> form_names("winograd")
    ('onnx-winograd', 'tflite-winograd', 'openvino-winograd')
    """
    return tuple(f"{record.name}-{kind}" for record in ports() if kind in record.forms)


def full_name(name: str) -> str:
    """`name`, or where it is another name of a target the target's own.

    >>> full_name("litert"), full_name("onnx-half")
    ('tflite', 'onnx-half')
    """
    return _known(name)


def runner(name: str, *, with_reference: bool = True) -> Runner:
    """What runs networks under `name`: a target, one of its forms (as `onnx-half`), or the float64 reference.

    Raises `UnknownNameError` with the names there are.

    >>> runner("tensorflow") is port("keras").runner
    True
    """
    runners = {REFERENCE: _reference()} if with_reference else {}
    runners |= {record.name: record.runner for record in ports() if record.runner is not None}
    runners |= {f"{record.name}-{kind}": form for record in ports() for kind, form in record.forms.items()}
    known = _known(name)
    if known not in runners:
        kind = "framework" if with_reference else "target"
        raise UnknownNameError(f"no {kind} is called {shown(name)}; there is {', '.join(runners)}")
    return runners[known]


def _known(name: str) -> str:
    return next((known for known, others in _OTHER_NAMES.items() if name in others), name)


def _reference() -> Runner:
    from layoutbridge.darknet.ports.port import Runner

    def run(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
        from layoutbridge.darknet.reference import forward

        return forward(network, parameters, x, every_layer=every_layer)

    def sequence(network: Network, parameters: Arrays, x: NDArray[Any], every_layer: bool) -> list[NDArray[Any]]:
        from layoutbridge.darknet.reference import run_sequence

        return run_sequence(network, parameters, x, every_layer=every_layer)

    return Runner(run, sequence, "numpy")
