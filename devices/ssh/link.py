"""One living connection, watched: a silent peer is found by the clock here. Knows no command and no file."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from paramiko import Channel
from paramiko.ssh_exception import ChannelException, SSHException

from devices.errors import DeadlineExceeded, LinkLost
from devices.ssh.connect import Connection

#: how long a send or a receive waits before it looks up
TICK_S = 0.2
#: how long to wait before another session is asked for where the server allows no more
FULL_S = 0.05


class Link:
    """A connection on which somebody waits for at most `patience_s` without any sign of the peer.

    paramiko waits without limits in many places, and its keep-alive never notices a frozen peer. So while
    anything is under way, a watcher asks the peer for an answer after a third of the patience, and closes the
    connection when the patience is over: whoever waits then wakes up.
    """

    def __init__(self, connection: Connection, name: str, patience_s: float) -> None:
        self._connection = connection
        self._name = name
        self._patience_s = patience_s
        self._busy = 0
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._gone = threading.Event()
        self._heard_at = time.monotonic()
        self._asking = False
        #: why it was given up, None while it was not
        self.reason: str | None = None
        threading.Thread(target=self._watch, daemon=True, name="mnas ssh watcher").start()

    @property
    def alive(self) -> bool:
        """Whether nothing is known to be wrong with it."""
        return not self._gone.is_set() and self._connection.transport.is_active()

    def heard(self) -> None:
        """Take note of a sign of life."""
        self._heard_at = time.monotonic()

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """While something is under way, the peer is watched."""
        self.begin()
        try:
            yield
        finally:
            self.end()

    def begin(self) -> None:
        """Something is under way now."""
        with self._lock:
            if not self._busy:
                self.heard()  # nobody listened until now
            self._busy += 1

    def end(self) -> None:
        """One thing less is under way."""
        with self._lock:
            self._busy -= 1

    def execute(self, line: str, timeout_s: float) -> Channel:
        """A channel on which a command line was started. Waits where the server allows no more sessions.

        Raises:
            LinkLost: the connection broke, or is broken.
            DeadlineExceeded: the server allowed no session in time.
        """
        deadline = time.monotonic() + timeout_s
        with self.busy():
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise DeadlineExceeded(
                        f"{self._name}: its server allowed no further session within {timeout_s:g} s "
                        "(MaxSessions in sshd_config)"
                    )
                try:
                    # one after the other: paramiko keeps one reason for all that fail at once;
                    # its own time limit only backs the watcher up
                    with self._opening:
                        channel = self._connection.transport.open_session(timeout=2 * self._patience_s)
                    channel.settimeout(TICK_S)
                    channel.exec_command(line.encode("utf-8", "surrogateescape"))
                except ChannelException:
                    time.sleep(min(FULL_S, left))
                except (SSHException, OSError, EOFError) as error:
                    raise self.lost(error) from error
                else:
                    self.heard()
                    return channel

    def lost(self, error: BaseException | None = None) -> LinkLost:
        """The error to raise when something ended that should not have; closes what is left."""
        said = str(error) if error and str(error) else ""
        self.close(said)
        return LinkLost(f"{self._name}: the connection broke" + (f": {self.reason}" if self.reason else ""))

    def close(self, reason: str = "") -> None:
        """Close the connection. May be called twice."""
        with self._lock:
            if self._gone.is_set():
                return
            self.reason = reason
            self._gone.set()
        self._connection.close()

    def _watch(self) -> None:
        transport = self._connection.transport
        while not self._gone.wait(min(1.0, self._patience_s / 6)) and transport.is_active():
            silent_s = time.monotonic() - self._heard_at
            if not self._busy:
                continue
            if silent_s > self._patience_s:
                self.close(f"no answer for {silent_s:.1f} s")
            elif silent_s > self._patience_s / 3 and not self._asking:
                self._asking = True
                threading.Thread(target=self._ask, daemon=True, name="mnas ssh ping").start()
        self.close("the other side hung up")

    def _ask(self) -> None:
        """Ask for an answer, any answer. Sending may block as well, therefore not on the watcher's thread."""
        transport = self._connection.transport
        with contextlib.suppress(SSHException, OSError, EOFError):
            transport.global_request("keepalive@openssh.com", wait=True)
            if transport.is_active():
                self.heard()
        self._asking = False
