"""What a measured choice of a model's form is remembered as, in the file's metadata: `tuning` makes it.

A runtime's settings are texts by the runtime's own names, such as "session.intra_op.allow_spinning" of onnxruntime.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from layoutbridge.darknet.ports.records.halves import half_in
from layoutbridge.errors import ParameterError, shown
from layoutbridge.frameworks.base import LARGEST_COUNT
from layoutbridge.frameworks.onnx.sessions import LEVEL
from layoutbridge.inputs import read_json

TUNED = "tuned"  # the name of the record among a file's metadata
Settings = Mapping[str, str]
SETTINGS: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # by target: what is worth a trial beside the defaults
    "onnx": {"session.intra_op.allow_spinning": ("0",), LEVEL: ("extended",)},
    "openvino": {"ENABLE_CPU_PINNING": ("NO",)},
    "ncnn": {"use_winograd63_convolution": ("0",), "use_winograd_convolution": ("0",), "use_sgemm_convolution": ("0",)},
}

_TAKEN: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # by target: of settings that its runtime does not check
    "onnx": {LEVEL: ("all", "extended")},
    "torch": {"precision": ("bfloat16",)},
    "tflite": {},
}
_OTHERS = ("onnx",)  # pass names on that only the runtime knows


@dataclass(frozen=True, slots=True)
class Tuned:
    """A measured choice: on which processor, in which runtime of which version, with how many threads and settings.

    `form` says in words what was chosen, `ratio` is its time as a share of the plain form's, `date` the day (ISO 8601).
    """

    processor: str
    runtime: str
    version: str
    threads: int
    settings: Settings
    form: str
    ratio: float
    date: str

    def to_json(self) -> str:
        """The record as text.

        >>> Tuned("Xeon", "onnxruntime", "1.31", 2, {}, "winograd", 0.7, "2026-01-31").to_json()[:24]
        '{"processor": "Xeon", "r'
        """
        return json.dumps(asdict(self) | {"settings": dict(self.settings)})

    @property
    def told(self) -> str:
        """The choice in a few words."""
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        settings = "".join(f", {name}={value}" for name, value in self.settings.items())
        return f"{self.form}, {threads}{settings}"


def read_tuned(metadata: Mapping[str, str]) -> Tuned | None:
    """The record among a file's metadata; None where there is none that can be understood.

    >>> record = Tuned("Xeon", "onnxruntime", "1.31", 2, {"a": "b"}, "winograd", 0.7, "2026-01-31")
    >>> read_tuned({TUNED: record.to_json()}) == record, read_tuned({TUNED: "{}"}), read_tuned({})
    (True, None, None)
    """
    told = read_json(metadata.get(TUNED, "null"))
    if not isinstance(told, dict):
        return None
    threads, settings, ratio = told.get("threads"), told.get("settings"), told.get("ratio")
    texts = [told.get(name) for name in ("processor", "runtime", "version", "form", "date")]
    if (
        not all(isinstance(text, str) for text in texts)
        or not isinstance(threads, int)
        or not 0 < threads <= LARGEST_COUNT
        or not isinstance(settings, dict)
        or not all(isinstance(value, str) for value in settings.values())
        or not isinstance(ratio, int | float)
    ):
        return None
    processor, runtime, version, form, date = map(str, texts)
    return Tuned(processor, runtime, version, threads, settings, form, float(ratio), date)


def processor_here() -> str:
    """The processor's name and kind, of which some makers tell only one well."""
    from layoutbridge.machine import this_machine

    here = this_machine()
    return f"{here.processor} ({here.kind})"


def check_settings(target: str, settings: object) -> None:
    """Raise `ParameterError` for what are no settings of `target`, as far as its runtime does not tell.

    >>> check_settings("torch", {"precision": "int3"})
    Traceback (most recent call last):
    layoutbridge.errors.ParameterError: the setting precision of torch is bfloat16, not 'int3'
    """
    if not isinstance(settings, Mapping) or not all(isinstance(one, str) for pair in settings.items() for one in pair):
        raise ParameterError(f"settings are texts by the names of the runtime, not {shown(settings)}")
    if target not in _TAKEN:
        return
    taken = _TAKEN[target]
    for name, value in settings.items():
        if name not in taken and target not in _OTHERS:
            raise ParameterError(f"{target} has the settings {', '.join(taken) or 'none'} here, not {shown(name)}")
        if value not in taken.get(name, (value,)):
            raise ParameterError(f"the setting {name} of {target} is {' or '.join(taken[name])}, not {shown(value)}")


def as_tuned(metadata: Mapping[str, str], target: str, threads: int, settings: Settings | None) -> tuple[int, Settings]:
    """Threads and settings to open a file of `target` with: those measured as fastest, where nobody names any.

    That is where `threads` is 0 and `settings` None, and the file's record is of this processor and of no more threads
    than may be had. In what is computed (`half_in`) is what the file is for, with any number of threads. Of its
    settings those count that are in `SETTINGS` or `HALVES`: nobody vouches for the file. Raises as `check_settings`.
    """
    if settings is not None:
        check_settings(target, settings)
    if settings is not None or TUNED not in metadata:
        return threads, settings or {}
    from layoutbridge.machine import this_machine

    record = read_tuned(metadata)
    if record is None or record.processor != processor_here():
        return threads, {}
    half = half_in(target, record.settings)
    if threads or record.threads > this_machine().cores:
        return threads, half
    known = SETTINGS.get(target, {})
    others = {name: value for name, value in record.settings.items() if value in known.get(name, ())}
    return record.threads, {**half, **others}
