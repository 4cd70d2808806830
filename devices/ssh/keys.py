"""Which keys of this host may be shown to another one: files, the agent. Shows them to nobody."""

from __future__ import annotations

import base64
import binascii
import contextlib
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paramiko import Agent
from paramiko.pkey import PKey
from paramiko.ssh_exception import PasswordRequiredException, SSHException

from devices.ssh.config import Hop

#: how long an agent may think
AGENT_S = 5.0


@dataclass(slots=True)
class Keys:
    """The keys for one host, in the order to show them, and why others are not among them.

    Attributes:
        usable: keys with what to call each.
        locked: files whose key needs a passphrase, and which the agent does not hold.
        unusable: files with why they cannot be read; one that was never named and is not there is left out.
    """

    usable: list[tuple[PKey, str]] = field(default_factory=list)
    locked: list[Path] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)


@contextlib.contextmanager
def keys_for(hop: Hop) -> Iterator[Keys]:
    """Gather the keys to show a host, named files first, then the agent's; the agent is let go of at the end.

    A server counts what it is shown and ends the connection after some, usually six.
    """
    keys = Keys()
    agent = _agent()
    try:
        held = {key.asbytes(): key for key in agent.get_keys()} if agent else {}
        for path in hop.identity_files:
            _add_file(keys, path, held, named=not hop.default_keys)
        if not hop.identities_only:
            for blob, key in held.items():
                if all(blob != shown.asbytes() for shown, _ in keys.usable):
                    keys.usable.append((key, "a key of the agent"))
        yield keys
    finally:
        if agent:
            agent.close()


def _add_file(keys: Keys, path: Path, held: Mapping[bytes, PKey], named: bool) -> None:
    if not path.is_file():
        if named:
            keys.unusable.append(f"{path} is not there")
        return
    public = _public(path)
    if public in held:
        keys.usable.append((held[public], f"{path} (held by the agent)"))
        return
    try:
        keys.usable.append((PKey.from_path(path), str(path)))
    except (PasswordRequiredException, TypeError):  # cryptography says TypeError for a missing passphrase
        keys.locked.append(path)
    except Exception as error:  # noqa: BLE001 - the library below has many classes for a file that is no key
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a key that can be used"
        keys.unusable.append(f"{path}: {reason}")


def _public(path: Path) -> bytes:
    """The public key that stands beside a private one, empty where there is none."""
    try:
        return base64.b64decode(Path(f"{path}.pub").read_text(encoding="utf-8").split()[1])
    except (OSError, IndexError, UnicodeDecodeError, binascii.Error):
        return b""


def _agent() -> Agent | None:
    """The user's agent, None where none listens: paramiko would leave a socket open then."""
    path = os.environ.get("SSH_AUTH_SOCK")
    if not path:
        return None
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(AGENT_S)
            probe.connect(path)
    except OSError:
        return None
    try:
        return Agent()
    except (SSHException, OSError):
        return None
