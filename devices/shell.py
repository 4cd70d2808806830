"""Command lines for a POSIX shell at the other end of a link, and how to read what they print.

Knows quoting, process groups and marks. Does not know how the link works.

A remote shell gives no reliable word on how a command ended when the link breaks, and leaves running what the
command started. So every command is wrapped: the shell first prints a mark with the number of its process
group, then runs the command, then prints the mark with the exit code on a line of its own, and ends its whole
group. No second mark before the end of the stream: the link broke. All processes of one transport carry its
tag in their environment, so that they can be found and ended later, even by another connection.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

#: the environment variable in which every process started through a link carries its transport's tag
TAG_VARIABLE = "MNAS_JOB"
_TAG = re.compile(r"[A-Za-z0-9.]{4,64}")


def new_tag() -> str:
    """A tag for the processes of one transport: letters and digits, never the same twice."""
    return f"mnas{secrets.token_hex(8)}"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A command ready for a remote shell: `line` to run there, `mark` to look for in its output."""

    line: str
    mark: bytes


def wrap(command: Sequence[str], tag: str) -> Wrapped:
    """Wrap a command so that its group, its end and its exit code can be told.

    Args:
        command: the argument list; nothing in it is expanded.
        tag: of the transport, letters, digits and dots.
    """
    if not _TAG.fullmatch(tag):
        raise ValueError(f"not a tag: {tag!r}")
    mark = f"{tag}.{secrets.token_hex(6)}"
    quoted = " ".join(map(shlex.quote, command))
    script = (
        f"export {TAG_VARIABLE}={tag}; read -r _ _ _ _ g _ </proc/$$/stat; "
        f'if [ "$g" = "$$" ]; then end="kill -9 0"; else end=:; fi; '
        f"printf '%s %s\\n' {mark} $$; exec 3<&0; trap 'eval \"$end\"' HUP TERM; "
        f"{quoted} <&3 3<&- & wait $!; rc=$?; printf '\\n%s %s\\n' {mark} $rc; eval \"$end\""
    )
    return Wrapped(f"exec sh -c {shlex.quote(script)}", mark.encode())


def sweep(tag: str) -> list[str]:
    """A command that ends every process of the transport with this tag, its orphans included."""
    if not _TAG.fullmatch(tag):
        raise ValueError(f"not a tag: {tag!r}")
    script = (
        f"for f in $(grep -l {TAG_VARIABLE}={tag} /proc/[0-9]*/environ 2>/dev/null); do "
        'p=${f#/proc/}; kill -9 "${p%/environ}" 2>/dev/null; done; true'
    )
    return ["sh", "-c", script]


def end_group(group: int) -> list[str]:
    """A command that ends a process group."""
    return ["sh", "-c", f"kill -9 -{int(group)} 2>/dev/null; true"]


class Output:
    """Takes the standard output of a wrapped command apart, as it arrives.

    Attributes:
        group: the process group on the device, None until its mark came.
        exit_code: of the command, None until its mark came; None at the end of the stream: the link broke.
    """

    def __init__(self, mark: bytes) -> None:
        self._begin = mark + b" "
        self._end = b"\n" + mark + b" "
        self._pending = b""
        self.group: int | None = None
        self.exit_code: int | None = None

    def feed(self, data: bytes) -> bytes:
        """What of the output so far belongs to the command. What may yet turn out a mark is held back."""
        self._pending += data
        if self.group is None and not self._take_group():
            return b""
        if self.exit_code is not None:
            self._pending = b""  # something that the command left running still printed
            return b""
        at = self._pending.find(self._end)
        if at >= 0:
            code, newline, _ = self._pending[at + len(self._end) :].partition(b"\n")
            if not newline:
                return self._release(at)
            if code.isdigit():
                self.exit_code = int(code)
                return self._release(at)
        return self._release(len(self._pending) - self._held())

    def rest(self) -> bytes:
        """What was held back, once the stream has ended."""
        return self._release(len(self._pending)) if self.exit_code is None else b""

    def _take_group(self) -> bool:
        # a login shell may print before the wrapper does: that is not the command's
        at = self._pending.find(self._begin)
        if at < 0:
            return False
        number, newline, after = self._pending[at + len(self._begin) :].partition(b"\n")
        if not newline:
            return False
        self.group = int(number) if number.isdigit() else 0
        self._pending = after
        return True

    def _held(self) -> int:
        """Length of the tail that may be the beginning of the mark of the end."""
        most = min(len(self._end), len(self._pending))
        return next((n for n in range(most, 0, -1) if self._end.startswith(self._pending[-n:])), 0)

    def _release(self, count: int) -> bytes:
        out, self._pending = self._pending[:count], self._pending[count:]
        return out
