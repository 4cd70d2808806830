"""Puts `benchmark_model` on a device: from a file, or from Google's LiteRT binaries. Measures nothing.

What was downloaded once is known by its SHA-256 from then on: the address must give the same file for ever.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from devices.errors import BadSettings, RuntimeMissing, WrongAbi
from devices.runners.benchmark_model.command import Offers
from devices.runners.benchmark_model.program import NAME, UNKNOWN, VERSION, ask, version_file
from devices.setup.download import fetch
from devices.staging import Staging
from devices.state import state_directory
from devices.text import one_line
from devices.transport import Transport

#: the release of LiteRT whose program is used; others can be asked for
PINNED_VERSION = "2.2.0"
BINARIES = "https://storage.googleapis.com/litert/binaries"
#: ABI -> what Google calls its builds for phones, and for other machines with Linux
PHONE_BUILDS = {"arm64-v8a": "android_arm64"}
LINUX_BUILDS = {"arm64-v8a": "linux_arm64", "x86_64": "linux_x86_64"}
#: e_machine of an ELF header and 32 or 64 bits -> ABI
ELF_ABIS = {
    (183, 2): "arm64-v8a",
    (40, 1): "armeabi-v7a",
    (62, 2): "x86_64",
    (3, 1): "x86",
    (243, 2): "riscv64",
}
#: `uname -m` -> ABI
MACHINES = {
    "aarch64": "arm64-v8a",
    "armv7l": "armeabi-v7a",
    "armv8l": "armeabi-v7a",
    "x86_64": "x86_64",
    "i686": "x86",
    "riscv64": "riscv64",
}
ASK_S = 30.0
LARGEST_BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class PhoneRuntime:
    """A `benchmark_model` that is on a device and answers there.

    Attributes:
        sha256: of the program: its name in the work folder.
        path: where it lies on the device.
        version: of the LiteRT release it is from; `unknown` for a file from somewhere else.
        abis: what the device runs, its favourite first.
        offers: what its `--help` lists.
    """

    sha256: str
    path: str
    version: str
    abis: tuple[str, ...]
    offers: Offers


def set_up_phone(
    transport: Transport,
    work: str,
    *,
    program: Path | None = None,
    version: str = PINNED_VERSION,
    on_progress: Callable[[str], None] | None = None,
    binaries: str = BINARIES,
) -> PhoneRuntime:
    """Put `benchmark_model` on a phone, or on a board, and see that it answers.

    Args:
        transport: the way to the device.
        work: the work folder there.
        program: the program's file on this host; None downloads it.
        version: of the LiteRT release to download.
        on_progress: told what is being done, in words.
        binaries: the address that holds the releases.

    Raises:
        BadSettings: the file cannot be read or is no program, or there can be no such version.
        RuntimeMissing: there is no program for the device, or it cannot be downloaded.
        WrongAbi: the program is for another processor.
        DeviceTrouble: it does not run on the device, or cannot be put there.
    """
    tell = on_progress or (lambda _: None)
    abis, builds = _abis(transport)
    if program is None:
        content = _download(_build(abis, builds), version, binaries, tell)
    else:
        content, version = _read(program), UNKNOWN
    check_abi(content, abis, str(program or "the downloaded program"))
    tell(f"putting {NAME} ({len(content) / 1e6:.1f} MB) on the device")
    path = Staging(transport, work).keep("bin", NAME, content, executable=True)
    transport.push(f"{version}\n".encode(), version_file(path))
    tell(f"asking {NAME} what it offers")
    offers = ask(transport, path)
    return PhoneRuntime(hashlib.sha256(content).hexdigest(), path, version, abis, offers)


def check_abi(content: bytes, abis: Sequence[str], name: str) -> str | None:
    """The ABI of a program, None for a script.

    Args:
        content: of the program's file.
        abis: those that the device runs.
        name: of the file, for messages.

    Raises:
        BadSettings: it is no program.
        WrongAbi: it is one for another processor.
    """
    if content.startswith(b"#!"):
        return None
    if not content.startswith(b"\x7fELF") or len(content) < 64 or content[16] not in (2, 3):
        raise BadSettings(f"{name} is no program for Android or Linux: give the file {NAME} itself")
    machine = int.from_bytes(content[18:20], "little" if content[5] == 1 else "big")
    abi = ELF_ABIS.get((machine, content[4]), f"processor {machine}")
    if abi not in abis:
        raise WrongAbi(f"{name} is built for {abi}; the device runs {', '.join(abis)}")
    return abi


def _abis(transport: Transport) -> tuple[tuple[str, ...], dict[str, str]]:
    """(ABIs that a device runs, Google's builds for its kind of system)."""
    for name in ("ro.product.cpu.abilist", "ro.product.cpu.abi"):
        said = transport.run(["getprop", name], timeout_s=ASK_S)
        found = tuple(
            one for one in said.stdout.decode(errors="replace").strip().split(",") if VERSION.fullmatch(one)
        )
        if said.ok and found:
            return found, PHONE_BUILDS
    machine = one_line(transport.run(["uname", "-m"], timeout_s=ASK_S).stdout.decode(errors="replace"))[:40]
    return (MACHINES.get(machine, machine or "unknown"),), LINUX_BUILDS


def _build(abis: Sequence[str], builds: dict[str, str]) -> str:
    for abi in abis:
        if abi in builds:
            return builds[abi]
    raise RuntimeMissing(
        f"Google offers {NAME} for {', '.join(builds)} only, and this device runs {', '.join(abis)}: "
        "build it from LiteRT's sources for the device and give the file with --benchmark-model FILE"
    )


def _read(program: Path) -> bytes:
    try:
        if program.stat().st_size > LARGEST_BYTES:
            raise BadSettings(f"{program} is larger than {LARGEST_BYTES / 1e6:.0f} MB: that is no {NAME}")
        return program.read_bytes()
    except OSError as error:
        raise BadSettings(f"cannot read {program}: {error.strerror}") from error


def _download(build: str, version: str, binaries: str, tell: Callable[[str], None]) -> bytes:
    """The program of a release, from this host's memory or from the address."""
    if not VERSION.fullmatch(version):
        raise BadSettings(f"{version!r} is no version of LiteRT; one is {PINNED_VERSION}")
    url = f"{binaries}/{version}/{build}/{NAME}"
    folder = state_directory("binaries")
    ledger = folder / "downloads.json"
    known = _known(ledger)
    sha256 = known.get(url)
    if sha256 is not None:
        with suppress(OSError):
            content = (folder / sha256).read_bytes()
            if hashlib.sha256(content).hexdigest() == sha256:
                return content
    tell(f"downloading {url}")
    fresh = folder / f"{version}-{build}"
    try:
        found = fetch(url, fresh, sha256)
    except RuntimeMissing as error:
        hint = (
            f"if that is a new file that you trust, remove its line from {ledger}"
            if sha256 is not None and "SHA-256" in str(error)
            else "download it where there is a network and give the file with --benchmark-model FILE"
        )
        raise RuntimeMissing(f"{error}; {hint}") from error
    fresh.replace(folder / found)
    if sha256 is None:
        text = json.dumps({**known, url: found}, indent=1)
        (folder / "downloads.new").write_text(text, encoding="utf-8")
        (folder / "downloads.new").replace(ledger)
    tell(f"sha256 {found}")
    return (folder / found).read_bytes()


def _known(ledger: Path) -> dict[str, str]:
    """What every address gave when it was used first."""
    try:
        known = json.loads(ledger.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise BadSettings(f"{ledger} cannot be read ({error}): repair or remove it") from error
    if not isinstance(known, dict) or not all(
        isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) for value in known.values()
    ):
        raise BadSettings(f"{ledger} is no list of addresses and SHA-256: repair or remove it")
    return known
