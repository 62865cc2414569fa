"""The machine that this runs on: its processor, what that can do, and how much of it this process may use.

What was measured holds on processors of that kind alone: so results say where they come from, and what is remembered
of one machine is not taken for another. Linux tells it in files, macOS by sysctl, Windows in its registry; where the
system tells less, so does this, and nothing is ever refused.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from layoutbridge.processor_names import arm_design, arm_maker, vendor_of, x86_design

_INSTRUCTIONS = {  # as told here: as Linux, macOS and NumPy name them, in lower case without _ and dots
    "avx2": ("avx2", "avx20"),
    "fma": ("fma", "fma3"),
    "avx512f": ("avx512f",),
    "avx512bw": ("avx512bw",),
    "avx512_vnni": ("avx512vnni",),
    "avx512_bf16": ("avx512bf16",),
    "avx512_fp16": ("avx512fp16",),
    "avx_vnni": ("avxvnni",),
    "avx_ne_convert": ("avxneconvert",),
    "amx_int8": ("amxint8",),
    "amx_bf16": ("amxbf16",),
    "amx_fp16": ("amxfp16",),
    "neon": ("asimd", "neon", "advsimd"),
    "dotprod": ("asimddp", "armfeatdotprod"),
    "fp16": ("asimdhp", "armfeatfp16"),
    "bf16": ("bf16", "armfeatbf16"),
    "i8mm": ("i8mm", "armfeati8mm"),
    "sve": ("sve",),
    "sve2": ("sve2",),
    "sme": ("sme", "armfeatsme"),
}
_NO_LIMIT = 1 << 60  # bytes: the first version of control groups tells no limit as a number above it
_SECONDS = 5.0  # for sysctl
_ROOT = Path("/")


@dataclass(frozen=True)
class Machine:
    """A machine: its processor, and what this process may use of it.

    `processor` is the name that the processor gives itself, `vendor` and `design` who made it and the design of its
    cores ("Zen 4"), or its numbers; `instructions` are the sets of vector instructions that kernels of networks are
    written for; `cores` may be used by this process, by its affinity and the limits of its control group; so
    `memory`, in bytes (0: not known).
    """

    processor: str
    vendor: str
    design: str
    instructions: tuple[str, ...]
    cores: int
    memory: int

    @property
    def kind(self) -> str:
        """The kind of processor in words: what was measured on one holds roughly on another of this kind.

        >>> Machine("AMD EPYC 9R14", "AMD", "Zen 4", ("avx2", "avx512f"), 2, 0).kind
        'AMD Zen 4'
        """
        return self.design if self.design.startswith(self.vendor) else f"{self.vendor} {self.design}"

    @property
    def slug(self) -> str:
        """`kind` as a part of a file's name.

        >>> Machine("", "Intel", "family 6 model 1", (), 2, 0).slug
        'intel-family-6-model-1'
        """
        return re.sub(r"[^a-z0-9]+", "-", self.kind.lower()).strip("-") or "unknown"

    def to_dict(self) -> dict[str, Any]:
        """What JSON takes."""
        return asdict(self) | {"kind": self.kind, "instructions": list(self.instructions)}


def this_machine() -> Machine:
    """The machine that this process runs on. Takes milliseconds, the first time.

    >>> this_machine().cores >= 1
    True
    """
    name, vendor, design, instructions = _processor()
    return Machine(name, vendor, design, instructions, usable_cores(), usable_memory())


def usable_cores(root: Path = _ROOT) -> int:
    """How many cores this process may keep busy: those it may run on, and no more than its control group may have.

    `root` is the folder of the system's `proc` and `sys`.

    >>> usable_cores() >= 1
    True
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *map(int, _quotas(root))]))


def usable_memory(root: Path = _ROOT) -> int:
    """Bytes of memory that this process may use: the machine's, or its control group's; 0 where nothing tells it.

    `root` is the folder of the system's `proc` and `sys`.

    >>> usable_memory() >= 0
    True
    """
    return min((told for told in (_memory(), *_memory_limits(root)) if told), default=0)


