"""A board over SSH as a transport: commands, processes, files. Knows nothing of measuring."""

from __future__ import annotations

import contextlib
import secrets
import threading
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from devices.errors import (
    BadSettings,
    DeadlineExceeded,
    DevicesError,
    DeviceTrouble,
    NoSpace,
)
from devices.shell import end_group, new_tag, sweep, wrap
from devices.ssh.channel import SshChannel
from devices.ssh.config import route
from devices.ssh.connect import connect
from devices.ssh.link import Link
from devices.text import one_line
from devices.transport import Channel, CommandResult

CONNECT_S = 20.0
#: how long the peer may be silent while something is under way
PATIENCE_S = 15.0
#: how long a board that was lost is looked for once more when it is let go of
LAST_S = 5.0
#: Linux takes no longer argument, and a login shell gets the whole command line as one
LINE_LIMIT_BYTES = 120_000
#: printed by a process that was found, on the line before its own output
_READY = b"ready"
_SPAWN = 'command -v -- "$0" >/dev/null 2>&1 || exit 127; echo ready; exec "$0" "$@"'
_PUSH = (
    'if [ -d "$2" ]; then echo "it is a folder" >&2; exit 1; fi; umask 077; '
    'if cat >"$1" && [ "$(wc -c <"$1")" -eq "$3" ] && mv -f -- "$1" "$2"; then :; '
    'else rm -f -- "$1"; exit 1; fi'
)


