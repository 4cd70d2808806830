"""Where this host keeps what it must remember about devices between jobs. Knows no file in it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from devices.errors import BadSettings

NAME_LENGTH = 200


def state_directory(part: str) -> Path:
    """A private folder for one kind of memory, made if absent: `$MNAS_STATE_DIR`, or the user's state folder.

    Args:
        part: the kind, such as `leases`.

    Raises:
        BadSettings: it cannot be made.
    """
    chosen = os.environ.get("MNAS_STATE_DIR")
    home = os.environ.get("XDG_STATE_HOME")
    root = Path(chosen) if chosen else (Path(home) if home else Path.home() / ".local/state") / "mnas"
    directory = root / part
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)  # one that is there may be for others, too
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise BadSettings(
            f"cannot make {directory}: {error.strerror}; MNAS_STATE_DIR names another folder"
        ) from error
    return directory


def file_name(address: str) -> str:
    """A file name for an address: readable, without separators, different for different addresses."""
    safe = re.sub(r"[^A-Za-z0-9_-]|^-", _quoted, address) or "%"
    if len(safe) <= NAME_LENGTH:
        return safe
    digest = hashlib.sha256(address.encode(errors="surrogatepass")).hexdigest()
    return f"{safe[: NAME_LENGTH // 2]}%{digest[:32]}"


def _quoted(match: re.Match[str]) -> str:
    inner = match[0] == "." and match.start() > 0
    return "." if inner else "".join(f"%{byte:02x}" for byte in match[0].encode(errors="surrogatepass"))