def instruction_sets(told: Iterable[str]) -> tuple[str, ...]:
    """Of the instruction sets that a system names, those that kernels of networks are written for, by one name each.

    >>> instruction_sets(["sse2", "avx2", "AVX512_VNNI", "arm.FEAT_DotProd"])
    ('avx2', 'avx512_vnni', 'dotprod')
    """
    plain = {re.sub(r"[_.]", "", name.lower()) for name in told}
    return tuple(name for name, spellings in _INSTRUCTIONS.items() if not plain.isdisjoint(spellings))


Processor = tuple[str, str, str, tuple[str, ...]]  # its name, vendor, design, instructions


@cache
def _processor() -> Processor:
    import platform

    found = {"linux": _of_linux, "darwin": _of_macos, "win32": _of_windows}.get(sys.platform, _unknown)()
    return found if found[0] else (platform.processor() or platform.machine() or "unknown", *found[1:])


def _unknown() -> Processor:
    import platform

    return "", "unknown", platform.machine() or "processor", instruction_sets(_numpys())


def _of_linux() -> Processor:
    return from_cpuinfo(_text(Path("/proc/cpuinfo"))) or _unknown()


def from_cpuinfo(text: str) -> Processor | None:
    """The processor's name, vendor, design and instructions, by the text of /proc/cpuinfo; None where it tells none.

    >>> from_cpuinfo("vendor_id: GenuineIntel\\ncpu family: 6\\nmodel: 143\\nmodel name: Xeon\\nflags: avx2 amx_int8")
    ('Xeon', 'Intel', 'Sapphire Rapids', ('avx2', 'amx_int8'))
    """
    cores = [_fields(block) for block in re.split(r"\n\s*\n", text) if block.strip()]
    cores = [core for core in cores if "vendor_id" in core or "CPU implementer" in core]
    if not cores:
        return None
    first = cores[0]
    flags = instruction_sets((first.get("flags") or first.get("Features", "")).split())
    if "CPU implementer" not in first:
        vendor = vendor_of(first["vendor_id"])
        numbers = (_number(first.get(name, "")) for name in ("cpu family", "model", "stepping"))
        return first.get("model name", ""), vendor, x86_design(vendor, *numbers), flags
    parts = dict.fromkeys((_number(core["CPU implementer"]), _number(core.get("CPU part", ""))) for core in cores)
    designs = " and ".join(dict.fromkeys(arm_design(*part) for part in parts))  # fast cores and small ones
    maker = arm_maker(next(iter(parts))[0])
    return first.get("model name") or f"{maker} {designs}", maker, designs, flags


def _of_macos() -> Processor:
    return from_sysctl(_sysctl("machdep.cpu", "hw.optional")) or _unknown()


def from_sysctl(told: Mapping[str, str]) -> Processor | None:
    """The same, by the names of macOS's sysctl; None where it does not tell it.

    >>> from_sysctl({"machdep.cpu.brand_string": "Apple M2", "hw.optional.arm.FEAT_DotProd": "1"})
    ('Apple M2', 'Apple', 'M2', ('dotprod',))
    """
    name = told.get("machdep.cpu.brand_string", "")
    if not name:
        return None
    optional = [key.removeprefix("hw.optional.") for key, value in told.items() if value == "1"]
    flags = instruction_sets(optional)
    if name.startswith("Apple "):
        return name, "Apple", name.removeprefix("Apple "), flags
    vendor = vendor_of(told.get("machdep.cpu.vendor", ""))
    numbers = (_number(told.get(f"machdep.cpu.{key}", "")) for key in ("family", "model", "stepping"))
    return name, vendor, x86_design(vendor, *numbers), flags


def _of_windows() -> Processor:
    import winreg

    key = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
    told = {}
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as opened:  # type: ignore[attr-defined, unused-ignore]
            for name in ("ProcessorNameString", "VendorIdentifier", "Identifier"):
                told[name] = str(winreg.QueryValueEx(opened, name)[0])  # type: ignore[attr-defined, unused-ignore]
    except OSError:
        return _unknown()
    return from_registry(told, _numpys())