class SshTransport:
    """Runs commands and processes on a host reached over SSH (see `devices.transport.Transport`).

    Connects at the first use, as OpenSSH's client would: aliases, jump hosts, keys and known hosts are those
    of `~/.ssh`; host keys are always checked. A deadline counts from the start of the command; what comes
    before, at most `connect_s` and `patience_s`, does not count. After a broken link the next call connects
    anew and first ends what the old one left running. May be used by several threads at once.
    """

    def __init__(
        self,
        host: str,
        user: str | None = None,
        port: int | None = None,
        *,
        tag: str | None = None,
        known_hosts: str | Path | None = None,
        config: str | Path | None = None,
        on_event: Callable[[str], None] | None = None,
        patience_s: float = PATIENCE_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        """Reads the SSH configuration; connects later.

        Args:
            host: a name, an address, or an alias of the SSH configuration.
            user: who to log in as; the configuration's, or the user here, by default.
            port: the configuration's, or 22, by default.
            tag: of every process started there (see `devices.shell`); a new one by default.
            known_hosts: a file of host keys to use instead of the usual ones.
            config: a file to read instead of `~/.ssh/config`.
            on_event: told, in a sentence, of a connection made anew.
            patience_s: how long the peer may be silent before the link counts as broken.
            connect_s: how long logging in may take.

        Raises:
            BadSettings: no such host can be, or the configuration cannot be read.
        """
        self.tag = tag or new_tag()
        self._hops = route(
            host, user, port, Path(config) if config else None, Path(known_hosts) if known_hosts else None
        )
        self._on_event = on_event or (lambda _: None)
        self._patience_s = patience_s
        self._connect_s = connect_s
        self._link: Link | None = None
        self._swept = True
        self._lock = threading.Lock()
        self._channels: weakref.WeakSet[SshChannel] = weakref.WeakSet()
        self._unfinished: set[str] = set()

    @property
    def name(self) -> str:
        """Who is logged in where, for messages: `user@host:port`."""
        return str(self._hops[-1])

    def run(self, command: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> CommandResult:
        """Run a command to its end (see `Transport.run`)."""
        return self._run(self._connected(), command, stdin, timeout_s)

    def spawn(self, command: Sequence[str]) -> Channel:
        """Start a process and talk to it (see `Transport.spawn`)."""
        channel = self._start_ours(
            self._connected(), ["sh", "-c", _SPAWN, *command], command[0], by_line=True
        )
        with self._lock:
            self._channels.add(channel)
        try:
            if channel.read_line(self._patience_s) == _READY:
                return channel
        except BaseException:
            channel.kill()
            raise
        raise DeviceTrouble(f"{self.name}: cannot start {command[0]}: there is no such program")

    def push(self, content: bytes, path: str, timeout_s: float = 60.0) -> None:
        """Write a file, readable for its owner only, whole or not at all (see `Transport.push`)."""
        temporary = str(PurePosixPath(path).parent / f".mnas.{secrets.token_hex(8)}")
        self._unfinished.add(temporary)
        try:
            result = self.run(
                ["sh", "-c", _PUSH, "sh", temporary, path, str(len(content))], content, timeout_s
            )
        except DeadlineExceeded:
            self.run(["rm", "-f", "--", temporary], timeout_s=self._patience_s)
            self._unfinished.discard(temporary)
            raise
        self._unfinished.discard(temporary)
        if not result.ok:
            reason = one_line(result.stderr.decode(errors="replace")) or "it arrived incomplete"
            kind = NoSpace if "no space left" in reason.lower() else DeviceTrouble
            raise kind(f"{self.name}: cannot write {path}: {reason}")

    def pull(self, path: str, timeout_s: float = 60.0) -> bytes:
        """Read a file (see `Transport.pull`)."""
        result = self.run(["cat", "--", path], timeout_s=timeout_s)
        if not result.ok:
            reason = one_line(result.stderr.decode(errors="replace"))
            raise DeviceTrouble(f"{self.name}: cannot read {path}: {reason}")
        return result.stdout

    def close(self) -> None:
        """Let go of the board: end every process still running there. May be called twice.

        Over a broken link it tries a new one for some seconds.
        """
        with self._lock:
            channels = list(self._channels)
        for channel in channels:
            channel.kill()
        with self._lock:
            link, self._link = self._link, None
            self._swept = True
            if link is None:
                return
            with contextlib.suppress(DevicesError):
                if not link.alive:
                    link.close()
                    link = Link(
                        connect(self._hops, min(self._connect_s, LAST_S)), self.name, self._patience_s
                    )
                self._clean(link)
            link.close("it was let go of")

    def _connected(self) -> Link:
        """The link, made anew if it broke."""
        if not self._lock.acquire(timeout=self._connect_s + 2 * self._patience_s):
            raise DeadlineExceeded(f"{self.name}: another call is still connecting")
        try:
            link = self._link
            if link is not None and link.alive and self._swept:
                return link
            if link is not None and not link.alive:
                self._swept = False
                link.close()
            if link is None or not link.alive:
                link = Link(connect(self._hops, self._connect_s), self.name, self._patience_s)
                self._link = link
            if not self._swept:
                self._clean(link)
                self._swept = True
                self._on_event(
                    f"{self.name}: connected again; what the old connection left running was ended"
                )
            return link
        finally:
            self._lock.release()

    def _clean(self, link: Link) -> None:
        """End what this transport left running, and remove files that it wrote by half."""
        self._own(link, sweep(self.tag))
        leftovers = list(self._unfinished)
        if leftovers:
            self._own(link, ["rm", "-f", "--", *leftovers])
            self._unfinished.difference_update(leftovers)

    def _own(self, link: Link, command: Sequence[str]) -> None:
        """A short command of the transport itself, under another tag: a sweep must not end itself."""
        channel = self._start(
            link, command, tag=new_tag(), name=command[0], end=lambda _: None, by_line=False
        )
        try:
            channel.feed(b"")
            channel.finish(self._patience_s)
        finally:
            channel.kill()

    def _end(self, link: Link, tag: str, group: int) -> None:
        """End a command's process group, and what left it."""
        try:
            self._own(link, end_group(group))
            self._own(link, sweep(tag))
        except DeadlineExceeded:
            link.close("it does not end what it was told to end")  # the next connection sweeps
            raise

    def _run(self, link: Link, command: Sequence[str], stdin: bytes, timeout_s: float) -> CommandResult:
        channel = self._start_ours(link, command, command[0], by_line=False)
        try:
            channel.feed(stdin)
            return CommandResult(*channel.finish(timeout_s))
        except DeadlineExceeded:
            said = one_line(channel.said())
            raise DeadlineExceeded(
                f"{command[0]} did not end within {timeout_s:g} s and was stopped"
                + (f"; it said: {said}" if said else "")
            ) from None
        finally:
            channel.kill()

    def _start_ours(self, link: Link, command: Sequence[str], name: str, by_line: bool) -> SshChannel:
        """Start a command that carries the transport's tag and one of its own behind it."""
        tag = f"{self.tag}.{secrets.token_hex(4)}"
        return self._start(
            link, command, tag=tag, name=name, end=lambda group: self._end(link, tag, group), by_line=by_line
        )

    def _start(
        self,
        link: Link,
        command: Sequence[str],
        *,
        tag: str,
        name: str,
        end: Callable[[int], None],
        by_line: bool,
    ) -> SshChannel:
        wrapped = wrap(command, tag)
        size = len(wrapped.line.encode("utf-8", "surrogateescape"))
        if size > LINE_LIMIT_BYTES:
            raise BadSettings(
                f"a command line of {size} bytes is too long for {self.name}; at most {LINE_LIMIT_BYTES} go"
            )
        session = link.execute(wrapped.line, self._patience_s)
        channel = SshChannel(link, session, wrapped.mark, name=name, end=end, by_line=by_line)
        try:
            channel.started(self._patience_s)
        except BaseException:
            channel.kill()
            raise
        return channel
