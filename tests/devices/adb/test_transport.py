"""Both back ends do what every transport must, on an emulated phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from devices.adb import AdbTransport, direct_tcp, through_server
from devices.emulator import EmulatedPhone
from devices.transport import CommandResult
from tests.devices.adb.shared import plug_in
from tests.devices.emulator.hosts import wait_until
from tests.devices.phones import AdbServer, emulated_phone
from tests.devices.transport_contract import LinkContract

#: longer than the time limits in the libraries below
SILENT_S = 12


@pytest.fixture(scope="module", autouse=True)
def silences(key: Path, shared_server: AdbServer) -> Iterator[dict[str, Future[CommandResult]]]:
    """A long silence over each back end, on another phone, during all other tests."""
    with emulated_phone() as phone, ThreadPoolExecutor(2) as pool:
        plug_in(shared_server, phone)
        serial = f"{phone.host}:{phone.port}"
        transports = {
            "direct": direct_tcp(phone.host, phone.port, [key]),
            "through a server": through_server(serial, shared_server.port),
        }
        command = ["sh", "-c", f"sleep {SILENT_S}; echo woke"]
        yield {name: pool.submit(transport.run, command) for name, transport in transports.items()}
        for transport in transports.values():
            transport.close()


class AdbContract(LinkContract):
    @pytest.fixture
    def directory(self, transport: AdbTransport, tmp_path: Path) -> str:
        path = f"/data/local/tmp/{tmp_path.name}"
        assert transport.run(["mkdir", path]).ok
        return path


class TestDirect(AdbContract):
    @pytest.fixture
    def transport(self, shared_phone: EmulatedPhone, key: Path) -> Iterator[AdbTransport]:
        transport = direct_tcp(shared_phone.host, shared_phone.port, [key])
        yield transport
        transport.close()
        wait_until(lambda: not shared_phone.processes())

    @pytest.fixture
    def break_link(self, shared_phone: EmulatedPhone) -> Callable[[], None]:
        return lambda: shared_phone.unplug(0.2)


class TestThroughServer(AdbContract):
    @pytest.fixture
    def transport(self, shared_phone: EmulatedPhone, shared_server: AdbServer) -> Iterator[AdbTransport]:
        transport = through_server(f"{shared_phone.host}:{shared_phone.port}", shared_server.port)
        yield transport
        transport.close()
        wait_until(lambda: not shared_phone.processes())

    @pytest.fixture
    def break_link(self, shared_phone: EmulatedPhone, shared_server: AdbServer) -> Callable[[], None]:
        def break_link() -> None:
            shared_phone.unplug(0.2)
            plug_in(shared_server, shared_phone)

        return break_link


@pytest.mark.parametrize("back_end", ["direct", "through a server"])
def test_a_command_may_be_silent_for_long(silences: dict[str, Future[CommandResult]], back_end: str) -> None:
    assert silences[back_end].result(60).stdout == b"woke\n"
