"""One job per device: the host's lock and a lease on the device itself. Knows nothing of what the job does.

On one host a lock that the system frees decides. Across hosts a lease on the device does, judged by the
device's own clock: it ends 30 s after the holder's last heartbeat, or at once where a job of this very host
left it and has ended. A guard process on the device then ends
what the job left running there and puts its settings back. `lease.sh`, which runs there, says why no two hold
it at once.
"""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack

from devices.bench.holder import Holder, host_holder, lock_file
from devices.bench.in_use import holder
from devices.bench.place import SCRIPT, SCRIPT_NAME, bases, own_folder, told
from devices.bench.retry import prompt
from devices.errors import DeviceBusy, DeviceTrouble, LeaseLost, LinkLost, NoSpace
from devices.lock import held
from devices.text import one_line
from devices.transport import Transport

__all__ = ["Holder", "Lease", "holder", "host_holder"]

EXPIRY_S = 30.0
#: heartbeats, and looks of the guard, within the time after which a lease ends
BEATS, LOOKS = 6, 15
#: how often a lease that somebody else has is asked for again
ASK_AGAIN_S = 1.0
#: how long a claim waits at most for a guard to clean up after a job that was ended, its expiry included
CLEANING_S = 65.0
COMMAND_S, BEAT_S = 20.0, 10.0
#: releasing puts back what was set, where that is still to be done
RELEASE_S = 40.0

Event = Callable[[str], None]


