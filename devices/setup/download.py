"""Fetches a file over HTTP, whole or not at all. Knows no device and no program.

A transfer that breaks off goes on where it broke, if the server says that the file is still the same, and
begins anew otherwise. Nobody sees the file before its length and, where it is known, its SHA-256 are right.
"""

from __future__ import annotations

import hashlib
import http.client
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, cast

from devices.errors import BadSettings, RuntimeMissing
from devices.text import one_line

#: longest silence of the server, and longest time for everything
SILENCE_S = 30.0
BUDGET_S = 900.0
#: how often a transfer that broke off is taken up again, and how long after
ATTEMPTS = 5
PAUSE_S = 1.0
LARGEST_BYTES = 512 * 2**20
CHUNK_BYTES = 1 << 16
PARTIAL = 206

#: told the bytes so far and the bytes in all
Progress = Callable[[int, int], None]


class _BrokenOff(Exception):
    """The transfer ended too early; it may be tried again."""


class _StaysSafe(urllib.request.HTTPRedirectHandler):
    """Follows redirections, but not to where anybody on the way could change the file."""

    def redirect_request(  # noqa: PLR0917 - the signature is the base class'
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _check_url(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(
    url: str,
    target: Path,
    sha256: str | None = None,
    on_progress: Progress | None = None,
    *,
    silence_s: float = SILENCE_S,
    budget_s: float = BUDGET_S,
    pause_s: float = PAUSE_S,
) -> str:
    """Fetch a file.

    Args:
        url: https; http from this machine only.
        target: where it goes, when it is whole.
        sha256: what it must be; None accepts what the server says is all of it.
        on_progress: told now and then how far it is.
        silence_s: longest silence of the server.
        budget_s: longest time for everything.
        pause_s: before a transfer that broke off is taken up again.

    Returns:
        The file's SHA-256.

    Raises:
        BadSettings: the address is none that is fetched from.
        RuntimeMissing: it cannot be had, or is not what it must be.
    """
    _check_url(url)
    deadline = time.monotonic() + budget_s
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as file:
        part = Path(file.name)
        try:
            transfer = _Transfer(url, cast(IO[bytes], file), on_progress, silence_s, deadline)
            _whole(transfer, pause_s)
            file.close()
            found = hashlib.sha256(part.read_bytes()).hexdigest()
            if sha256 is not None and found != sha256:
                raise RuntimeMissing(
                    f"{url} has the SHA-256 {found}, but must have {sha256}: it was not used"
                )
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    return found


def _whole(transfer: _Transfer, pause_s: float) -> None:
    """Take a transfer up until it is at its end."""
    for attempt in range(ATTEMPTS):
        try:
            transfer.go_on()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500 or attempt == ATTEMPTS - 1:
                raise RuntimeMissing(f"{transfer.url} cannot be had: the server says {error.code}") from error
        except (OSError, http.client.HTTPException, _BrokenOff) as error:
            why = one_line(str(getattr(error, "reason", error)))[:200] or type(error).__name__
            if attempt == ATTEMPTS - 1 or time.monotonic() > transfer.deadline:
                raise RuntimeMissing(
                    f"{transfer.url} cannot be had ({transfer.size} bytes came): {why}"
                ) from error
        else:
            return
        time.sleep(pause_s)


class _Transfer:
    """One file on its way, possibly over several connections."""

    def __init__(
        self, url: str, file: IO[bytes], on_progress: Progress | None, silence_s: float, deadline: float
    ) -> None:
        self.url = url
        self.deadline = deadline
        self.size = 0
        self._file = file
        self._on_progress = on_progress
        self._silence_s = silence_s
        self._same: str | None = None  # what the server calls this version of the file
        self._opener = urllib.request.build_opener(_StaysSafe)

    def go_on(self) -> None:
        """Receive what is missing, or all, to the end."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "mnas"}
        if self.size and self._same:
            headers |= {"Range": f"bytes={self.size}-", "If-Range": self._same}
        request = urllib.request.Request(self.url, headers=headers)
        with self._opener.open(request, timeout=self._silence_s) as answer:
            resumed = answer.status == PARTIAL and self._resumes(answer.headers)
            if not resumed:
                self._restart(answer.headers)
            length = _length(answer.headers)
            whole = self.size + length
            if whole > LARGEST_BYTES:
                raise RuntimeMissing(f"{self.url} is larger than {LARGEST_BYTES / 1e6:.0f} MB: not used")
            while self.size < whole and (chunk := answer.read(min(CHUNK_BYTES, whole - self.size))):
                self._file.write(chunk)
                self.size += len(chunk)
                if self._on_progress:
                    self._on_progress(self.size, whole)
                if time.monotonic() > self.deadline:
                    raise _BrokenOff("it takes too long")
            if self.size < whole:
                raise _BrokenOff(f"it broke off after {self.size} of {whole} bytes")

    def _resumes(self, headers: Mapping[str, str]) -> bool:
        return headers.get("Content-Range", "").startswith(f"bytes {self.size}-")

    def _restart(self, headers: Mapping[str, str]) -> None:
        self._file.seek(0)
        self._file.truncate()
        self.size = 0
        tag = headers.get("ETag")
        self._same = tag if tag and not tag.startswith("W/") else None


def _length(headers: Mapping[str, str]) -> int:
    told = headers.get("Content-Length", "")
    if not told.isdecimal():
        raise _BrokenOff("the server does not tell its length, so that nobody knows when it is whole")
    return int(told)


def _check_url(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and here):
        raise BadSettings(f"{one_line(url)[:200]!r} is not fetched: the address must begin with https://")
