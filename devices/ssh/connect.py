"""Makes an authenticated SSH connection, through jump hosts, or says exactly why there is none.

Knows addresses, host keys and logging in. Does not know what the connection is for.
"""

from __future__ import annotations

import contextlib
import logging
import shlex
import socket
import threading
import time
from pathlib import Path
from typing import Any

from paramiko import PKey, Transport
from paramiko.ssh_exception import (
    AuthenticationException,
    BadAuthenticationType,
    ChannelException,
    IncompatiblePeer,
    SSHException,
)

from devices.errors import (
    DeviceNotFound,
    DeviceOffline,
    DevicesError,
    DeviceTrouble,
    HostKeyRejected,
    KeyRefused,
)
from devices.ssh.config import DEFAULT_PORT, Hop
from devices.ssh.keys import Keys, keys_for
from devices.ssh.known_hosts import Known, KnownKey, lookup, lookup_name

#: the names of signature algorithms under which a server offers a key of this kind
RSA_OFFERS = ("rsa-sha2-512", "rsa-sha2-256")
#: authenticated encryption is one pass instead of two: a third less time for large files
FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_LOG = "devices.ssh.paramiko"

# paramiko logs tracebacks of broken connections on its threads: every one is an error here, and told as such
_logger = logging.getLogger(_LOG)
_logger.propagate = False
_logger.addHandler(logging.NullHandler())


class Connection:
    """Authenticated connections, each but the first through the one before it; the last is the wanted one."""

    def __init__(self, transports: list[Transport]) -> None:
        self._transports = transports

    @property
    def transport(self) -> Transport:
        """The connection to the device."""
        return self._transports[-1]

    def close(self) -> None:
        """Close all of them, the outermost first: closing the others then waits for nobody."""
        _close(self._transports)


def connect(hops: tuple[Hop, ...], timeout_s: float) -> Connection:
    """Log in to the last of some hosts through the others.

    Raises:
        DeviceNotFound: the name is unknown, or nothing listens there.
        DeviceOffline: no answer, or the server hung up before the login.
        DeviceTrouble: something that is no SSH server, or one too old, answers.
        HostKeyRejected: a host's key is unknown or another than the known one.
        KeyRefused: a host accepts none of the keys.
    """
    deadline = time.monotonic() + timeout_s
    transports: list[Transport] = []
    # whatever paramiko waits for ends when its sockets are closed
    guard = threading.Timer(timeout_s, _close, [transports])
    guard.daemon = True
    guard.start()
    try:
        for hop in hops:
            sock = _open(hop, transports[-1] if transports else None, _left(deadline, hop))
            transports.append(_begin(hop, sock))
            _login(hop, transports[-1], deadline, hops[: len(transports) - 1])
    except BaseException as error:
        guard.cancel()
        _close(transports)
        if isinstance(error, (SSHException, OSError, EOFError)):
            raise DeviceOffline(f"{hops[-1]}: logging in broke off: {error}") from error
        raise
    guard.cancel()
    return Connection(transports)


def _close(transports: list[Transport]) -> None:
    for transport in tuple(transports):
        with contextlib.suppress(Exception):  # it is given up
            transport.close()


def _left(deadline: float, hop: Hop) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise DeviceOffline(f"{hop} did not answer in time")
    return left


def _open(hop: Hop, through: Transport | None, timeout_s: float) -> Any:
    """A stream of bytes to the host's SSH server."""
    if through is not None:
        return _open_through(hop, through, timeout_s)
    try:
        sock = socket.create_connection((hop.hostname, hop.port), timeout_s)
    except socket.gaierror as error:
        raise DeviceNotFound(
            f"there is no host {hop.hostname!r} ({error.strerror}); check the name and the network"
        ) from error
    except TimeoutError as error:
        raise DeviceOffline(f"{hop} does not answer within {timeout_s:.3g} s; is it on?") from error
    except ConnectionRefusedError as error:
        raise DeviceNotFound(
            f"nothing listens at {hop.hostname} port {hop.port}; does an SSH server run there?"
        ) from error
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DeviceOffline(f"{hop} cannot be reached: {reason}") from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _open_through(hop: Hop, through: Transport, timeout_s: float) -> Any:
    try:
        return through.open_channel(
            "direct-tcpip", (hop.hostname, hop.port), ("127.0.0.1", 0), timeout=timeout_s
        )
    except ChannelException as error:
        if error.code == 1:
            raise DeviceTrouble(
                f"the jump host forwards no connection to {hop.hostname} port {hop.port}; "
                "its sshd_config must say AllowTcpForwarding yes"
            ) from error
        raise DeviceNotFound(
            f"the jump host reaches nothing at {hop.hostname} port {hop.port}: {error.text}"
        ) from error
    except (SSHException, OSError, EOFError) as error:
        raise DeviceOffline(f"the jump host did not connect to {hop}: {error}") from error


def _begin(hop: Hop, sock: Any) -> Transport:
    try:
        transport = Transport(sock)
    except BaseException as error:
        sock.close()
        if isinstance(error, (SSHException, OSError)):
            raise DeviceOffline(f"{hop} hung up: {error}") from error
        raise
    transport.set_log_channel(_LOG)
    transport.daemon = True
    return transport