class Lease:
    """The right to use a device, kept alive by a thread of its own until `release`."""

    def __init__(
        self,
        transport: Transport,
        work: str,
        address: str,
        tag: str,
        *,
        expiry_s: float = EXPIRY_S,
        on_event: Event | None = None,
    ) -> None:
        """Reaches nothing yet.

        Args:
            transport: the way to the device.
            work: the work folder there, made with the first lease; the lease itself does not lie in it.
            address: the device's name in messages and for this host's lock.
            tag: of the processes that the guard ends when this host falls silent.
            expiry_s: how long after its last heartbeat the lease ends.
            on_event: told in a sentence what is waited for.
        """
        self._transport = transport
        self._folder = ""
        self._work = work
        self._address = address
        self._tag = tag
        self._expiry_s = expiry_s
        self._poll = f"{max(expiry_s / LOOKS, 0.05):.2f}"
        self._on_event = on_event or (lambda _: None)
        self._lock = ExitStack()
        self._one_beat = threading.Lock()
        self._holder = Holder.here()
        self._token = ""
        self._fence: int | None = None
        self._lost: str | None = None
        self._beat_began = 0.0
        self._stop = threading.Event()

    @property
    def fence(self) -> int | None:
        """The lease's number, which only grows; None while it is not held."""
        return self._fence

    def acquire(self, wait_s: float = 0.0) -> int:
        """Get hold of the device, of this host's lock first; returns the lease's number.

        Args:
            wait_s: how long to wait for another job.

        Raises:
            DeviceBusy: another job has it; the message says whose and since when.
            DeviceTrouble: the device cannot be reached, or keeps no lease.
        """
        deadline = time.monotonic() + wait_s
        self._holder = Holder.here()
        self._lock.close()
        self._wait(self._take_lock, deadline)
        try:
            return self._claim_until(deadline)
        except BaseException:
            self._lock.close()
            raise

    def reacquire(self) -> int:
        """Get hold of the device again after the lease was lost; the number is another one.

        Raises:
            LeaseLost: another job has it meanwhile.
            DeviceTrouble: as `acquire`.
        """
        try:
            return self._claim_until(time.monotonic())
        except DeviceBusy as error:
            raise LeaseLost(f"the lease was lost, and {error}") from error

    def beat(self) -> None:
        """Say that this job lives. Also done by a thread every few seconds.

        Raises:
            LeaseLost: the lease is somebody else's, or its time ran out.
            TransientError: the device cannot be reached.
        """
        with self._one_beat:
            if self._fence is None:
                raise LeaseLost(f"{self._address}: {self._lost or 'the lease is not held'}")
            began = time.monotonic()
            said = self._ask("beat", self._token, self._poll, timeout_s=BEAT_S)
            if said != "beating":
                self._lost, self._fence, self._token = one_line(said.removeprefix("lost ")), None, ""
                raise LeaseLost(f"{self._address}: {self._lost}")
            self._beat_began = began

    def verify(self) -> int:
        """See that the lease holds at this moment, so that what was measured counts; returns its number.

        Raises:
            LeaseLost: it does not.
            TransientError: that cannot be told, because the device cannot be reached.
        """
        fence = self._fence
        if fence is None or time.monotonic() - self._beat_began >= self._expiry_s:
            self.beat()
            fence = self._fence
        assert fence is not None  # or `beat` would have said that it is lost
        return fence

    def release(self) -> None:
        """Let go of the device and of this host's lock. May be called twice.

        Raises:
            DeviceTrouble: the device did not hear of it; there the lease ends by itself.
        """
        self._stop.set()
        try:
            with self._one_beat:
                if self._fence is not None:
                    token, self._fence, self._token = self._token, None, ""
                    self._ask("release", token, timeout_s=RELEASE_S)
        finally:
            self._lock.close()

    def _take_lock(self) -> None:
        try:
            self._lock.enter_context(held(lock_file(self._address), self._holder.to_json()))
        except BlockingIOError as error:
            found = Holder.parse(str(error.strerror))
            raise DeviceBusy(f"{self._address} is in use by {found}") from None
        except OSError as error:
            raise DeviceTrouble(f"{self._address}: cannot take this host's lock: {error}") from error

    def _claim_until(self, deadline: float) -> int:
        self._stop.set()
        with prompt(self._address):
            self._install()
        self._wait(self._claim, deadline)
        self._stop = threading.Event()
        threading.Thread(target=self._keep_beating, args=(self._stop,), daemon=True).start()
        assert self._fence is not None
        return self._fence

    def _claim(self) -> None:
        with self._one_beat:
            self._token = self._token or f"t{secrets.token_hex(8)}"  # the same until an answer came
            began = time.monotonic()
            said = self._asked_for()
            if (dead := _ended(said)) is not None:
                said = self._asked_for(dead)
            word, _, rest = said.partition(" ")
            if word == "claimed" and re.fullmatch("[0-9]{1,9}", rest):
                self._fence, self._lost, self._beat_began = int(rest), None, began
                return
            self._token = ""
            first, _, owner = rest.partition("\n")
            found = Holder.parse(owner)
            if word == "busy" and (first.split()[1:2] == ["guard"] or found.is_gone):
                raise _Cleaning(f"{self._address} is being cleaned up after {found}, which fell silent")
            if word == "busy":
                raise DeviceBusy(f"{self._address} is in use by {found}")
            if word == "lost":  # a claim whose answer never came, and that nothing followed in time
                raise _Cleaning(f"{self._address}: an earlier claim of this job ran out")
            raise DeviceTrouble(f"{self._address}: no lease could be had: {one_line(said)}")

    def _asked_for(self, dead: str = "") -> str:
        expiry = str(round(self._expiry_s * 100))
        return self._ask("claim", self._token, expiry, self._tag, self._holder.to_json(), self._poll, dead)

    def _wait(self, take: Callable[[], None], deadline: float) -> None:
        """Take something that another job may have, again and again until the deadline."""
        told = ""
        begun = time.monotonic()
        while True:
            try:
                return take()
            except DeviceBusy as error:
                patience = begun + CLEANING_S if isinstance(error, _Cleaning) else deadline
                left = max(patience, deadline) - time.monotonic()
                if left <= 0:
                    raise
                if str(error) != told:
                    told = str(error)
                    self._on_event(f"{told}; waiting")
                time.sleep(min(left, ASK_AGAIN_S, self._expiry_s / 5))

    def _keep_beating(self, stop: threading.Event) -> None:
        while not stop.wait(self._expiry_s / BEATS):
            try:
                self.beat()
            except LeaseLost:
                return  # `verify` says so to whoever wants to file a row
            except DeviceTrouble:
                continue  # the link may come back in time

    def _install(self) -> None:
        """Make the folders, put the script there, and see that it arrived as it was sent."""
        made = self._transport.run(
            ["sh", "-c", 'mkdir -p "$1" && chmod 700 "$1"', "mnas", self._work], timeout_s=COMMAND_S
        )
        if not made.ok:
            raise self._unusable(self._work, made.stdout, made.stderr)
        self._folder, there = own_folder(self._transport, self._address, make=True)
        if there == SCRIPT:
            return
        path = f"{self._folder}/{SCRIPT_NAME}"
        self._transport.push(SCRIPT, path, COMMAND_S)
        if self._transport.run(["cat", path], timeout_s=COMMAND_S).stdout != SCRIPT:
            raise LinkLost(f"{self._address}: {path} arrived changed")

    def _ask(self, verb: str, *arguments: str, timeout_s: float = COMMAND_S) -> str:
        script = f"{self._folder}/{SCRIPT_NAME}"
        command = ["sh", script, verb, bases(), *arguments]
        with prompt(self._address):
            said = self._transport.run(command, timeout_s=timeout_s)
        if said.exit_code > 128:
            raise LinkLost(f"{self._address}: the lease's command was ended from outside")
        if not said.ok:
            raise self._unusable(self._folder, said.stdout, said.stderr)
        return said.stdout.decode(errors="replace").strip()

    def _unusable(self, folder: str, stdout: bytes, stderr: bytes) -> DeviceTrouble:
        why = one_line(told(stdout, stderr)) or "no reason was given"
        kind = NoSpace if "No space left" in why else DeviceTrouble
        return kind(f"{self._address}: {folder} cannot be used: {why}")


class _Cleaning(DeviceBusy):
    """A guard cleans up on the device, or is about to: a matter of seconds."""


def _ended(said: str) -> str | None:
    """The token of a lease in the way whose job, one of this host, has ended; None: there is none."""
    first, _, owner = said.partition("\n")
    token = re.fullmatch(r"busy -?[0-9]{1,9} job ([a-z0-9]{1,64})", first)
    return token[1] if token and Holder.parse(owner).is_gone else None