def from_registry(told: Mapping[str, str], features: Iterable[str]) -> Processor:
    """The same, by the values of Windows's registry; `features` are those that NumPy found, for Windows names few.

    >>> told = {"ProcessorNameString": "AMD Ryzen 9 ", "VendorIdentifier": "AuthenticAMD"}
    >>> from_registry(told | {"Identifier": "AMD64 Family 25 Model 97 Stepping 2"}, ["AVX2"])
    ('AMD Ryzen 9', 'AMD', 'Zen 4', ('avx2',))
    """
    vendor, name = vendor_of(told.get("VendorIdentifier", "")), told.get("ProcessorNameString", "").strip()
    found = re.search(r"Family (\d+) Model (\d+) Stepping (\d+)", told.get("Identifier", ""))
    if found is None or not told.get("Identifier", "").startswith(("AMD64", "Intel64", "x86")):
        return name, vendor, name or "processor", instruction_sets(features)
    return name, vendor, x86_design(vendor, *map(int, found.groups())), instruction_sets(features)


def _numpys() -> list[str]:
    """The instruction sets that NumPy found, of which it makes no promise."""
    import numpy as np

    features = getattr(getattr(np, "_core", None), "_multiarray_umath", None)
    return [name for name, is_there in getattr(features, "__cpu_features__", {}).items() if is_there]


def _sysctl(*names: str) -> dict[str, str]:
    import subprocess

    try:
        told = subprocess.run(["/usr/sbin/sysctl", *names], check=False, capture_output=True, timeout=_SECONDS).stdout
    except (OSError, subprocess.TimeoutExpired):
        return {}
    return _fields(told.decode(errors="replace"))


# ---------------------------------------------------------------------- how much of it may be used


def _quotas(root: Path) -> Iterator[float]:
    """Cores' worth of time that each control group around this process may take."""
    for folder in _groups(root, "cpu"):
        allowed, period = [*_text(folder / "cpu.max").split(), "", ""][:2]
        if not allowed:
            allowed, period = (_text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period"))
        if allowed.isdecimal() and _number(period) > 0:
            yield int(allowed) / _number(period)


def _memory_limits(root: Path) -> Iterator[int]:
    for folder in _groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limit = _text(folder / name).strip()
            if limit.isdecimal() and int(limit) < _NO_LIMIT:
                yield int(limit)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups of this process that limit `controller`, with those around them."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers and controller not in controllers.split(","):
            continue
        mounts = (controllers, controller) if controllers else ("", "unified")
        for mount in dict.fromkeys(mounts):
            top = root / "sys/fs/cgroup" / mount
            inner = top / path.lstrip("/")  # in a container it may lie elsewhere, and the top is the container's own
            yield from (folder for folder in (inner, *inner.parents) if folder == top or top in folder.parents)


def _memory() -> int:
    readers: dict[str, Callable[[], int]] = {"linux": _linux_memory, "darwin": _macos_memory, "win32": _windows_memory}
    return readers.get(sys.platform, lambda: 0)()


def _linux_memory() -> int:
    return _number(_fields(_text(Path("/proc/meminfo"))).get("MemTotal", "").removesuffix("kB")) * 1024


def _macos_memory() -> int:
    return _number(_sysctl("hw.memsize").get("hw.memsize", ""))


def _windows_memory() -> int:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *(
                (name, ctypes.c_ulonglong)
                for name in ("total", "free", "pages", "free_pages", "own", "free_own", "more")
            ),
        )

    status = Status(length=ctypes.sizeof(Status))
    library = ctypes.windll.kernel32  # type: ignore[attr-defined, unused-ignore]
    return int(status.total) if library.GlobalMemoryStatusEx(ctypes.byref(status)) else 0


# ---------------------------------------------------------------------- reading


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""


def _fields(text: str) -> dict[str, str]:
    """`name: value` on each line; the first of several of a name."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found


def _number(text: str) -> int:
    try:
        return int(text.strip(), 0)
    except ValueError:
        return 0
