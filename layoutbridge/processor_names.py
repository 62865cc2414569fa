"""What processors are called by their numbers: the design of the cores in words, so that equal ones are told as equal.

The numbers are those that processors give of themselves (CPUID on x86, MIDR on ARM), as the makers publish them and
the Linux kernel lists them (arch/x86/include/asm/intel-family.h, arch/x86/kernel/cpu/amd.c,
arch/arm64/include/asm/cputype.h).
"""

from __future__ import annotations

_VENDORS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon", "CentaurHauls": "Zhaoxin"}
_ZEN = (  # family, first and last model
    (0x17, 0x00, 0x2F, "Zen"),
    (0x17, 0x50, 0x5F, "Zen"),
    (0x17, 0x30, 0x4F, "Zen 2"),
    (0x17, 0x60, 0x7F, "Zen 2"),
    (0x17, 0x90, 0xAF, "Zen 2"),
    (0x19, 0x00, 0x0F, "Zen 3"),
    (0x19, 0x20, 0x5F, "Zen 3"),
    (0x19, 0x10, 0x1F, "Zen 4"),
    (0x19, 0x60, 0xAF, "Zen 4"),
    (0x1A, 0x00, 0x2F, "Zen 5"),
    (0x1A, 0x40, 0x4F, "Zen 5"),
    (0x1A, 0x60, 0x7F, "Zen 5"),
    (0x1A, 0x50, 0x5F, "Zen 6"),
    (0x1A, 0x80, 0xAF, "Zen 6"),
    (0x1A, 0xC0, 0xCF, "Zen 6"),
)
_INTEL = {  # models of family 6
    "Sandy Bridge": (0x2A, 0x2D),
    "Ivy Bridge": (0x3A, 0x3E),
    "Haswell": (0x3C, 0x3F, 0x45, 0x46),
    "Broadwell": (0x3D, 0x47, 0x4F, 0x56),
    "Skylake": (0x4E, 0x5E),
    "Kaby Lake": (0x8E, 0x9E),
    "Comet Lake": (0xA5, 0xA6),
    "Cannon Lake": (0x66,),
    "Ice Lake": (0x7D, 0x7E, 0x6A, 0x6C),
    "Rocket Lake": (0xA7,),
    "Tiger Lake": (0x8C, 0x8D),
    "Alder Lake": (0x97, 0x9A, 0xBE),
    "Raptor Lake": (0xB7, 0xBA, 0xBF),
    "Meteor Lake": (0xAA, 0xAC),
    "Arrow Lake": (0xB5, 0xC5, 0xC6),
    "Lunar Lake": (0xBD,),
    "Panther Lake": (0xCC,),
    "Sapphire Rapids": (0x8F,),
    "Emerald Rapids": (0xCF,),
    "Granite Rapids": (0xAD, 0xAE),
    "Sierra Forest": (0xAF,),
    "Goldmont": (0x5C, 0x5F, 0x7A),
    "Tremont": (0x86, 0x96, 0x9C),
}
_SKYLAKE_SERVER = 0x55  # one model for three, told apart by the stepping
_CASCADE_LAKE, _COOPER_LAKE = 5, 10
_ARM_MAKERS = {0x41: "ARM", 0x43: "Cavium", 0x48: "HiSilicon", 0x51: "Qualcomm", 0x61: "Apple", 0xC0: "Ampere"}
_ARM_PARTS = {
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse N1",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD40): "Neoverse V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD48): "Cortex-X2",
    (0x41, 0xD49): "Neoverse N2",
    (0x41, 0xD4F): "Neoverse V2",
    (0x41, 0xD84): "Neoverse V3",
    (0x41, 0xD8E): "Neoverse N3",
    (0x43, 0x0AF): "ThunderX2",
    (0x48, 0xD01): "TaiShan v110",
    (0x51, 0x001): "Oryon",
    (0xC0, 0xAC3): "Ampere-1",
    (0xC0, 0xAC4): "Ampere-1a",
}


def vendor_of(told: str) -> str:
    """Who made an x86 processor, by what it answers; the answer itself where that is nobody known.

    >>> vendor_of("AuthenticAMD"), vendor_of("Bochs")
    ('AMD', 'Bochs')
    """
    return _VENDORS.get(told, told)


def x86_design(vendor: str, family: int, model: int, stepping: int = 0) -> str:
    """The design of an x86 processor's cores; its numbers where they are not known.

    >>> x86_design("AMD", 25, 17), x86_design("Intel", 6, 143), x86_design("AMD", 25, 255)
    ('Zen 4', 'Sapphire Rapids', 'family 25 model 255')
    """
    name = None
    if vendor == "AMD":
        name = next((name for of, low, high, name in _ZEN if of == family and low <= model <= high), None)
    elif vendor == "Intel" and family == 6 and model == _SKYLAKE_SERVER:
        name = (
            "Cooper Lake" if stepping >= _COOPER_LAKE else "Cascade Lake" if stepping >= _CASCADE_LAKE else "Skylake-SP"
        )
    elif vendor == "Intel" and family == 6:
        name = next((name for name, models in _INTEL.items() if model in models), None)
    return name or f"family {family} model {model}"


def arm_maker(implementer: int) -> str:
    """Who made an ARM processor, by the implementer's number.

    >>> arm_maker(0x41), arm_maker(0x99)
    ('ARM', 'implementer 0x99')
    """
    return _ARM_MAKERS.get(implementer, f"implementer {implementer:#x}")


def arm_design(implementer: int, part: int) -> str:
    """The design of an ARM core; the part's number where it is not known.

    >>> arm_design(0x41, 0xD40), arm_design(0x41, 0x123)
    ('Neoverse V1', 'part 0x123')
    """
    return _ARM_PARTS.get((implementer, part), f"part {part:#x}")
