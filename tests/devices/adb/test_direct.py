from __future__ import annotations

import contextlib
import importlib.util
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.adb import AdbTransport, direct, direct_tcp, direct_usb, handshake
from devices.adb.direct import UsbLink
from devices.adb.keys import make_if_absent
from devices.adb.messages import AUTH, CLSE, CNXN, OKAY, OPEN, STLS, WRTE, header
from devices.emulator import EmulatedPhone
from devices.errors import (
    DeviceNotFound,
    DeviceOffline,
    DevicesError,
    DeviceTrouble,
    KeyRefused,
    LinkLost,
    TransientError,
    Unauthorized,
)
from tests.devices.adb.wire import BANNER, Peer, listening


@contextlib.contextmanager
def reached(port: int, key: Path, **options: Any) -> Iterator[AdbTransport]:
    transport = direct_tcp("127.0.0.1", port, [key], **options)
    try:
        yield transport
    finally:
        transport.close()


def what_happens(port: int, key: Path, **options: Any) -> DevicesError:
    """The error of the first call."""
    with reached(port, key, **options) as transport, pytest.raises(DevicesError) as caught:
        transport.run(["true"], timeout_s=10)
    assert f"adb://127.0.0.1:{port}" in str(caught.value)
    return caught.value


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """A key that no phone knows."""
    make_if_absent(tmp_path / "stranger")
    return tmp_path / "stranger"


