"""The beginning of a connection to a phone: greeting, keys, features. Knows no way that the messages go."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence

from devices.adb.keys import Signer
from devices.adb.messages import (
    AUTH,
    CLSE,
    CNXN,
    OKAY,
    OPEN,
    PAYLOAD_BYTES,
    STLS,
    WITHOUT_CHECKSUMS,
    WRTE,
    BrokenProtocol,
    Link,
    Message,
    header,
    read_message,
)
from devices.adb.multiplexer import Multiplexer
from devices.errors import DeviceOffline, DeviceTrouble, KeyRefused, LinkLost, Unauthorized

#: how long a phone may take to answer each message of the handshake
ANSWER_S = 10.0
#: how long somebody may take to accept the key
ACCEPT_S = 30.0
_BANNER = b"host::features=shell_v2,cmd\0"
_TOKEN, _SIGNATURE, _PUBLIC_KEY = 1, 2, 3
_TOKEN_BYTES = 20
_FEATURE = re.compile(r"[A-Za-z0-9_.+-]{1,64}")

OnWait = Callable[[str], None]


def shake_hands(
    link: Link, name: str, mine: Sequence[Signer], names: str, on_wait: OnWait | None
) -> Multiplexer:
    """Introduce this host to a phone, which may ask for a key.

    Args:
        link: just connected; closed when this fails.
        name: the phone, for messages.
        mine: the keys to try, in order; the first is offered when the phone knows none.
        names: of the keys, for messages.
        on_wait: told that somebody has to accept the key. None: nobody is there, and none is offered.

    Raises:
        Unauthorized, KeyRefused, DeviceOffline, LinkLost, DeviceTrouble: as `devices.adb.direct.connect_tcp`.
    """
    try:
        greeting = _authenticate(link, name, mine, names, on_wait)
        state, _, rest = greeting.payload.decode(errors="replace").partition("::")
        if state != "device":
            raise DeviceOffline(f"{name} is in the state {state[:20]!r}, not 'device': start Android on it")
        given = next((part[9:] for part in rest.rstrip("\0").split(";") if part.startswith("features=")), "")
        features = frozenset(feature for feature in given.split(",") if _FEATURE.fullmatch(feature))
        return Multiplexer(
            link,
            name,
            features,
            max(1, min(greeting.second, PAYLOAD_BYTES)),
            checksums=greeting.first < WITHOUT_CHECKSUMS,
        )
    except BaseException as error:
        with contextlib.suppress(OSError):
            link.close()
        if isinstance(error, EOFError):
            raise LinkLost(f"{name} closed the connection during the handshake") from error
        if isinstance(error, TimeoutError):
            raise DeviceOffline(
                f"{name} takes connections, but did not answer within {ANSWER_S:g} s: wake it up, or switch "
                "USB debugging off and on again"
            ) from error
        if isinstance(error, OSError):
            raise LinkLost(
                f"the link to {name} broke during the handshake: {error.strerror or error}"
            ) from error
        if isinstance(error, BrokenProtocol):
            raise DeviceTrouble(f"{name} is no phone in debugging mode: {error}") from error
        raise


def _authenticate(
    link: Link, name: str, mine: Sequence[Signer], names: str, on_wait: OnWait | None
) -> Message:
    """Introduce this host; the phone's greeting once it lets it in."""
    _send(link, CNXN, WITHOUT_CHECKSUMS, PAYLOAD_BYTES, _BANNER)
    answer = _answer(link, name, ANSWER_S)
    for signer in mine:
        if answer.command == CNXN:
            return answer
        _send(link, AUTH, _SIGNATURE, 0, signer.Sign(answer.payload))
        answer = _answer(link, name, ANSWER_S)
    if answer.command == CNXN:
        return answer
    refused = f"{name} knows none of this host's keys ({names})"
    if on_wait is None:
        raise KeyRefused(
            f"{refused}, and nobody is here to accept one on its screen: run `mnas devices doctor` beside "
            "the phone, or name a key that it knows"
        )
    _send(link, AUTH, _PUBLIC_KEY, 0, _public(mine[0]))
    on_wait(f"{name}: waiting for you to accept the key on the phone's screen (at most {ACCEPT_S:g} s)")
    try:
        answer = _answer(link, name, ACCEPT_S)
    except TimeoutError as error:
        raise Unauthorized(
            f"nobody accepted this host's key on the screen of {name} within {ACCEPT_S:g} s: unlock the "
            "phone, tick 'always allow from this computer', and try again"
        ) from error
    except (EOFError, ConnectionError) as error:
        raise KeyRefused(f"{refused} and hung up when one was offered: put {names}.pub there") from error
    if answer.command == AUTH:
        raise KeyRefused(f"{refused} and does not take one: accept it on the phone's screen, or name another")
    return answer


def _answer(link: Link, name: str, timeout_s: float) -> Message:
    """The next message that a handshake can have."""
    deadline = time.monotonic() + timeout_s
    message = read_message(link, timeout_s)
    while link.may_hold_old and message.command in (OPEN, OKAY, WRTE, CLSE):
        message = read_message(link, deadline - time.monotonic())
    if message.command == STLS:
        raise DeviceTrouble(
            f"{name} wants TLS, as 'wireless debugging' does, which takes an adb server: run `adb pair` and "
            f"`adb connect {name.removeprefix('adb://')}`, and it is reached through the server; or run "
            "`adb tcpip 5555` over USB and connect to that port"
        )
    token = message.command == AUTH and message.first == _TOKEN and len(message.payload) == _TOKEN_BYTES
    if message.command == CNXN or token:
        return message
    raise BrokenProtocol("it answered the greeting with something else")


def _send(link: Link, command: int, first: int, second: int, payload: bytes) -> None:
    link.write(header(command, first, second, payload, checksums=True), payload)


def _public(signer: Signer) -> bytes:
    return signer.GetPublicKey().rstrip(b"\n\0") + b"\0"
