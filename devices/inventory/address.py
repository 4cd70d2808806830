"""The text of an address, taken apart and put together again. Reaches nothing."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal, Self

from devices.errors import BadSettings

Scheme = Literal["local", "adb", "ssh"]

#: what an address may be, for messages
FORMS = "local, adb://SERIAL, adb://HOST:PORT, ssh://[USER@]HOST[:PORT]"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9_])?")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9._-]{0,63}")
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]+)\]")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a device is: `local`, an Android phone, or a machine with an SSH server. `str()` parses back.

    Attributes:
        host: name, alias or number of a machine, or of a phone that listens on the network; without the
            brackets of an IPv6 number.
        port: None leaves it to the host's own SSH settings.
        user: of the SSH server; None likewise.
        serial: of a phone on a cable, or as an adb server calls it.
    """

    scheme: Scheme
    host: str | None = None
    port: int | None = None
    user: str | None = None
    serial: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address that a text is.

        Raises:
            BadSettings: it is none, or holds what no serial, user, host or port has in it.
        """
        if text == "local":
            return cls("local")
        scheme, separator, rest = text.partition("://")
        if not separator or scheme not in ("adb", "ssh"):
            raise BadSettings(f"there is no device at {text[:200]!r}; an address is one of: {FORMS}")
        if scheme == "adb":
            if _NAME.fullmatch(rest):
                return cls("adb", serial=rest)
            host, port = _host_and_port(text, rest)
            if port is None:
                raise _bad(text, "adb over the network needs a port, mostly 5555")
            return cls("adb", host, port)
        user, at, place = rest.rpartition("@")
        if at and not _USER.fullmatch(user):
            raise _bad(text, f"{user!r} is no user's name")
        host, port = _host_and_port(text, place)
        return cls("ssh", host, port, user if at else None)

    def __str__(self) -> str:
        """The text that `parse` reads."""
        if self.scheme == "local":
            return "local"
        if self.serial is not None:
            return f"adb://{self.serial}"
        host = f"[{self.host}]" if ":" in (self.host or "") else self.host
        user = "" if self.user is None else f"{self.user}@"
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{user}{host}{port}"


def _host_and_port(text: str, place: str) -> tuple[str, int | None]:
    bracketed = _BRACKETED.match(place)
    host, rest = (bracketed[1], place[bracketed.end() :]) if bracketed else _split(place)
    if bracketed:
        try:
            host = str(ipaddress.IPv6Address(host))
        except ValueError:
            raise _bad(text, f"{host!r} is no IPv6 number") from None
    elif not _NAME.fullmatch(host):
        raise _bad(text, f"{host[:100]!r} is no host: letters, digits, dots, - and _, the first no -")
    if not rest:
        return host, None
    digits = rest.removeprefix(":")
    if not re.fullmatch(r"[0-9]{1,5}", digits) or rest == digits or not 1 <= int(digits) <= 65535:
        raise _bad(text, f"{digits[:100]!r} is no port: a number from 1 to 65535")
    return host, int(digits)


def _split(place: str) -> tuple[str, str]:
    host, colon, port = place.partition(":")
    return host, colon + port


def _bad(text: str, why: str) -> BadSettings:
    return BadSettings(f"the address {text[:200]!r} cannot be used: {why}; an address is one of: {FORMS}")
