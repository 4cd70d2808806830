"""`benchmark_model` gets onto a phone whole and for its processor, or not at all."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from devices.adb import direct_tcp
from devices.emulator import BENCHMARK_MODEL, EmulatedPhone
from devices.errors import BadSettings, DeviceTrouble, LinkError, RuntimeMissing, WrongAbi
from devices.runners.benchmark_model.program import version
from devices.setup import phone as module
from devices.setup.phone import check_abi, set_up_phone
from devices.transport import Transport
from tests.devices.phones import emulated_phone, make_key
from tests.devices.setup.test_download import Server
from tests.devices.shells import Through

WORK = "/data/local/tmp/mnas"
CONTENT = BENCHMARK_MODEL.read_bytes()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def elf(machine: int, bits: int = 64, kind: int = 3) -> bytes:
    """The header of a program."""
    return (
        b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9) + struct.pack("<HHI", kind, machine, 1) + bytes(200)
    )


@pytest.fixture(scope="module")
def phone() -> Iterator[EmulatedPhone]:
    with emulated_phone() as phone:
        yield phone


@pytest.fixture
def transport(phone: EmulatedPhone, tmp_path: Path) -> Iterator[Transport]:
    make_key(tmp_path / "adbkey")
    transport = direct_tcp(phone.host, phone.port, keys=[tmp_path / "adbkey"])
    yield transport
    transport.close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(module, "fetch", partial(module.fetch, pause_s=0.0))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server()
    server.content = CONTENT
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this host remembers."""
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state/binaries"


def binaries(server: Server) -> str:
    return server.url.rsplit("/", 3)[0]


def test_from_a_file(phone: EmulatedPhone, transport: Transport) -> None:
    told: list[str] = []
    found = set_up_phone(transport, WORK, program=BENCHMARK_MODEL, on_progress=told.append)
    assert (found.sha256, found.version) == (SHA256, "unknown")
    assert found.path == f"{WORK}/bin/{SHA256}/benchmark_model"
    assert found.abis[0] == "arm64-v8a"
    assert {"graph", "use_gpu", "num_threads"} <= found.offers.flags
    assert phone.read(found.path) == CONTENT
    assert version(transport, found.path) == "unknown"
    assert len(told) == 2


def test_from_the_network_and_then_from_memory(
    phone: EmulatedPhone, transport: Transport, server: Server, memory: Path
) -> None:
    told: list[str] = []
    found = set_up_phone(transport, WORK, binaries=binaries(server), on_progress=told.append)
    assert (found.sha256, found.version) == (SHA256, module.PINNED_VERSION)
    assert version(transport, found.path) == module.PINNED_VERSION
    assert json.loads((memory / "downloads.json").read_text(encoding="utf-8")) == {server.url: SHA256}
    assert any(server.url in line for line in told)
    set_up_phone(transport, WORK, binaries=binaries(server))
    assert len(server.requests) == 1
    (memory / SHA256).write_bytes(b"#!damaged")
    set_up_phone(transport, WORK, binaries=binaries(server))
    assert len(server.requests) == 2
    assert phone.read(found.path) == CONTENT


def test_what_was_downloaded_once_must_stay_the_same(
    transport: Transport, server: Server, memory: Path
) -> None:
    set_up_phone(transport, WORK, binaries=binaries(server))
    (memory / SHA256).unlink()
    server.content = CONTENT + b"# and something else\n"
    with pytest.raises(RuntimeMissing, match=rf"must have {SHA256}: it was not used; .*downloads\.json"):
        set_up_phone(transport, WORK, binaries=binaries(server))
    assert not (memory / SHA256).exists()


def test_a_download_that_breaks_off_for_good(transport: Transport, server: Server, memory: Path) -> None:
    server.cuts = [10] * 20
    with pytest.raises(RuntimeMissing, match=r"broke off after .*--benchmark-model FILE"):
        set_up_phone(transport, WORK, binaries=binaries(server))
    assert not list(memory.iterdir())


def test_no_network(transport: Transport, server: Server) -> None:
    server.shutdown()
    server.server_close()
    with pytest.raises(RuntimeMissing, match=r"refused.*--benchmark-model FILE"):
        set_up_phone(transport, WORK, binaries=binaries(server))


def test_a_memory_that_cannot_be_read(transport: Transport, server: Server, memory: Path) -> None:
    memory.mkdir(parents=True)
    for text in ("{", "[]", '{"a": "b"}'):
        (memory / "downloads.json").write_text(text, encoding="utf-8")
        with pytest.raises(BadSettings, match=r"downloads\.json"):
            set_up_phone(transport, WORK, binaries=binaries(server))