def _login(hop: Hop, transport: Transport, deadline: float, jumps: tuple[Hop, ...]) -> None:
    left_s = _left(deadline, hop)
    transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = left_s
    known = lookup(map(_text, hop.known_hosts), *_key_name(hop))
    options = transport.get_security_options()
    ciphers = tuple(options.ciphers)
    options.ciphers = [
        *(c for c in FAST_CIPHERS if c in ciphers),
        *(c for c in ciphers if c not in FAST_CIPHERS),
    ]
    options.key_types = _preferred(tuple(options.key_types), known)
    try:
        transport.start_client(timeout=left_s)
        shown = transport.get_remote_server_key()  # raises where the time was over in silence
    except IncompatiblePeer as error:
        raise DeviceTrouble(f"{hop}: its SSH server is too old or too different: {error}") from error
    except (SSHException, OSError, EOFError) as error:
        said = str(error)
        if "Indecipherable" in said or "Invalid SSH banner" in said:
            raise DeviceTrouble(f"what listens at {hop.hostname} port {hop.port} is no SSH server") from error
        raise DeviceOffline(
            f"{hop}: something listens there, but gave no SSH greeting in time or hung up"
        ) from error
    _check_host_key(hop, shown, known, jumps)
    with keys_for(hop) as keys:
        _authenticate(hop, transport, keys, deadline)


def _key_name(hop: Hop) -> tuple[str, int]:
    return (hop.host_key_alias, DEFAULT_PORT) if hop.host_key_alias else (hop.hostname, hop.port)


def _preferred(offered: tuple[str, ...], known: Known) -> list[str]:
    """Ask for a key of a kind that is known, so that the server does not show another one."""
    kinds = [key.kind for key in known.keys or known.without_port]
    wanted = [offer for kind in kinds for offer in (RSA_OFFERS if kind == "ssh-rsa" else (kind,))]
    first = [offer for offer in dict.fromkeys(wanted) if offer in offered]
    return [*first, *(offer for offer in offered if offer not in first)]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _check_host_key(hop: Hop, shown: PKey, known: Known, jumps: tuple[Hop, ...]) -> None:
    key = KnownKey(shown.get_name(), shown.asbytes())
    if known.accepts(key):
        return
    file, name = hop.known_hosts[0], lookup_name(*_key_name(hop))
    what = f"{hop} shows the {key.kind} key {shown.fingerprint}"
    if key in known.revoked:
        raise HostKeyRejected(f"{what}, which is marked @revoked in {file}: do not connect")
    learn = _learn(hop, key.kind, file, jumps)
    if known.keys:
        forget = f"ssh-keygen -f {shlex.quote(str(file))} -R {shlex.quote(name)}"
        raise HostKeyRejected(
            f"{what}, but {name} is known by another one: the board was set up anew, or this is "
            f"another machine. If that key is right, accept it with: {forget} && {learn}"
        )
    raise HostKeyRejected(f"{what}, which is not in {file}. If that key is right, accept it with: {learn}")


def _learn(hop: Hop, kind: str, file: Path, jumps: tuple[Hop, ...]) -> str:
    """The command that adds a host's key to a file."""
    if jumps or hop.host_key_alias:
        # ssh-keyscan knows neither jump hosts nor aliases: ssh asks, and adds the key after a "yes"
        options = ["-o", f"UserKnownHostsFile={file}", "-p", str(hop.port)]
        if hop.host_key_alias:
            options += ["-o", f"HostKeyAlias={hop.host_key_alias}"]
        if jumps:
            options += [
                "-J",
                ",".join(f"{jump.user}@{_bracketed(jump.hostname)}:{jump.port}" for jump in jumps),
            ]
        return shlex.join(["ssh", *options, f"{hop.user}@{hop.hostname}", "true"])
    scan = ["ssh-keyscan", "-t", kind.removeprefix("ssh-").split("-")[0], "-p", str(hop.port), hop.hostname]
    folder = (
        "" if file.parent.is_dir() else f"{shlex.join(['mkdir', '-p', '-m', '700', str(file.parent)])} && "
    )
    return f"{folder}{shlex.join(scan)} >> {shlex.quote(str(file))}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _authenticate(hop: Hop, transport: Transport, keys: Keys, deadline: float) -> None:
    tried: list[str] = []
    for key, name in keys.usable:
        transport.auth_timeout = _left(deadline, hop)
        try:
            further = transport.auth_publickey(hop.user, key)
        except BadAuthenticationType as error:
            raise KeyRefused(
                f"{hop} lets nobody in by a key, only by {', '.join(error.allowed_types)}; "
                "its sshd_config must say PubkeyAuthentication yes"
            ) from error
        except (SSHException, OSError, EOFError) as error:
            if not transport.is_active():
                if tried and isinstance(error, AuthenticationException):
                    break  # it has seen enough of them
                raise DeviceOffline(f"{hop} hung up during the login: {error}") from error
            if "timeout" in str(error).lower():
                raise DeviceOffline(f"{hop} did not answer the login in time") from error
            tried.append(name)
            continue
        if further:
            raise KeyRefused(f"{hop} asks for {' and '.join(further)} besides the key, which cannot be given")
        return
    raise _refused(hop, keys, tried)


def _refused(hop: Hop, keys: Keys, tried: list[str]) -> DevicesError:
    said = [f"{hop} accepts none of this host's keys" if tried else f"this host has no key to show {hop}"]
    if tried:
        said.append(f"tried: {', '.join(tried)}")
    if keys.locked:
        add = shlex.join(["ssh-add", *map(str, keys.locked)])
        said.append(f"locked by a passphrase: give them to ssh-agent with '{add}'")
    said += keys.unusable
    if not keys.locked:
        where = f"-p {hop.port} " if hop.port != DEFAULT_PORT else ""
        who = shlex.quote(f"{hop.user}@{hop.hostname}")
        made = "" if tried else "make one with 'ssh-keygen -t ed25519', then "
        said.append(f"{made}install one there with 'ssh-copy-id {where}{who}'")
    return KeyRefused("; ".join(said))
