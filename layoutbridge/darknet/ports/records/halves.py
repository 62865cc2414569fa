"""Arithmetic of 16 bits that runtimes have on some processors, by settings: the file is the plain one.

bfloat16 has the exponents of float32 and 8 bits of mantissa, float16 has 11. What that costs is measured where it is
chosen; in float32 a file is opened wherever nobody asks for less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

Settings = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Half:
    """An arithmetic: its name, the runtime's `settings` for it, the instruction sets of which a processor needs one."""

    name: str
    settings: Settings
    instructions: tuple[str, ...]


_BFLOAT16 = ("amx_bf16", "avx512_bf16", "avx_ne_convert", "bf16")
_FLOAT16 = ("amx_fp16", "avx512_fp16", "avx_ne_convert", "fp16")
HALVES: Mapping[str, tuple[Half, ...]] = {  # by target
    "openvino": (
        Half("bfloat16", {"INFERENCE_PRECISION_HINT": "bf16"}, _BFLOAT16),
        Half("float16", {"INFERENCE_PRECISION_HINT": "f16"}, _FLOAT16),
    ),
    "torch": (Half("bfloat16", {"precision": "bfloat16"}, ("amx_bf16", "avx512_bf16")),),
    "ncnn": (Half("bfloat16", {"use_bf16_storage": "1", "use_bf16_packed": "1"}, _BFLOAT16),),
}
_NOTHING: Settings = MappingProxyType({})


def halves_of(target: str, instructions: Iterable[str] | None = None) -> tuple[Half, ...]:
    """What the target's runtime can compute in, beside float32, on a processor with these instruction sets.

    None are those of this machine.

    >>> [half.name for half in halves_of("openvino", ["avx2", "amx_bf16"])], halves_of("openvino", ["avx2"])
    (['bfloat16'], ())
    """
    if target not in HALVES:
        return ()
    if instructions is None:
        from layoutbridge.machine import this_machine

        instructions = this_machine().instructions
    known = set(instructions)
    return tuple(half for half in HALVES[target] if not known.isdisjoint(half.instructions))


def half_in(target: str, settings: Settings, instructions: Iterable[str] | None = None) -> Settings:
    """Those of the settings that say in what is computed: of an arithmetic that the processor has, all of them.

    >>> half_in("openvino", {"INFERENCE_PRECISION_HINT": "bf16", "ENABLE_CPU_PINNING": "NO"}, ["amx_bf16"])
    {'INFERENCE_PRECISION_HINT': 'bf16'}
    >>> dict(half_in("openvino", {"INFERENCE_PRECISION_HINT": "bf16"}, ["avx2"]))
    {}
    """
    for half in halves_of(target, instructions):
        if half.settings.items() <= settings.items():
            return half.settings
    return _NOTHING
