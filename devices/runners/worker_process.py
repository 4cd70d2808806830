"""One worker process: starts it, asks it, and turns its ends into errors. Knows nothing of plans."""

from __future__ import annotations

import json
import re
import signal
from typing import Any

from devices import errors
from devices.errors import DeadlineExceeded, DevicesError, DeviceTrouble, WorkerCrashed
from devices.text import one_line, plain
from devices.transport import Channel, Transport

#: answers that only start-up, with the import of a runtime, may take
START_S = 90.0
#: how much longer than its own deadline a worker is waited for
GRACE_S = 0.5
LINE_KEPT = 300
#: a runtime's information and warnings, for example on a delegate that it made or did without
_CHATTER = re.compile(r"(VERBOSE|DEBUG|INFO|WARNING)\b|[IW]\d{4} ")


def last_line(output: bytes) -> str:
    """The last line that may tell why a process ended: not one that the runtime calls less than an error."""
    lines = map(plain, output.decode(errors="replace").splitlines())
    telling = [line for line in lines if line and not _CHATTER.match(line)]
    return telling[-1][:LINE_KEPT] if telling else ""


def ending(exit_code: int) -> str:
    """An exit code in words, for example `signal 11 (SIGSEGV)`."""
    if exit_code > 128:
        number = exit_code - 128
        try:
            return f"signal {number} ({signal.Signals(number).name})"
        except ValueError:
            return f"signal {number}"
    return f"exit code {exit_code}"


class WorkerProcess:
    """A worker that answers one request at a time. After any error but the worker's own reply it is gone."""

    def __init__(self, transport: Transport, python: str, script: str, directory: str) -> None:
        """Start the worker.

        Raises:
            DeviceTrouble: it cannot be started.
        """
        self._channel: Channel = transport.spawn([python, "-u", script, directory])
        self._number = 0
        self.alive = True

    def ask(self, command: str, deadline_s: float, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for its reply.

        Raises:
            DevicesError: what the worker answered; the worker lives on.
            WorkerCrashed: it ended, with how, and its last words.
            DeadlineExceeded: no answer within `deadline_s`; it was stopped.
        """
        self._number += 1
        request = {"id": self._number, "command": command, "deadline_s": deadline_s, **fields}
        try:
            self._channel.write(json.dumps(request).encode() + b"\n", deadline_s)
            line = self._channel.read_line(deadline_s + GRACE_S)
            reply = self._parse(line) if line else self._crashed()
        except DeadlineExceeded as error:
            self.kill()
            raise DeadlineExceeded(
                f"the worker did not answer within {deadline_s:g} s and was stopped"
            ) from error
        except BaseException:
            self.kill()
            raise
        if "error" in reply:
            kind = getattr(errors, str(reply["error"]), DeviceTrouble)
            known = isinstance(kind, type) and issubclass(kind, DevicesError)
            raise (kind if known else DeviceTrouble)(one_line(str(reply.get("message"))))
        return reply

    def _parse(self, line: bytes) -> dict[str, Any]:
        try:
            reply = json.loads(line)
        except ValueError:
            reply = None
        if not isinstance(reply, dict) or reply.get("id") != self._number:
            raise DeviceTrouble(
                f"the worker gave no proper answer but: {plain(line[:LINE_KEPT].decode(errors='replace'))}"
            )
        return reply

    def _crashed(self) -> dict[str, Any]:
        try:
            how = ending(self._channel.wait(GRACE_S))
            if how.startswith("signal 9 "):
                how += ", which is how the kernel ends a process when memory runs out"
        except DeadlineExceeded:
            how = "closing its output"
        words = last_line(self._channel.errors())
        raise WorkerCrashed(
            f"the worker ended with {how}" + (f"; the runtime's last line: {words}" if words else "")
        )

    def kill(self) -> None:
        """End it. May be called twice."""
        self.alive = False
        self._channel.kill()
