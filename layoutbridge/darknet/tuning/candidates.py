"""What there is to try: the forms that a target can be written in, threads, and settings of its runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from layoutbridge.darknet.ports.port import FLOAT16, Port
from layoutbridge.darknet.ports.records.halves import Half
from layoutbridge.darknet.ports.records.tuned import SETTINGS, Settings
from layoutbridge.darknet.ports.table import WRITTEN_FOR, full_name, port
from layoutbridge.darknet.tuning.budgets import DEVIATION
from layoutbridge.errors import ParameterError, UnknownNameError, shown
from layoutbridge.frameworks.base import check_count, installed_version
from layoutbridge.frameworks.framework import options_of
from layoutbridge.frameworks.winograd import Tile

TUNED_TARGETS = ("ncnn", "openvino", "onnx", "tflite", "torch")  # those often fastest first
_RUNTIMES = {"onnx": "onnxruntime", "tflite": "litert"}  # for whose limits and forms `write` has an option
PLAIN, WINOGRAD, BY_LAYER, HALF, INT8 = "plain", "winograd", "winograd by layer", "half", "int8"


@dataclass(frozen=True, slots=True)
class Form:
    """A form of the file: its name, the writer's `options` for it, and the deviation that its arithmetic is allowed.

    One that is `instead_of` another is tried where that costs too much of what it `spares`: of loading it, or of the
    deviation. One that is `in_file` of another is that form's file, run with `settings`.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    deviation: float | None = DEVIATION
    instead_of: str = ""
    spares: Literal["load", "deviation"] = "load"
    in_file: str = ""
    settings: Settings = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What tells it from all others of its target and network."""
        return f"{self.name} {sorted(self.options.items(), key=str)}"  # int8 has no options: `quantize` writes it


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run the network: a form of the file for a target, threads, settings of its runtime."""

    target: str
    form: Form
    threads: int
    settings: Settings = field(default_factory=dict)

    @property
    def told(self) -> str:
        """The candidate in a few words."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        settings = "".join(f", {name}={value}" for name, value in self.settings.items())
        return f"{self.target} {self.form.name}, {threads}{settings}"

    @property
    def key(self) -> str:
        """What tells it from all others of its network and number of threads."""
        return f"{self.target} {self.form.key} {sorted(self.settings.items())}"


def forms_of(
    target: Port,
    layers: Mapping[int, Tile] | None,
    gentle: Mapping[int, Tile] | None,
    *,
    half: bool,
    int8: bool,
    arithmetic: Sequence[Half] = (),
) -> tuple[Form, ...]:
    """The forms of a target, the plain one first.

    `layers` are those that are faster in Winograd's form, with their tiles, as measured; `gentle` the same without
    large tiles, whose error is larger. None where there is no such form. `arithmetic` is what the runtime can compute
    in beside float32, which counts with `half`.
    """
    options, forms = options_of(target.write), [Form(PLAIN)]
    if "winograd" in options:
        small = f"{BY_LAYER}, small tiles"
        kinds = [Form(WINOGRAD, {"winograd": True}), Form(BY_LAYER, {"winograd": layers})]
        if gentle != layers:
            kinds.append(Form(small, {"winograd": gentle}, instead_of=BY_LAYER, spares="deviation"))
        for form in kinds:
            if form.options["winograd"]:
                forms.append(form)
                if "store_winograd" in options:  # others hold the weights so anyway
                    stored = {**form.options, "store_winograd": True}
                    forms.append(Form(f"{form.name}, stored", stored, instead_of=form.name))
    if half and "half" in options:
        forms.append(Form(HALF, {"half": True}, FLOAT16))
    if half:
        forms += [Form(one.name, {}, FLOAT16, in_file=PLAIN, settings=one.settings) for one in arithmetic]
    if int8 and "int8" in options:
        forms.append(Form(INT8, {}, None))
    return tuple(forms)


def settings_of(target: str) -> Iterator[Settings]:
    """Settings of the target's runtime that are worth a trial beside its defaults."""
    for name, values in SETTINGS.get(target, {}).items():
        for value in values:
            yield {name: value}


def every_candidate(target: str, forms: Sequence[Form], threads: Sequence[int]) -> Iterator[Candidate]:
    """All that there is to try of a target: each form with each number of threads, each with each setting.

    >>> [one.told for one in every_candidate("openvino", [Form(PLAIN)], [2])]
    ['openvino plain, 2 threads', 'openvino plain, 2 threads, ENABLE_CPU_PINNING=NO']
    """
    for form in forms:
        for number in threads:
            for settings in ({}, *settings_of(target)):
                yield Candidate(target, form, number, {**form.settings, **settings})


def usual_options(target: Port) -> dict[str, Any]:
    """The writer's options where nothing else is asked for: the runtime that is tuned, and one picture at a time.

    With an open batch shapes are not known as a model is loaded: in OpenVINO Winograd's form then takes twice as long.
    """
    usual = {"runtime": _RUNTIMES.get(target.name), "batch": 1}
    return {name: value for name, value in usual.items() if value is not None and name in options_of(target.write)}


def installed_targets(names: Sequence[str] | None) -> tuple[list[Port], dict[str, str]]:
    """Those of the targets that can be tuned here, and why others cannot, by their names.

    Raises `UnknownNameError` for a name that no target has, `ParameterError` for one without a runtime that is tuned.
    """
    asked = TUNED_TARGETS if names is None else tuple(dict.fromkeys(map(full_name, names)))
    fitting, missing = [], {}
    for name in asked:
        if name not in TUNED_TARGETS:
            kind = ParameterError if name in WRITTEN_FOR else UnknownNameError
            raise kind(f"what is tuned is {', '.join(TUNED_TARGETS)}, not {shown(name)}")
        target = port(name)
        assert target.runner is not None
        if installed_version(target.runner.package) is None:
            missing[name] = f"{target.runner.package} is not installed"
        else:
            fitting.append(target)
    return fitting, missing


def threads_tried(threads: int | Sequence[int] | None, cores: int) -> tuple[int, ...]:
    """The numbers of threads to try, the most first: those that are named, else powers of two and all cores.

    Raises `ParameterError` for more than there are cores: a file's record of them would count nowhere here.

    >>> threads_tried(None, 6), threads_tried(3, 4), threads_tried([1, 2], 8)
    ((6, 4, 2, 1), (3,), (2, 1))
    """
    if threads is None:
        return tuple(sorted({cores, *(1 << power for power in range(cores.bit_length()))}, reverse=True))
    numbers = [threads] if isinstance(threads, int) else list(threads)
    for number in numbers:
        check_count("threads", number)
        if number > cores:
            raise ParameterError(f"threads is at most {cores} here, as many cores as may be used, not {number}")
    if not numbers:
        raise ParameterError("threads must name at least one number, or be None for all that are sensible")
    return tuple(sorted(set(numbers), reverse=True))
