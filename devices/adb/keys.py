"""This host's keys for phones: where they are, how they sign. Knows nothing of connections."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from devices.errors import BadSettings


class Signer(Protocol):
    """A key that signs."""

    def Sign(self, data: bytes) -> bytes:  # noqa: N802 - adb-shell's name
        """The signature of a token of 20 bytes."""

    def GetPublicKey(self) -> bytes:  # noqa: N802 - adb-shell's name
        """The public key as adb's `.pub` files have it."""


def default_key() -> Path:
    """The key that Google's adb uses too: `~/.android/adbkey`."""
    return Path.home() / ".android" / "adbkey"


def signers(keys: Sequence[Path] | None) -> tuple[Signer, ...]:
    """The keys to try at a phone, in order.

    Args:
        keys: private keys; each one's public key is beside it, in `.pub`, and is made if absent.
            None: the default key, which is made if absent.

    Raises:
        BadSettings: a key cannot be read, or is not one; or none was given.
    """
    if keys is None:
        keys = [default_key()]
        make_if_absent(keys[0])
    if not keys:
        raise BadSettings("no key was given: a phone lets nobody in without one")
    return tuple(map(_signer, keys))


def make_if_absent(path: Path) -> None:
    """Make a pair of keys, private to this user, unless there is one.

    Raises:
        BadSettings: it cannot be written.
    """
    from adb_shell.auth.keygen import keygen

    if path.exists():
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # made aside with its mode, then linked: nobody ever sees half a key, and who comes second loses
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".key") as directory:
            made = Path(directory) / path.name
            public = made.with_name(f"{made.name}.pub")
            keygen(str(made))
            made.chmod(0o600)
            public.chmod(0o644)
            with contextlib.suppress(FileExistsError):
                os.link(made, path)
                public.replace(path.with_name(public.name))
    except OSError as error:
        raise BadSettings(
            f"cannot make {path}: {error.strerror}; name a key, or make one with `adb keygen FILE`"
        ) from error


def _signer(path: Path) -> Signer:
    from adb_shell.auth.keygen import write_public_keyfile
    from adb_shell.auth.sign_cryptography import CryptographySigner

    public = path.with_name(f"{path.name}.pub")
    try:
        if not public.exists():
            write_public_keyfile(str(path), str(public))
        signer: Signer = CryptographySigner(str(path))
    except OSError as error:
        raise BadSettings(f"cannot read the key {path}: {error.strerror}") from error
    except Exception:  # noqa: BLE001 - whatever a parser of keys raises; nothing of the key may be shown
        raise BadSettings(
            f"{path} is not a private key for adb (RSA of 2048 bits, as `adb keygen FILE` makes it)"
        ) from None
    return signer
