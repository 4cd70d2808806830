"""Sets a device up for measuring and puts it back: governor, frequency, awake with the screen on.

Does not know how the device is reached, nor who may use it: the job that holds the device's lease calls it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from devices.bench.place import own_folder
from devices.bench.restore import (
    DONE_KEPT,
    DONE_NAME,
    RECORD,
    SCRIPT_NAME,
    Before,
    restore_script,
    write_script,
)
from devices.bench.wanted import Plan, Wanted, found, plan_for
from devices.errors import BadSettings, DeviceTrouble, TransientError
from devices.facts import DeviceState, machine, state
from devices.records import from_plain, to_plain
from devices.state import file_name, state_directory
from devices.survey import elevated, survey
from devices.text import one_line
from devices.transport import CommandResult, Transport

__all__ = ["Conditions", "Wanted"]

SET_S, RESTORE_S = 30.0, 45.0
#: how much of what a device says is kept
SAID_KEPT = 500
#: how often, and how long apart, a screen is looked at that was switched on
SCREEN_LOOKS, SCREEN_S = 5, 0.4
#: exit code of `restore` where there is no script
_NO_SCRIPT = 90


@dataclass(frozen=True, slots=True)
class _Kept:
    """What this host remembers of a device that it changed.

    Attributes:
        before: how it was.
        record: what the device notes when it has been put back.
        identity: of the device (see `MachineFacts`).
    """

    before: Before
    record: str
    identity: str | None = None

    def __post_init__(self) -> None:
        if not RECORD.fullmatch(self.record):
            raise BadSettings(f"{self.record!r} is no record of a change")


class Conditions:
    """The conditions on one device: `apply` before measuring, `restore` after it.

    What is to be put back is written to the device and to this host before anything is changed.
    """

    def __init__(
        self, transport: Transport, work: str, address: str, wanted: Wanted | None = None, *, root: str = ""
    ) -> None:
        """Reaches nothing yet.

        Args:
            transport: the way to the device.
            work: the work folder there.
            address: the device's name, under which this host remembers what to put back.
            wanted: the conditions.
            root: a folder that stands for the root of the device's /proc and /sys.
        """
        self._transport = transport
        self._work = work
        self._address = address
        self._wanted = wanted or Wanted()
        self._root = root
        self._identity: str | None = None

    def apply(self) -> tuple[str, ...]:
        """Set the conditions, after putting back what an earlier job may have left.

        Returns:
            What holds, as read back, and what could not be had, in words that are the same every time.

        Raises:
            DeviceTrouble: the device cannot be reached or takes no files.
        """
        if left := self.restore_leftover():
            return (*left, "nothing else is set until that is put back")
        found_there = survey(self._transport, self._work, root=self._root)
        before, self._identity = state(found_there), machine(found_there).identity
        plan = plan_for(before, self._wanted, self._root)
        now = self._changed(plan) if plan.before.changes else before
        jetson = [f"power mode {before.power_mode}"] if before.power_mode else []
        if before.clocks_locked:
            jetson.append("jetson_clocks holds the frequency")
        return (*plan.notes, *found(now, self._wanted), *jetson)

    def restore(self) -> tuple[str, ...]:
        """Put everything back as it was before `apply`; may be called at any time and again.

        Returns:
            What is not as it was; empty if all is. What is not stays remembered for the next attempt.

        Raises:
            DeviceTrouble: the device cannot be reached.
        """
        result = self._run_script()
        if result.exit_code == _NO_SCRIPT:
            lost = self._lost(result.stdout.decode(errors="replace"))
            if lost is not None:
                self._send(*lost)
                result = self._run_script()
        if result.exit_code in (0, _NO_SCRIPT):
            self._memory.unlink(missing_ok=True)
            return ()
        said = one_line(result.stderr[-SAID_KEPT:].decode(errors="replace"))
        return (f"not put back as it was: {said or f'exit code {result.exit_code}'}",)

    def has_leftover(self) -> bool:
        """Whether the device or this host remembers something that is to be put back, perhaps already done.

        Raises:
            DeviceTrouble: the device cannot be reached.
        """
        if self._memory.exists():
            return True
        folder, _ = own_folder(self._transport, self._address, make=False)
        return self._transport.run(["test", "-f", f"{folder}/{SCRIPT_NAME}"], timeout_s=SET_S).ok

    def restore_leftover(self) -> tuple[str, ...]:
        """Put back what an earlier job left, as it does when the device was restarted.

        Returns and raises as `restore`.
        """
        return self.restore()

    def _now(self) -> DeviceState:
        return state(survey(self._transport, self._work, glance=True, root=self._root))

    def _run_script(self) -> CommandResult:
        """Run what puts back, if it is there and this login's; otherwise tell what was put back by now."""
        folder, _ = own_folder(self._transport, self._address, make=False)
        there, script, done = (shlex.quote(one) for one in (folder, *_files(folder)))
        run = (
            f"if [ ! -h {there} ] && [ -O {there} ]; then "
            f"if [ -f {script} ]; then exec sh {script}; fi; tail -n {DONE_KEPT} {done} 2>/dev/null; fi; "
            f"exit {_NO_SCRIPT}"
        )
        return self._transport.run(["sh", "-c", run], timeout_s=RESTORE_S)

    @property
    def _memory(self) -> Path:
        return state_directory("conditions") / f"{file_name(self._address)}.json"

    def _remember(self, before: Before) -> None:
        """Write what to put back to this host and to the device."""
        kept = _Kept(before, secrets.token_hex(8), self._identity)
        new = self._memory.with_suffix(f".{os.getpid()}.new")
        try:
            with new.open("w", encoding="utf-8") as file:
                new.chmod(0o600)
                file.write(json.dumps(to_plain(kept), indent=1))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._memory)
        except OSError as error:
            raise BadSettings(f"cannot write {self._memory}: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                new.unlink()
        self._send(before, kept.record)

    def _remembered(self) -> _Kept | None:
        """What this host knows is to be put back; None where it knows nothing."""
        try:
            return from_plain(_Kept, json.loads(self._memory.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, BadSettings):
            return None  # the device's own script is what counts

    def _lost(self, done: str) -> tuple[Before, str] | None:
        """What this host knows is still to be put back though the script for it is gone, and its record.

        Somebody removed the script, or the device lost it as it started anew: what outlives that is put back.

        Args:
            done: records of what the device put back by itself.
        """
        kept = self._remembered()
        if kept is None or kept.record in done.split():
            return None
        found = survey(self._transport, self._work, root=self._root)
        now, identity = state(found), machine(found).identity
        started_anew = not now.boot_id or now.boot_id != kept.before.boot_id
        if identity is None or kept.identity is None:
            another = started_anew  # or perhaps another: nobody can tell
        else:
            another = identity != kept.identity
        if another:
            return None
        if not started_anew:
            return kept.before, kept.record
        left = Before(stay_on=kept.before.stay_on if now.stays_awake else None, boot_id=now.boot_id)
        return (left, kept.record) if left.changes else None

    def _send(self, before: Before, record: str) -> None:
        folder, _ = own_folder(self._transport, self._address, make=True)
        script = restore_script(before, folder, record).encode()
        self._transport.push(script, f"{folder}/{SCRIPT_NAME}", timeout_s=SET_S)

    def _changed(self, plan: Plan) -> DeviceState:
        """How the device is once it was changed. A change that is broken off is put back, if that can be."""
        self._remember(plan.before)
        try:
            self._change(plan)
            now = self._now()
            for _ in range(SCREEN_LOOKS if plan.awake else 0):
                if now.screen_on is not False:
                    break
                time.sleep(SCREEN_S)
                now = self._now()
        except BaseException as error:
            if not isinstance(error, TransientError):  # then nothing reaches the device
                with contextlib.suppress(DeviceTrouble):
                    self.restore()
            raise
        return now

    def _change(self, plan: Plan) -> None:
        """Change what is to be changed; whether it worked is read afterwards."""
        if plan.writes:
            command = elevated(plan.before.privilege or "", write_script(plan.writes))
            self._transport.run(command, timeout_s=SET_S)
        if plan.awake:
            script = "svc power stayon true </dev/null; input keyevent 224 </dev/null"
            self._transport.run(["sh", "-c", script], timeout_s=SET_S)


def _files(folder: str) -> tuple[str, str]:
    return f"{folder}/{SCRIPT_NAME}", f"{folder}/{DONE_NAME}"
