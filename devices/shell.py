"""Command lines for a POSIX shell at the other end of a link, and how to read what they print.

Knows quoting, process groups and marks. Does not know how the link works.

A remote shell gives no reliable word on how a command ended when the link breaks, and leaves running what the
command started. So every command is wrapped: the shell first prints a mark with the number of its process
group, then runs the command, then prints the mark with the exit code right behind the output, and ends its
whole group. No second mark before the end of the stream: the link broke. All processes of one transport carry
its tag in their environment, so that they can be found and ended later, even by another connection.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from devices.errors import BadSettings

#: the environment variable in which every process started through a link carries its transport's tag
TAG_VARIABLE = "MNAS_JOB"
_TAG = re.compile(r"[A-Za-z0-9.]{4,64}")
#: the longest numbers behind marks: of a process, of an exit code
_GROUP_DIGITS, _CODE_DIGITS = 10, 3
#: how often processes are looked for that will not end
_SWEEPS = 20


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

    Raises:
        BadSettings: the command is empty, or has a NUL byte, which no command line can hold.
    """
    if not _TAG.fullmatch(tag):
        raise ValueError(f"not a tag: {tag!r}")
    if not command or any("\0" in argument for argument in command):
        raise BadSettings("a command has at least one word, and no word of it has a NUL byte")
    mark = f"{tag}.{secrets.token_hex(6)}"
    # the first word in quotes whatever it is: no assignment, no word of the shell's grammar
    quoted = " ".join([_quoted(command[0]), *map(shlex.quote, command[1:])])
    script = (
        f"export {TAG_VARIABLE}={tag}; read -r _ _ _ _ g _ </proc/$$/stat; "
        f'if [ "$g" = "$$" ]; then end="kill -9 0"; else end=:; fi; '
        f"printf '%s %s\\n' {mark} $$; exec 3<&0; trap 'eval \"$end\"' HUP TERM; "
        f"{quoted} <&3 3<&- & wait $!; rc=$?; printf '%s %s\\n' {mark} $rc; eval \"$end\""
    )
    return Wrapped(f"exec sh -c {shlex.quote(script)}", mark.encode())


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\"'\"'") + "'"


def sweep(tag: str) -> list[str]:
    """A command that ends every process of the transport with this tag, its orphans included.

    It spares its own shell only. A tag that begins with this one, such as that of a single command, is the
    transport's as well.
    """
    if not _TAG.fullmatch(tag):
        raise ValueError(f"not a tag: {tag!r}")
    # looked for until none is found: some may just be starting others, and none ends at once
    script = (
        f"n=0; left=1; while [ $left -gt 0 ] && [ $n -lt {_SWEEPS} ]; do n=$((n+1)); left=0; "
        f"for f in $({TAG_VARIABLE}= grep -l {TAG_VARIABLE}={tag} /proc/[0-9]*/environ 2>/dev/null); do "
        'p=${f#/proc/}; p=${p%/environ}; [ "$p" = "$$" ] || { left=1; kill -9 "$p" 2>/dev/null; }; '
        "done; done; true"
    )
    return ["sh", "-c", script]


def end_group(group: int) -> list[str]:
    """A command that ends a process group; 0 and 1, which stand for more than a group, are left alone."""
    return ["sh", "-c", f"[ {int(group)} -gt 1 ] && kill -9 -{int(group)} 2>/dev/null; true"]


class Output:
    """Takes the standard output of a wrapped command apart, as it arrives.

    Nothing is held back but what may be the beginning of the mark of the end, so a whole line is there as
    soon as it has come. A mark without a number behind it belongs to the output: a list of processes shows
    the wrapper's own command line.

    Attributes:
        group: the process group on the device, None until its mark came.
        exit_code: of the command, None until its mark came; None at the end of the stream: the link broke.
    """

    def __init__(self, mark: bytes) -> None:
        self._mark = mark + b" "
        self._pending = b""
        self.group: int | None = None
        self.exit_code: int | None = None

    def feed(self, data: bytes) -> bytes:
        """What of the output so far belongs to the command. What may yet turn out a mark is held back."""
        if self.exit_code is not None:
            return b""  # something that the command left running still printed
        self._pending += data
        if self.group is None:
            # a login shell may print before the wrapper does: that is not the command's
            _, self.group, self._pending = self._split(_GROUP_DIGITS)
            if self.group is None:
                return b""
        out, self.exit_code, self._pending = self._split(_CODE_DIGITS)
        return out

    def rest(self) -> bytes:
        """What was held back, once the stream has ended."""
        if self.group is None or self.exit_code is not None:
            return b""
        out, self._pending = self._pending, b""
        return out

    def _split(self, digits: int) -> tuple[bytes, int | None, bytes]:
        """What is before the first mark with its number, the number, what is behind or waits for more."""
        pending, at = self._pending, 0
        while (at := pending.find(self._mark, at)) >= 0:
            start = at + len(self._mark)
            number, newline, _ = pending[start : start + digits + 1].partition(b"\n")
            if newline and number.isdigit():
                return pending[:at], int(number), pending[start + len(number) + 1 :]
            begun = start + len(number) == len(pending) and len(number) <= digits
            if begun and (not number or number.isdigit()):
                break  # the rest of the number is on its way
            at += 1
        if at < 0:
            at = len(pending) - self._begun()
        return pending[:at], None, pending[at:]

    def _begun(self) -> int:
        """Length of the tail that may be the beginning of a mark."""
        most = min(len(self._mark), len(self._pending))
        return next((n for n in range(most, 0, -1) if self._mark.startswith(self._pending[-n:])), 0)