@pytest.mark.parametrize("asked", ["", "../../etc", "2.2.0/x", "a b", "-x"])
def test_versions_that_are_none(transport: Transport, server: Server, asked: str) -> None:
    with pytest.raises(BadSettings, match="no version of LiteRT"):
        set_up_phone(transport, WORK, binaries=binaries(server), version=asked)
    assert server.requests == []


def test_phones_for_which_there_is_none(server: Server, key: Path) -> None:
    with emulated_phone(properties={"ro.product.cpu.abilist": "armeabi-v7a,armeabi"}) as phone:
        transport = direct_tcp(phone.host, phone.port, keys=[key])
        with pytest.raises(
            RuntimeMissing, match=r"for arm64-v8a only, and this device runs armeabi-v7a, arm"
        ):
            set_up_phone(transport, WORK, binaries=binaries(server))
        transport.close()
    assert server.requests == []


@pytest.fixture
def key(tmp_path: Path) -> Path:
    make_key(tmp_path / "key")
    return tmp_path / "key"


def test_boards_get_the_build_for_linux(tmp_path: Path, server: Server) -> None:
    """This machine is one. Its program is a script that answers."""
    server.content = b"#!/bin/sh\necho 'usage: --graph=FILE'\nexit 1\n"
    transport = Through([])
    found = set_up_phone(transport, f"{tmp_path}/work", binaries=binaries(server))
    assert found.abis in (("x86_64",), ("arm64-v8a",))
    assert found.offers.flags == {"graph"}
    (url,) = json.loads((tmp_path / "state/binaries/downloads.json").read_text(encoding="utf-8"))
    assert "/linux_" in url
    transport.close()


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"#!/bin/sh\necho hello\n", DeviceTrouble, "is no benchmark_model"),
        (
            b"#!/bin/sh\necho 'CANNOT LINK EXECUTABLE: library \"libc++.so\" not found' >&2; exit 1\n",
            LinkError,
            "libc",
        ),
        (b"#!/no/such/shell\n", DeviceTrouble, "not found|No such file"),
    ],
)
def test_programs_that_do_not_answer(
    tmp_path: Path, content: bytes, error: type[Exception], message: str
) -> None:
    (tmp_path / "program").write_bytes(content)
    transport = Through([])
    with pytest.raises(error, match=message):
        set_up_phone(transport, f"{tmp_path}/work", program=tmp_path / "program")
    transport.close()


def test_a_program_for_another_processor_is_not_sent(
    phone: EmulatedPhone, transport: Transport, tmp_path: Path
) -> None:
    (tmp_path / "program").write_bytes(elf(62))
    before = len(phone.log)
    with pytest.raises(WrongAbi, match=r"program is built for x86_64; the device runs arm64-v8a"):
        set_up_phone(transport, WORK, program=tmp_path / "program")
    assert not any(name.startswith("sync") for name in phone.log[before:])


def test_a_file_that_is_not_there(transport: Transport, tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match=r"cannot read .*none: No such file"):
        set_up_phone(transport, WORK, program=tmp_path / "none")


@pytest.mark.parametrize(
    ("content", "abi"),
    [
        (elf(183), "arm64-v8a"),
        (elf(183, kind=2), "arm64-v8a"),
        (elf(40, bits=32), "armeabi-v7a"),
        (elf(62), "x86_64"),
        (elf(3, bits=32), "x86"),
        (elf(243), "riscv64"),
        (b"#!/bin/sh\n", None),
    ],
)
def test_a_programs_abi_is_read_from_its_header(content: bytes, abi: str | None) -> None:
    assert check_abi(content, ["arm64-v8a", "armeabi-v7a", "x86_64", "x86", "riscv64"], "file") == abi
    if abi:
        with pytest.raises(WrongAbi, match=rf"file is built for {abi}; the device runs mips"):
            check_abi(content, ["mips"], "file")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x7fELF", elf(183)[:40], elf(183, kind=1), elf(183, kind=4), b"MZ", b"<html>", b"PK\x03\x04"],
)
def test_what_is_no_program(content: bytes) -> None:
    with pytest.raises(BadSettings, match="file is no program"):
        check_abi(content, ["arm64-v8a"], "file")


def test_an_unknown_processor() -> None:
    with pytest.raises(WrongAbi, match="processor 8;"):
        check_abi(elf(8), ["arm64-v8a"], "file")
