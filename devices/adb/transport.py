"""A phone as a transport: commands, processes, files over an adb connection. Knows no way of connecting."""

from __future__ import annotations

import contextlib
import posixpath
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from devices.adb.channel import AdbChannel
from devices.adb.connection import AdbConnection
from devices.adb.execution import Execution, complete
from devices.adb.sync import SyncFailed, SyncService
from devices.errors import DeadlineExceeded, DevicesError, DeviceTrouble, LinkLost, NoSpace, TransientError
from devices.shell import new_tag, sweep, wrap
from devices.text import one_line
from devices.transport import Channel, CommandResult

#: how long a phone may take to end what a command left, before its link counts as broken
SETTLE_S = 10.0
#: how long a process may take to start
START_S = 30.0
#: how long somebody else's attempt to connect is waited for
CONNECT_MOST_S = 90.0
#: the longest file that is pulled
LIMIT_BYTES = 1 << 30
_STARTER = 'command -v "$1" >/dev/null 2>&1 || exit 127; echo started; exec "$@"'
_MOVER = '[ -d "$2" ] && { echo "it is a directory" >&2; exit 1; }; mv -f -- "$1" "$2"'


class AdbTransport:
    """A phone behind an adb daemon (see `Transport`). Connects at its first use; any thread may call.

    A command that does not end in time is ended on the phone; if the phone does not even answer to that, its
    link is lost. After that, or after any break, the next call connects anew, once, and first ends whatever
    the earlier connection left running.
    """

    def __init__(self, connect: Callable[[], AdbConnection], name: str, tag: str | None = None) -> None:
        """Prepare to reach a phone.

        Args:
            connect: reaches it; raises a `DevicesError` when it cannot.
            name: its address, for messages.
            tag: of its processes, to end them from elsewhere (see `devices.shell.sweep`).
        """
        self.name = name
        self.tag = tag or new_tag()
        self._connect = connect
        self._lock = threading.Lock()
        self._connection: AdbConnection | None = None  # one that broke stays until the next is there
        self._unfinished: set[str] = set()
        self._channels: list[AdbChannel] = []

    def run(self, command: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> CommandResult:
        """Run a command to its end (see `Transport.run`)."""
        with self._reached() as connection:
            return self._run(connection, command, stdin, timeout_s)

    def spawn(self, command: Sequence[str]) -> Channel:
        """Start a process and talk to it (see `Transport.spawn`)."""
        tag, name = self._command_tag(), str(command[0])
        wrapped = wrap(["sh", "-c", _STARTER, "sh", *command], tag)
        with self._reached() as connection:
            channel = AdbChannel(
                Execution(connection, wrapped, START_S),
                name,
                lambda: self._end_quietly(connection, tag),
                lambda: self._lose(connection),
            )
            try:
                started = channel.read_line(START_S)
                if started != b"started":
                    raise DeviceTrouble(f"cannot start {name}: there is no such program, or it cannot be run")
            except DeadlineExceeded as error:
                channel.kill()
                raise DeadlineExceeded(f"{name} did not start within {START_S:g} s") from error
            except BaseException:
                channel.kill()
                raise
        with self._lock:
            self._channels = [each for each in self._channels if each.running] + [channel]
        return channel

    def push(self, content: bytes, path: str, timeout_s: float = 60.0) -> None:
        """Write a file, whole or not at all (see `Transport.push`)."""
        deadline = time.monotonic() + timeout_s
        folder = posixpath.dirname(path) or "."
        temporary = posixpath.join(folder, f".{self._command_tag()}")
        with self._reached() as connection:
            self._unfinished.add(temporary)
            try:
                with _syncing(connection, deadline) as sync:
                    if not sync.is_directory(folder):
                        raise SyncFailed(f"there is no directory {folder}")
                    sync.send(temporary, content, 0o600)
                mover = ["sh", "-c", _MOVER, "sh", temporary, path]
                moved = self._run(connection, mover, b"", deadline - time.monotonic())
                if not moved.ok:
                    raise SyncFailed(moved.stderr.decode(errors="replace"))
            except (SyncFailed, DeadlineExceeded) as error:
                self._remove(connection, [temporary])
                self._unfinished.discard(temporary)
                if isinstance(error, DeadlineExceeded):
                    raise DeadlineExceeded(f"{path} was not written within {timeout_s:g} s") from error
                raise _cannot("write", path, error) from error
            self._unfinished.discard(temporary)

    def pull(self, path: str, timeout_s: float = 60.0) -> bytes:
        """Read a file (see `Transport.pull`)."""
        with self._reached() as connection:
            try:
                with _syncing(connection, time.monotonic() + timeout_s) as sync:
                    return sync.receive(path, LIMIT_BYTES)
            except SyncFailed as error:
                raise _cannot("read", path, error) from error
            except DeadlineExceeded as error:
                self._answer(connection, ["true"])
                raise DeadlineExceeded(f"{path} was not read within {timeout_s:g} s") from error

    def close(self) -> None:
        """End what runs, and let go of the phone."""
        with self._lock:
            channels, self._channels = self._channels, []
        for channel in channels:
            channel.kill()
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            self._end_quietly(connection, self.tag)
            with contextlib.suppress(DevicesError):
                self._remove(connection, sorted(self._unfinished))
            connection.close()

    @contextlib.contextmanager
    def _reached(self) -> Iterator[AdbConnection]:
        """A connection for one call; a call that loses the link lets go of it for all."""
        connection = self._connected()
        try:
            yield connection
        except TransientError:
            self._lose(connection)
            raise

    def _connected(self) -> AdbConnection:
        if not self._lock.acquire(timeout=CONNECT_MOST_S):
            raise DeadlineExceeded(f"{self.name} could not be reached within {CONNECT_MOST_S:g} s")
        try:
            before = self._connection
            if before is not None and before.alive:
                return before
            connection = self._connect()
            try:
                if "shell_v2" not in connection.features:
                    raise DeviceTrouble(
                        f"{self.name} cannot tell how a command ended (it offers no shell_v2): "
                        "Android 7 or newer is needed"
                    )
                if before is not None:
                    before.close()
                    self._answer(connection, sweep(self.tag))
                    unfinished = sorted(self._unfinished)
                    self._remove(connection, unfinished)
                    self._unfinished.difference_update(unfinished)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            return connection
        finally:
            self._lock.release()

    def _lose(self, connection: AdbConnection) -> None:
        """Let go of a connection, so that all who use it notice and the next call makes another."""
        connection.close()

    def _run(
        self, connection: AdbConnection, command: Sequence[str], stdin: bytes, timeout_s: float
    ) -> CommandResult:
        """Run a command to its end, or to its deadline and then end it."""
        deadline = time.monotonic() + timeout_s
        tag, name = self._command_tag(), str(command[0])
        try:
            execution = Execution(connection, wrap(command, tag), timeout_s)
            result = complete(execution, name, stdin, deadline, timeout_s)
        except TransientError:
            raise
        except DeadlineExceeded:
            self._answer(connection, sweep(tag))
            raise
        except BaseException:
            self._end_quietly(connection, tag)
            raise
        if execution.left_open:
            self._answer(connection, sweep(tag))
        return result

    def _answer(self, connection: AdbConnection, command: Sequence[str]) -> None:
        """Run a command that no working phone fails to end, outside the reach of its own sweep."""
        deadline = time.monotonic() + SETTLE_S
        try:
            execution = Execution(connection, wrap(command, new_tag()), SETTLE_S)
            complete(execution, command[0], b"", deadline, SETTLE_S)
        except DeadlineExceeded as error:
            raise LinkLost(f"{self.name} does not answer any more: nothing for {SETTLE_S:g} s") from error

    def _remove(self, connection: AdbConnection, paths: Sequence[str]) -> None:
        """Remove what transfers left."""
        if paths:
            self._answer(connection, ["rm", "-f", "--", *paths])

    def _end_quietly(self, connection: AdbConnection, tag: str) -> None:
        """End all processes of a tag if the phone can still be told to."""
        try:
            if connection.alive:
                self._answer(connection, sweep(tag))
        except TransientError:
            self._lose(connection)
        except DevicesError:
            pass

    def _command_tag(self) -> str:
        """A tag of one command, which `sweep` with the transport's tag ends too."""
        return f"{self.tag}.{secrets.token_hex(6)}"


@contextlib.contextmanager
def _syncing(connection: AdbConnection, deadline: float) -> Iterator[SyncService]:
    stream = connection.open("sync:", deadline - time.monotonic())
    try:
        yield SyncService(stream, deadline)
    finally:
        stream.close()


def _cannot(do: str, path: str, error: SyncFailed) -> DeviceTrouble:
    reason = one_line(str(error)) or "the phone does not say why"
    kind = NoSpace if "No space left" in reason else DeviceTrouble
    return kind(f"cannot {do} {path}: {reason}")
