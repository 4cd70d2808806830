"""Logging in, and every way in which it fails: each with its own error and with what to do."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devices.errors import DeviceNotFound, DeviceOffline, DeviceTrouble, HostKeyRejected, KeyRefused, LinkLost
from devices.ssh import SshTransport
from tests.devices.sshd import Sshd, make_key, running_sshd


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without keys, known hosts and agent."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir(mode=0o700)
    return tmp_path


@pytest.fixture
def silent() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield
    process.kill()
    process.wait()


def says_hello(transport: SshTransport) -> None:
    assert transport.run(["echo", "hello"]).stdout == b"hello\n"
    transport.close()


def authorise(sshd: Sshd, public: Path) -> None:
    with (sshd.folder / "authorized_keys").open("a") as file:
        file.write(public.read_text())


def test_the_usual_key_and_the_usual_file_of_hosts(sshd: Sshd, home: Path) -> None:
    shutil.copy(sshd.key, home / ".ssh" / "id_ed25519")
    shutil.copy(sshd.known_hosts, home / ".ssh" / "known_hosts")
    says_hello(SshTransport(sshd.host, sshd.user, sshd.port))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_other_kinds_of_keys(sshd: Sshd, home: Path, kind: str) -> None:
    authorise(sshd, make_key(home / ".ssh" / f"id_{kind}", kind=kind).with_suffix(".pub"))
    says_hello(SshTransport(sshd.host, sshd.user, sshd.port, known_hosts=sshd.known_hosts))


def test_an_unknown_host_is_refused_with_the_command_that_accepts_it(sshd: Sshd, home: Path) -> None:
    known = home / "new" / "known hosts"
    transport = SshTransport("board", config=sshd.config, known_hosts=known)
    with pytest.raises(HostKeyRejected, match=r"not in .*known hosts.*ssh-keyscan -t ed25519") as caught:
        transport.run(["true"])
    assert "SHA256:" in str(caught.value)
    command = re.search(r"accept it with: (.*)", str(caught.value))
    assert command
    subprocess.run(command[1], shell=True, check=True, capture_output=True, timeout=30)
    says_hello(transport)


def test_a_changed_host_key_is_refused_with_the_commands_that_accept_it(sshd: Sshd, home: Path) -> None:
    other = make_key(home / "other").with_suffix(".pub").read_text()
    known = home / "known"
    known.write_text(f"[{sshd.host}]:{sshd.port} {other}")
    transport = SshTransport("board", config=sshd.config, known_hosts=known)
    with pytest.raises(HostKeyRejected, match=r"another one.*ssh-keygen -f .* -R .*&& ssh-keyscan") as caught:
        transport.run(["true"])
    command = re.search(r"accept it with: (.*)", str(caught.value))
    assert command
    subprocess.run(command[1], shell=True, check=True, capture_output=True, timeout=30)
    says_hello(transport)


def test_a_revoked_host_key_is_refused(sshd: Sshd, home: Path) -> None:
    known = home / "known"
    known.write_text(f"{sshd.known_hosts.read_text()}@revoked {sshd.known_hosts.read_text()}")
    with pytest.raises(HostKeyRejected, match="do not connect"):
        SshTransport("board", config=sshd.config, known_hosts=known).run(["true"])


def test_a_host_without_keys_here_is_told_how_to_make_one(sshd: Sshd) -> None:
    transport = SshTransport(sshd.host, "guest", sshd.port, known_hosts=sshd.known_hosts)
    with pytest.raises(KeyRefused, match=f"no key.*ssh-keygen.*ssh-copy-id -p {sshd.port} guest@127.0.0.1"):
        transport.run(["true"])


def test_a_wrong_key_is_refused_and_named(sshd: Sshd, home: Path) -> None:
    key = make_key(home / ".ssh" / "id_ed25519")
    transport = SshTransport(sshd.host, sshd.user, sshd.port, known_hosts=sshd.known_hosts)
    with pytest.raises(KeyRefused, match=f"accepts none.*tried: {key}.*ssh-copy-id"):
        transport.run(["true"])


def test_a_named_key_that_is_missing_or_none_is_told(sshd: Sshd, home: Path) -> None:
    (home / "nonsense").write_text("no key")
    config = home / "config"
    config.write_text(f"IdentityFile {home}/missing\nIdentityFile {home}/nonsense\n")
    transport = SshTransport(sshd.host, sshd.user, sshd.port, known_hosts=sshd.known_hosts, config=config)
    with pytest.raises(KeyRefused, match=r"missing is not there.*nonsense: not a key"):
        transport.run(["true"])


@pytest.mark.usefixtures("agent")
def test_a_key_with_a_passphrase_needs_the_agent(sshd: Sshd, home: Path) -> None:
    key = make_key(home / ".ssh" / "id_ed25519", passphrase="secret")
    authorise(sshd, key.with_suffix(".pub"))
    transport = SshTransport(sshd.host, sshd.user, sshd.port, known_hosts=sshd.known_hosts)
    with pytest.raises(KeyRefused, match=rf"passphrase.*ssh-agent.*'ssh-add {re.escape(str(key))}'"):
        transport.run(["true"])
    ask = home / "ask"
    ask.write_text("#!/bin/sh\necho secret\n")
    ask.chmod(0o700)
    subprocess.run(
        ["ssh-add", str(key)],
        env={**os.environ, "SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":0"},
        check=True,
        capture_output=True,
        timeout=30,
        stdin=subprocess.DEVNULL,
    )
    says_hello(transport)
    shutil.move(key, home / "elsewhere")  # the agent's keys count without any file as well
    says_hello(SshTransport(sshd.host, sshd.user, sshd.port, known_hosts=sshd.known_hosts))


def test_an_agent_that_is_gone_is_no_trouble(sshd: Sshd, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(home / "nobody"))
    says_hello(SshTransport("board", config=sshd.config))


def test_nothing_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(DeviceNotFound, match=f"nothing listens at 127.0.0.1 port {port}"):
        SshTransport("127.0.0.1", port=port).run(["true"])


def test_no_such_host() -> None:
    with pytest.raises(DeviceNotFound, match=r"no host 'no-such-host\.invalid'"):
        SshTransport("no-such-host.invalid").run(["true"])


def test_a_silent_port_is_given_up(silent: int, capfd: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    with pytest.raises(DeviceOffline, match="no SSH greeting"):
        SshTransport("127.0.0.1", port=silent, connect_s=0.5).run(["true"])
    assert time.monotonic() - start < 5
    assert capfd.readouterr() == ("", "")


def test_something_else_listens() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.0 400 Bad Request\r\n" * 200)
                connection.recv(1)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(DeviceTrouble, match="no SSH server"):
            SshTransport("127.0.0.1", port=listener.getsockname()[1], connect_s=5.0).run(["true"])


def test_through_a_jump_host(sshd: Sshd, tmp_path: Path) -> None:
    """The inner server is reached from the outer one only, under the outer one's name for it."""
    inside = tmp_path / "inside"
    inside.mkdir()
    with running_sshd(inside) as inner:
        config = tmp_path / "config"
        config.write_text(
            f"{sshd.config.read_text().replace('Host board 127.0.0.1', 'Host gate')}"
            f"{inner.config.read_text().replace('Host board 127.0.0.1', 'Host board')}"
            "  ProxyJump gate\n"
        )
        transport = SshTransport("board", config=config)
        assert transport.run(["sh", "-c", "echo $HOME"]).stdout.decode().strip() == str(inner.home)
        transport.push(b"x" * 5_000_000, f"{tmp_path}/large")
        assert len(transport.pull(f"{tmp_path}/large")) == 5_000_000
        sshd.cut()  # the jump host's connection, not the board's
        with pytest.raises(LinkLost):
            transport.run(["sleep", "60"])
        assert transport.run(["echo", "again"]).stdout == b"again\n"
        transport.close()
        inner.stop()
        with pytest.raises(DeviceNotFound, match="jump host reaches nothing"):
            transport.run(["true"])
        inner.known_hosts.unlink()
        inner.start()
        inner.known_hosts.unlink()
        config.write_text(re.sub(r"(Host board\n.*\n  Port )\d+", rf"\g<1>{inner.port}", config.read_text()))
        with pytest.raises(HostKeyRejected, match=r"accept it with: ssh .*-J .*true") as caught:
            SshTransport("board", config=config).run(["true"])
        command = shlex.split(str(caught.value).partition("accept it with: ")[2])
        assert command[command.index("-J") + 1] == f"{sshd.user}@{sshd.host}:{sshd.port}"
        assert f"UserKnownHostsFile={inner.known_hosts}" in command


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_no_server_gets_anything_out_but_an_error_of_ours(garbage: bytes) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"SSH-2.0-Mad\r\n" + garbage)

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(DeviceTrouble):
            SshTransport("127.0.0.1", port=listener.getsockname()[1], connect_s=5.0).run(["true"])
        thread.join()
