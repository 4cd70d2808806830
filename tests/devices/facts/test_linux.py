from __future__ import annotations

import pytest

from devices import facts

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 7B13
flags\t\t: fpu vme

processor\t: 1
model name\t: AMD EPYC 7B13
"""
RASPBERRY_PI = """processor\t: 0
BogoMIPS\t: 108.00
CPU implementer\t: 0x41
CPU part\t: 0xd08

processor\t: 1
processor\t: 2
processor\t: 3
Hardware\t: BCM2835
Model\t\t: Raspberry Pi 4 Model B Rev 1.4
"""
ARM = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0b\n"


@pytest.mark.parametrize(
    ("text", "model", "cores"),
    [
        (X86, "AMD EPYC 7B13", 2),
        (RASPBERRY_PI, "Raspberry Pi 4 Model B Rev 1.4", 4),
        (ARM, "aarch64 part 0xd0b of implementer 0x41", 1),
        ("", "aarch64", None),
        ("nonsense\n:::\n", "aarch64", None),
    ],
)
def test_processor(text: str, model: str, cores: int | None) -> None:
    assert facts.cpu_model(text, "aarch64") == model
    assert facts.cores(text) == cores


def test_memory() -> None:
    assert facts.memory_bytes("MemTotal:        3884116 kB\nMemFree: 1 kB\n") == 3884116 * 1024
    assert facts.memory_bytes("MemTotal: many\n") is None
    assert facts.memory_bytes("") is None


@pytest.mark.parametrize(
    ("text", "kernel", "expected"),
    [
        (
            'NAME="Debian GNU/Linux"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
            "Linux 6.1\n",
            "Debian GNU/Linux 12 (bookworm), Linux 6.1",
        ),
        ("NAME=Buildroot\nVERSION_ID=2023.02\n", "", "Buildroot 2023.02"),
        ("", "Linux 6.1", "Linux 6.1"),
        ("", "", "unknown"),
    ],
)
def test_operating_system(text: str, kernel: str, expected: str) -> None:
    assert facts.operating_system(text, kernel) == expected
