from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from devices.adb import by_cable, by_network, plugged_in, server, through_server
from devices.adb.direct import has_usb
from devices.adb.server import Plugged, refusal, server_port
from devices.emulator import EmulatedPhone
from devices.errors import (
    BadSettings,
    DeadlineExceeded,
    DeviceNotFound,
    DeviceOffline,
    DevicesError,
    DeviceTrouble,
    KeyRefused,
    LinkLost,
    TransientError,
    Unauthorized,
)
from devices.inventory.address import Address
from devices.reach import transport_to
from tests.devices.adb.shared import plug_in
from tests.devices.phones import AdbServer


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    return port


def error_at(serial: str, port: int, kind: type[DevicesError], words: str) -> None:
    transport = through_server(serial, port)
    with pytest.raises(kind, match=words) as caught:
        transport.run(["true"], timeout_s=10)
    assert type(caught.value) is kind
    transport.close()


class TestWithGooglesServer:
    def test_a_serial_that_is_not_plugged_in(self, shared_server: AdbServer) -> None:
        error_at(
            "R58M12345", shared_server.port, DeviceNotFound, r"adb://R58M12345 is not plugged in.*adb devices"
        )

    def test_a_phone_that_waits_for_its_key(
        self, adb_server: AdbServer, start_phone: Callable[..., EmulatedPhone], key: Path
    ) -> None:
        phone = start_phone([key.with_name("adbkey.pub")])
        serial = f"{phone.host}:{phone.port}"
        adb_server.adb("connect", serial)
        error_at(serial, adb_server.port, Unauthorized, "accept the adb server's key on its screen")
        assert plugged_in(adb_server.port) == (Plugged(serial, "unauthorized", None),)

    def test_what_is_plugged_in(self, shared_server: AdbServer, shared_phone: EmulatedPhone) -> None:
        (found,) = plugged_in(shared_server.port)
        assert (found.serial, found.state) == (f"{shared_phone.host}:{shared_phone.port}", "device")
        assert found.model

    def test_a_phone_that_was_unplugged(self, adb_server: AdbServer, phone: EmulatedPhone) -> None:
        plug_in(adb_server, phone)
        serial = f"{phone.host}:{phone.port}"
        transport = through_server(serial, adb_server.port)
        channel = transport.spawn(["sleep", "60"])
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(transport.run, ["sleep", "60"])
            time.sleep(0.2)
            phone.unplug(60)
            for call in (lambda: running.result(20), lambda: channel.read_line(20), lambda: channel.wait(20)):
                with pytest.raises(LinkLost):
                    call()
        with pytest.raises((DeviceOffline, DeviceNotFound), match=serial):
            transport.run(["true"])
        transport.close()

    def test_what_survived_a_pulled_cable_ends_at_the_next_call(
        self, adb_server: AdbServer, phone: EmulatedPhone
    ) -> None:
        """Even if a process was all that was in use: what left its group does not hear the link hang up."""
        plug_in(adb_server, phone)
        transport = through_server(f"{phone.host}:{phone.port}", adb_server.port)
        channel = transport.spawn(["sh", "-c", "setsid sleep 66.7006 & echo begun; wait"])
        assert channel.read_line(10.0) == b"begun"
        phone.unplug(0.1)
        with pytest.raises(LinkLost):
            channel.read_line(20.0)
        plug_in(adb_server, phone)
        assert transport.run(["true"]).ok
        assert not any("66.7006" in words for _, words in phone.processes())
        transport.close()

    def test_a_server_that_ends_takes_its_calls_along(
        self, adb_server: AdbServer, phone: EmulatedPhone
    ) -> None:
        plug_in(adb_server, phone)
        transport = through_server(f"{phone.host}:{phone.port}", adb_server.port)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(transport.run, ["sleep", "60"])
            while not phone.processes():
                time.sleep(0.02)
            adb_server.adb("kill-server")
            with pytest.raises(LinkLost):
                running.result(20)
        error_at(
            transport.name.removeprefix("adb://"), adb_server.port, DeviceNotFound, "no adb server listens"
        )
        with pytest.raises(DeviceNotFound):
            transport.run(["true"])
        transport.close()

    def test_a_command_that_is_too_long(self, shared_server: AdbServer, shared_phone: EmulatedPhone) -> None:
        transport = through_server(f"{shared_phone.host}:{shared_phone.port}", shared_server.port)
        with pytest.raises(BadSettings, match=r"at most 65535 bytes.*standard input"):
            transport.run(["echo", "x" * 70_000])
        assert len(transport.run(["echo", "x" * 50_000]).stdout) == 50_001
        transport.close()

    def test_its_port_may_stand_in_the_environment(
        self, shared_server: AdbServer, shared_phone: EmulatedPhone, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(shared_server.port))
        assert plugged_in()
        transport = through_server(f"{shared_phone.host}:{shared_phone.port}")
        assert transport.run(["true"]).ok
        transport.close()

    def test_a_cable_leads_through_the_server_once_one_runs(
        self, adb_server: AdbServer, phone: EmulatedPhone, key: Path
    ) -> None:
        adb_server.adb("kill-server")
        serial = f"{phone.host}:{phone.port}"
        transport = by_cable(serial, [key], port=adb_server.port)
        with pytest.raises(DeviceTrouble):
            transport.run(["true"])
        adb_server.adb("start-server")
        with pytest.raises(DeviceNotFound, match="adb devices"):
            transport.run(["true"])
        plug_in(adb_server, phone)
        assert transport.run(["true"]).ok
        transport.close()

    @pytest.mark.skipif(has_usb(), reason="USB support is installed")
    def test_a_cable_waits_for_a_server_that_had_the_phone(
        self, adb_server: AdbServer, phone: EmulatedPhone
    ) -> None:
        """It may be starting anew, so that its absence may be retried; at first contact it is not one."""
        serial = f"{phone.host}:{phone.port}"
        plug_in(adb_server, phone)
        transport = by_cable(serial, port=adb_server.port)
        assert transport.run(["true"]).ok
        adb_server.adb("kill-server")
        for _ in range(2):  # the link breaks; then no server is there
            with pytest.raises(TransientError):
                transport.run(["true"])
        first = by_cable(serial, port=adb_server.port)
        with pytest.raises(
            DeviceTrouble, match=r"no adb server runs and USB support is not installed"
        ) as error:
            first.run(["true"])
        assert not isinstance(error.value, TransientError)
        assert "`adb start-server`, or pip install '.[usb]'" in str(error.value)
        for each in (transport, first):
            each.close()

    def test_a_phone_in_the_network_is_reached_through_a_server_that_has_it(
        self, adb_server: AdbServer, start_phone: Callable[..., EmulatedPhone], key: Path
    ) -> None:
        """The phone knows the server's key alone."""
        phone = start_phone([adb_server.home / ".android/adbkey.pub"])
        transport = by_network(phone.host, phone.port, [key], server_port=adb_server.port)
        with pytest.raises(KeyRefused):
            transport.run(["true"])
        plug_in(adb_server, phone)
        assert transport.run(["echo", "through"]).stdout == b"through\n"
        adb_server.adb("kill-server")
        with pytest.raises(DevicesError):
            transport.run(["true"])
        with pytest.raises(KeyRefused):
            transport.run(["true"])
        transport.close()

    def test_a_phone_in_the_network_needs_no_server(
        self, adb_server: AdbServer, start_phone: Callable[..., EmulatedPhone], key: Path
    ) -> None:
        """Nor one that knows it and may not use it, nor something else at its port."""
        phone = start_phone([key.with_name("adbkey.pub")])
        adb_server.adb("connect", f"{phone.host}:{phone.port}")
        with pretended(lambda request: None) as other:
            for port in (adb_server.port, other):
                transport = by_network(phone.host, phone.port, [key], server_port=port)
                assert transport.run(["true"]).ok
                transport.close()

    def test_a_serial_is_reached_through_the_server(
        self,
        adb_server: AdbServer,
        start_phone: Callable[..., EmulatedPhone],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A server that is told of an emulator's port gives it a serial of its own, as a cable has one."""
        phone = start_phone([adb_server.home / ".android/adbkey.pub"])
        with socket.create_connection(("127.0.0.1", adb_server.port)) as told:
            told.sendall(b"%04x" % len(request := f"host:emulator:{phone.port}".encode()) + request)
            told.settimeout(10)
            told.recv(100)
        serial = f"emulator-{phone.port - 1}"
        for _ in range(200):
            if Plugged(serial, "device", "Emulated_Phone") in plugged_in(adb_server.port):
                break
            time.sleep(0.05)
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", str(adb_server.port))
        transport = transport_to(Address.parse(f"adb://{serial}"))
        assert transport.run(["getprop", "ro.product.model"]).stdout == b"Emulated Phone\n"
        data = bytes(range(256)) * 1000
        transport.push(data, "/data/local/tmp/data")
        assert transport.pull("/data/local/tmp/data") == data
        transport.close()


class TestWithoutServer:
    def test_none_is_started(self, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a program was started"))
        monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
        assert plugged_in(free_port) == ()
        error_at(
            "R58M12345", free_port, DeviceNotFound, f"no adb server listens on port {free_port}.*start-server"
        )

    @pytest.mark.parametrize("given", ["", "0", "65536", "-1", "5037x", "٥٠٣٧", " 5037"])
    def test_ports_that_cannot_be(self, given: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", given)
        if given:
            for call in (plugged_in, lambda: through_server("x").run(["true"])):
                with pytest.raises(BadSettings, match=r"ANDROID_ADB_SERVER_PORT is .*not a number from 1"):
                    call()
        else:
            assert server_port() == 5037
        with pytest.raises(BadSettings, match="the port is '0'"):
            server_port(0)

    @pytest.mark.parametrize("serial", ["", "a\nb", "\x1b[2J", "x" * 300])
    def test_serials_that_cannot_be(self, serial: str, free_port: int) -> None:
        with pytest.raises(BadSettings, match="is no serial") as caught:
            through_server(serial, free_port).run(["true"])
        assert str(caught.value).isprintable()


@contextmanager
def pretended(answer: Callable[[bytes], bytes | None]) -> Iterator[int]:
    """A port with a server that gives these answers to requests; None: it hangs up."""

    def serve() -> None:
        while True:
            try:
                connection, _ = sock.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    while head := connection.recv(4, socket.MSG_WAITALL):
                        said = answer(connection.recv(int(head, 16), socket.MSG_WAITALL))
                        if said is None:
                            break
                        connection.sendall(said)
                except (OSError, ValueError):
                    pass

    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield sock.getsockname()[1]
        sock.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def block(text: str) -> bytes:
    return b"%04x" % len(text) + text.encode()


class TestWithAPretendedServer:
    def test_the_list_of_phones(self) -> None:
        """As adb prints it; what a phone says of itself may be hostile."""
        listed = (
            "R58M123456A            device usb:1-4 product:o1sxxx model:SM_G991B device:o1s transport_id:4\n"
            "192.168.7.5:5555       device product:redfin model:Pixel_5 device:redfin transport_id:2\n"
            "emulator-5554          offline transport_id:1\n"
            "HT7A1              unauthorized usb:1-5 transport_id:9\n"
            "0123456789ABCDEF       no permissions (user in plugdev group; are your udev rules wrong?); "
            "see [http://developer.android.com/tools/device.html] usb:1-2 transport_id:3\n"
            "EVIL\x1b[2J                device product:x model:a\x1b]0;b device:x transport_id:7\n"
            "\n"
        )
        with pretended(lambda request: b"OKAY" + block(listed)) as port:
            found = plugged_in(port)
        assert found[:4] == (
            Plugged("R58M123456A", "device", "SM_G991B"),
            Plugged("192.168.7.5:5555", "device", "Pixel_5"),
            Plugged("emulator-5554", "offline", None),
            Plugged("HT7A1", "unauthorized", None),
        )
        assert found[4].serial == "0123456789ABCDEF"
        assert found[4].state.startswith("no permissions (user in plugdev group")
        assert all(
            part.isprintable() for each in found for part in (each.serial, each.state, each.model or "")
        )
        assert found[5].serial == "EVIL"

    @pytest.mark.parametrize(
        "answer",
        [None, b"HTTP", b"OKAYzzzz", b"OKAY0005abc", b"FAIL0003no!", b"FAILzzzz", b"\xff" * 40],
    )
    def test_what_is_no_server(self, answer: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "ANSWER_S", 0.5)
        with pretended(lambda request: answer) as port:
            with pytest.raises(DeviceTrouble):
                through_server("x", port).run(["true"])
            with pytest.raises((DeviceTrouble, DeadlineExceeded)):
                plugged_in(port)

    def test_what_says_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "ANSWER_S", 0.3)
        with pretended(lambda request: b"") as port:
            error_at("x", port, DeviceOffline, f"the adb server at port {port} does not answer")


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("device unauthorized.; This adb server's $ADB_VENDOR_KEYS is not set; Try 'adb kill-server' if that "
         "seems wrong.; Otherwise check for a confirmation dialog on your device.", Unauthorized),
        ("device still authorizing", DeviceOffline),
        ("device still connecting", DeviceOffline),
        ("device offline", DeviceOffline),
        ("device offline (no transport)", DeviceOffline),
        ("device 'R58M12345' not found", DeviceNotFound),
        ("no devices/emulators found", DeviceNotFound),
        ("more than one device/emulator", BadSettings),
        ("more than one device", BadSettings),
        ("insufficient permissions for device: user in plugdev group; are your udev rules wrong?",
         DeviceTrouble),
        ("closed", LinkLost),
        ("something new", DeviceTrouble),
    ],
)  # fmt: skip
def test_what_servers_say(said: str, kind: type[DevicesError]) -> None:
    """The words are those in the adb of 2019 and later."""
    error = refusal(said, "adb://R58M12345")
    assert type(error) is kind
    assert "R58M12345" in str(error)
