"""Which keys a text in the format of OpenSSH's known_hosts has for a host. Pure functions of text."""

from __future__ import annotations

import base64
import binascii
import fnmatch
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A host key: its kind, for example `ssh-ed25519`, and the key itself."""

    kind: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a host.

    Attributes:
        keys: of this very host and port.
        without_port: of the host without a port, which OpenSSH accepts where the port has no key of its own.
        revoked: keys never to accept.
    """

    keys: tuple[KnownKey, ...] = ()
    without_port: tuple[KnownKey, ...] = ()
    revoked: tuple[KnownKey, ...] = ()

    def accepts(self, key: KnownKey) -> bool:
        """Whether the host may show this key."""
        return key not in self.revoked and key in (self.keys or self.without_port)


def lookup_name(host: str, port: int) -> str:
    """The name under which a host's key stands: `host`, or `[host]:port` for any port but 22."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def lookup(texts: Iterable[str], host: str, port: int) -> Known:
    """What the texts say of a host, by its name or address and its port."""
    full, plain = lookup_name(host, port), host.lower()
    exact: list[KnownKey] = []
    without_port: list[KnownKey] = []
    revoked: list[KnownKey] = []
    for line in (line for text in texts for line in text.splitlines()):
        marker, patterns, key = _parse(line)
        if key is None:
            continue
        if _matches(patterns, full):
            into = exact
        elif _matches(patterns, plain):
            into = without_port
        else:
            continue
        if marker == "@revoked":
            revoked.append(key)
        elif not marker:  # a certificate authority is no host key
            into.append(key)
    exact, without_port, revoked = (list(dict.fromkeys(keys)) for keys in (exact, without_port, revoked))
    return Known(tuple(exact), tuple(without_port), tuple(revoked))


def _parse(line: str) -> tuple[str, str, KnownKey | None]:
    fields = line.split()
    marker = fields.pop(0) if fields and fields[0].startswith("@") else ""
    if len(fields) < 3 or fields[0].startswith("#"):
        return marker, "", None
    try:
        key = base64.b64decode(fields[2], validate=True)
    except (binascii.Error, ValueError):
        return marker, "", None
    return marker, fields[0], KnownKey(fields[1], key)


def _matches(patterns: str, name: str) -> bool:
    if patterns.startswith("|1|"):
        return _is_hash_of(patterns, name)
    matched = False
    for pattern in patterns.lower().split(","):
        # brackets stand around a host, they are no pattern
        if fnmatch.fnmatchcase(name, pattern.lstrip("!").replace("[", "[[]")):
            if pattern.startswith("!"):
                return False
            matched = True
    return matched


def _is_hash_of(hashed: str, name: str) -> bool:
    try:
        salt, digest = (base64.b64decode(part) for part in hashed[3:].split("|"))
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)
