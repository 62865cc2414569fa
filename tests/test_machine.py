"""What is told of the machine: this one's beside what the system says, others' by what they are known to say."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from layoutbridge import machine
from layoutbridge.processor_names import arm_design, x86_design

CPUINFO = Path("/proc/cpuinfo")
GRACE = """\
processor\t: 0
BogoMIPS\t: 2000.00
Features\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp asimddp sve sve2 i8mm bf16
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd4f
CPU revision\t: 0

processor\t: 1
CPU implementer\t: 0x41
CPU part\t: 0xd4f

"""
PHONE = """\
processor\t: 0
Features\t: fp asimd asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd05

processor\t: 4
CPU implementer\t: 0x41
CPU part\t: 0xd0b

Hardware\t: something
"""
XEON = """\
processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 85
model name\t: Intel(R) Xeon(R) Platinum 8275CL CPU @ 3.00GHz
stepping\t: 7
flags\t\t: fpu sse2 avx2 fma avx512f avx512bw avx512_vnni
"""


def test_this_machine_is_told_as_the_system_tells_it():
    told = machine.this_machine()
    assert told.processor
    assert told.kind
    assert told.slug == told.slug.lower()
    assert 1 <= told.cores <= (os.cpu_count() or 1)
    assert told.to_dict()["design"] == told.design
    if sys.platform == "linux":
        assert 0 < told.memory <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert told.cores <= len(os.sched_getaffinity(0))


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="not an x86 processor")
def test_instructions_are_those_that_numpy_found():
    numpys = np._core._multiarray_umath.__cpu_features__
    told = machine.this_machine().instructions
    for name, numpy_name in (("avx2", "AVX2"), ("fma", "FMA3"), ("avx512f", "AVX512F"), ("avx512_vnni", "AVX512VNNI")):
        assert (name in told) == numpys[numpy_name], name


def test_cores_follow_the_affinity_of_the_process():
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("this system keeps no process to cores")
    one = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, {{{one}}}); from layoutbridge.machine import usable_cores as c; print(c())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            GRACE,
            ("ARM Neoverse V2", "ARM", "Neoverse V2", ("neon", "dotprod", "fp16", "bf16", "i8mm", "sve", "sve2")),
        ),
        (PHONE, ("ARM Cortex-A55 and Cortex-A76", "ARM", "Cortex-A55 and Cortex-A76", ("neon", "dotprod"))),
        (
            XEON,
            (
                "Intel(R) Xeon(R) Platinum 8275CL CPU @ 3.00GHz",
                "Intel",
                "Cascade Lake",
                ("avx2", "fma", "avx512f", "avx512bw", "avx512_vnni"),
            ),
        ),
        ("vendor_id: AuthenticAMD\nmodel: what", ("", "AMD", "family 0 model 0", ())),
        ("vendor_id\t: IBM/S390\n", ("", "IBM/S390", "family 0 model 0", ())),
        ("processor\t: 0\ncpu\t\t: POWER9\n", None),
        ("", None),
        (":::\n\n:\n", None),
    ],
)
def test_cpuinfo(text, wanted):
    assert machine.from_cpuinfo(text) == wanted


def test_macos_with_intels_processor():
    told = {
        "machdep.cpu.brand_string": "Intel(R) Core(TM) i7-1068NG7 CPU @ 2.30GHz",
        "machdep.cpu.vendor": "GenuineIntel",
        "machdep.cpu.family": "6",
        "machdep.cpu.model": "126",
        "machdep.cpu.stepping": "5",
        "hw.optional.avx2_0": "1",
        "hw.optional.fma": "1",
        "hw.optional.avx512f": "1",
        "hw.optional.avx512vnni": "0",
    }
    name, vendor, design, instructions = machine.from_sysctl(told)
    assert (vendor, design, instructions) == ("Intel", "Ice Lake", ("avx2", "fma", "avx512f"))
    assert name == told["machdep.cpu.brand_string"]
    assert machine.from_sysctl({}) is None


def test_windows_on_arm():
    told = {"ProcessorNameString": "Snapdragon(R) X Elite", "VendorIdentifier": "Qualcomm Technologies Inc"}
    told["Identifier"] = "ARMv8 (64-bit) Family 8 Model 1 Revision 201"
    found = machine.from_registry(told, ["ASIMD", "ASIMDDP"])
    assert found == ("Snapdragon(R) X Elite", "Qualcomm Technologies Inc", "Snapdragon(R) X Elite", ("neon", "dotprod"))


@pytest.mark.parametrize(
    ("numbers", "design"),
    [
        (("AMD", 0x17, 0x31), "Zen 2"),
        (("AMD", 0x19, 0x01), "Zen 3"),
        (("AMD", 0x19, 0x11), "Zen 4"),
        (("AMD", 0x19, 0x61), "Zen 4"),
        (("AMD", 0x1A, 0x02), "Zen 5"),
        (("Intel", 6, 0x55, 4), "Skylake-SP"),
        (("Intel", 6, 0x55, 11), "Cooper Lake"),
        (("Intel", 6, 0x6A), "Ice Lake"),
        (("Intel", 6, 0x8F), "Sapphire Rapids"),
        (("Intel", 6, 0xCF), "Emerald Rapids"),
        (("Intel", 15, 6), "family 15 model 6"),
        (("Hygon", 24, 1), "family 24 model 1"),
    ],
)
def test_designs_by_their_numbers(numbers, design):
    assert x86_design(*numbers) == design


def test_arm_designs_by_their_numbers():
    assert arm_design(0x41, 0xD0C) == "Neoverse N1"
    assert arm_design(0x61, 0x022) == "part 0x22"


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "100000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/away/in/the/host\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
        ({"proc/self/cgroup": "3:cpu,cpuacct:/x\n", "sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "100000"}, None),
        (
            {
                "proc/self/cgroup": "3:cpu:/x\n0::/\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            },
            1,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"proc/self/cgroup": "nonsense\n0::/../../..\n", "sys/fs/cgroup/cpu.max": "1 0\n"}, None),
    ],
)
def test_limits_of_control_groups(files, cores, tmp_path):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert machine.usable_cores(tmp_path) == (allowed if cores is None else cores)


@pytest.mark.parametrize(
    ("name", "group", "limit", "wanted"),
    [
        ("memory.max", "0::/", "1048576\n", 1 << 20),
        ("memory.max", "0::/", "max\n", None),
        ("memory/memory.limit_in_bytes", "4:memory:/", "1048576\n", 1 << 20),
        ("memory/memory.limit_in_bytes", "4:memory:/", f"{(1 << 63) - 4096}\n", None),
    ],
)
def test_memory_of_control_groups(name, group, limit, wanted, tmp_path):
    file = tmp_path / "sys/fs/cgroup" / name
    file.parent.mkdir(parents=True)
    file.write_text(limit)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(f"{group}\n")
    free = tmp_path / "free"
    assert machine.usable_memory(tmp_path) == (wanted or machine.usable_memory(free))