class TestFiveErrors:
    def test_they_are_five(self) -> None:
        kinds = (Unauthorized, DeviceOffline, DeviceNotFound, KeyRefused, LinkLost)
        assert not any(issubclass(one, other) for one in kinds for other in kinds if one is not other)

    def test_nothing_is_there(self, key: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        error = what_happens(port, key)
        assert type(error) is DeviceNotFound
        assert "adb tcpip 5555" in str(error)

    def test_no_such_host(self, key: Path) -> None:
        transport = direct_tcp("no-such-host.invalid", 5555, [key])
        with pytest.raises(DeviceNotFound, match=r"adb://no-such-host\.invalid:5555"):
            transport.run(["true"])
        transport.close()

    def test_something_is_there_and_says_nothing(self, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(handshake, "ANSWER_S", 0.3)
        with listening(lambda peer: time.sleep(1)) as port:
            assert type(what_happens(port, key)) is DeviceOffline

    def test_nobody_is_there_to_accept_the_key(self, shared_phone: EmulatedPhone, stranger: Path) -> None:
        error = what_happens(shared_phone.port, stranger)
        assert type(error) is KeyRefused
        assert f"none of this host's keys ({stranger})" in str(error)
        assert not any("prompt" in each for each in shared_phone.log)

    def test_nobody_accepts_the_key(
        self,
        start_phone: Callable[..., EmulatedPhone],
        key: Path,
        stranger: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(handshake, "ACCEPT_S", 0.3)
        phone = start_phone([key.with_name("adbkey.pub")])
        said: list[str] = []
        error = what_happens(phone.port, stranger, on_wait=said.append)
        assert type(error) is Unauthorized
        assert "always allow" in str(error)
        assert said == [
            f"adb://127.0.0.1:{phone.port}: waiting for you to accept the key on the phone's screen "
            "(at most 0.3 s)"
        ]

    def test_the_key_is_accepted_while_it_waits(
        self, start_phone: Callable[..., EmulatedPhone], key: Path, stranger: Path
    ) -> None:
        phone = start_phone([key.with_name("adbkey.pub")])
        accepted: list[str] = []

        def accept(said: str) -> None:
            deadline = time.monotonic() + 10
            while phone.accept_keys() == 0:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            accepted.append(said)

        for _ in range(2):  # the second time it is known
            with reached(phone.port, stranger, on_wait=accept) as transport:
                assert transport.run(["echo", "in"]).stdout == b"in\n"
        assert len(accepted) == 1

    def test_any_of_several_keys(self, shared_phone: EmulatedPhone, key: Path, stranger: Path) -> None:
        transport = direct_tcp(shared_phone.host, shared_phone.port, [stranger, key])
        assert transport.run(["true"]).ok
        transport.close()

    def test_the_phone_hangs_up(self, key: Path) -> None:
        with listening(lambda peer: peer.get()) as port:
            assert type(what_happens(port, key)) is LinkLost

    @pytest.mark.parametrize("again", [True, False])
    def test_the_phone_refuses_the_key_it_is_offered(self, key: Path, again: bool) -> None:
        def refuse(peer: Peer) -> None:
            peer.get()
            for _ in range(3 if again else 2):
                peer.put(AUTH, 1, 0, bytes(20))
                peer.get()

        with listening(refuse) as port:
            error = what_happens(port, key, on_wait=lambda said: None)
        assert type(error) is KeyRefused


class TestHandshake:
    def test_what_wants_tls(self, key: Path) -> None:
        def play(peer: Peer) -> None:
            peer.get()
            peer.put(STLS, 0x01000000, 0)
            peer.get()

        with listening(play) as port:
            error = what_happens(port, key)
        assert type(error) is DeviceTrouble
        assert f"run `adb pair` and `adb connect 127.0.0.1:{port}`, and it is reached through" in str(error)

    @pytest.mark.parametrize(
        "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(24), b"SSH-2.0-OpenSSH_9.2 Debian\r\n"]
    )
    def test_what_is_no_phone(self, key: Path, said: bytes) -> None:
        def play(peer: Peer) -> None:
            peer.link.write(said, b"")
            peer.get()

        with listening(play) as port:
            error = what_happens(port, key)
        assert type(error) is DeviceTrouble
        assert "no phone in debugging mode" in str(error)

    @pytest.mark.parametrize("command", [OKAY, WRTE, CLSE, OPEN])
    def test_what_greets_with_something_else(self, key: Path, command: int) -> None:
        def play(peer: Peer) -> None:
            peer.get()
            peer.put(command, 1, 1, b"x")

        with listening(play) as port:
            assert "no phone in debugging mode" in str(what_happens(port, key))

    @pytest.mark.parametrize(
        "banner", [b"recovery::ro.product.name=x;features=shell_v2", b"bootloader::", b"", b"\xff\x1b[2J"]
    )
    def test_what_is_not_android(self, key: Path, banner: bytes) -> None:
        with listening(lambda peer: peer.greet(banner)) as port:
            error = what_happens(port, key)
        assert type(error) is DeviceOffline
        assert str(error).isprintable()

    def test_what_is_too_old(self, key: Path) -> None:
        with listening(lambda peer: peer.greet(b"device::ro.product.name=old;features=cmd")) as port:
            error = what_happens(port, key)
        assert type(error) is DeviceTrouble
        assert "Android 7" in str(error)

    def test_what_sums_payloads(self, key: Path) -> None:
        """Version 0x01000000, payloads of 4096 bytes: both ends check the sums."""

        def play(peer: Peer) -> None:
            peer.greet(BANNER, max_payload=4096, version=0x0100_0000)
            opened = peer.get()
            assert opened.command == OPEN
            peer.put(OKAY, 5, opened.first)
            assert peer.get().command == WRTE
            peer.put(OKAY, 5, opened.first)
            peer.put(WRTE, 5, opened.first, b"\3\1\0\0\0\7")  # shell v2: the exit code is 7
            peer.get()

        with listening(play) as port, reached(port, key) as transport:
            assert transport.run(["true"]).exit_code == 7

    @given(
        st.lists(
            st.tuples(
                st.sampled_from([CNXN, AUTH, STLS, OKAY, 0]), st.integers(0, 3), st.binary(max_size=40)
            ),
            max_size=4,
        ),
        st.binary(max_size=30),
    )
    @settings(max_examples=40)
    def test_whatever_is_there_the_call_ends_with_an_error(
        self, key: Path, messages: list[tuple[int, int, bytes]], rest: bytes
    ) -> None:
        def play(peer: Peer) -> None:
            for command, first, payload in messages:
                peer.put(command, first, 0, payload)
            peer.link.write(rest, b"")

        with listening(play) as port:
            assert isinstance(what_happens(port, key, on_wait=lambda said: None), DeviceTrouble)


class TestUsb:
    def test_without_its_library(self, key: Path) -> None:
        if importlib.util.find_spec("usb1"):
            pytest.skip("the library is installed")
        transport = direct_usb("R58M12345", [key])
        with pytest.raises(DeviceTrouble, match=r"R58M12345 .*adb start-server.*\[usb\]") as error:
            transport.run(["true"])
        assert type(error.value) is DeviceTrouble
        transport.close()

    @pytest.mark.parametrize(
        ("name", "kind", "words"),
        [
            ("USBErrorBusy", DeviceTrouble, "an adb server owns adb://R58: use the server back end"),
            ("USBErrorAccess", DeviceTrouble, "udev"),
            ("UsbDeviceNotFoundError", DeviceNotFound, "is on no USB port"),
            ("USBErrorNoDevice", DeviceOffline, "USBErrorNoDevice"),
        ],
    )
    def test_its_errors(self, name: str, kind: type[DevicesError], words: str) -> None:
        error = direct._usb_error(type(name, (Exception,), {})("x"), "adb://R58")
        assert type(error) is kind
        assert words in str(error)
        assert isinstance(error, TransientError) is (kind is not DeviceTrouble)

    def test_reading_goes_on_after_a_time_out(self) -> None:
        """libusb gives up after each slice; what had come by then is in its error."""
        usb = ScriptedUsb([TimedOut(b"ab"), b"c", TimedOut(b""), b"def"])
        assert UsbLink(usb).read(6, 5.0) == b"abcdef"

    def test_header_and_payload_are_transfers_of_their_own(self) -> None:
        usb = ScriptedUsb([])
        UsbLink(usb).write(b"header", memoryview(b"payload"))
        UsbLink(usb).write(b"alone", b"")
        assert usb.written == [b"header", b"payload", b"alone"]

    def test_what_the_cable_still_holds_is_passed_over(self) -> None:
        old = [header(WRTE, 3, 4, b"old", False), b"old", header(CLSE, 3, 4, b"", False)]
        greeting = [header(CNXN, 0x0100_0001, 4096, BANNER, False), BANNER]
        link = UsbLink(ScriptedUsb([*old, *greeting, TimedOut(b"")]))
        connection = handshake.shake_hands(link, "phone", [], "no key", None)
        assert connection.features == {"shell_v2", "cmd"}
        connection.close()

    def test_it_ends(self) -> None:
        link = UsbLink(ScriptedUsb([TimedOut(b"")] * 1000))
        with pytest.raises(TimeoutError):
            link.read(1, 0.05)
        link.interrupt()
        with pytest.raises(EOFError):
            link.read(1, None)


class TimedOut(bytes):
    """What had come when a read timed out."""


class ScriptedUsb:
    """adb-shell's USB transport as its documentation describes it: this machine has no phone on USB."""

    def __init__(self, reads: list[bytes]) -> None:
        self._reads = iter(reads)
        self.written: list[bytes] = []

    def bulk_read(self, count: int, timeout_s: float) -> bytes:
        from adb_shell.exceptions import UsbReadFailedError

        data = next(self._reads, TimedOut(b""))
        time.sleep(0.001)
        if isinstance(data, TimedOut):
            cause = type("USBErrorTimeout", (Exception,), {"received": bytes(data)})()
            raise UsbReadFailedError("timed out", cause)
        assert len(data) <= count
        return data

    def close(self) -> None:
        pass

    def bulk_write(self, data: bytes, timeout_s: float) -> int:
        self.written.append(data)
        return len(data)
