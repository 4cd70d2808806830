"""Sets a device up for measuring and puts it back: governor, frequency, awake with the screen on.

Does not know how the device is reached, nor who may use it: the job that holds the device's lease calls it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import time
from pathlib import Path

from devices.bench.restore import SCRIPT_NAME, Before, restore_script, write_script
from devices.bench.wanted import Plan, Wanted, found, plan_for
from devices.errors import BadSettings, DeviceTrouble, TransientError
from devices.facts import DeviceState, state
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
#: exit codes of `restore` where there is no script: the work folder is there, or is not
_NO_SCRIPT, _NO_FOLDER = 90, 91


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

    def apply(self) -> tuple[str, ...]:
        """Set the conditions, after putting back what an earlier job may have left.

        Returns:
            What holds, as read back, and what could not be had, in words that are the same every time.

        Raises:
            DeviceTrouble: the device cannot be reached or takes no files.
        """
        if left := self.restore_leftover():
            return (*left, "nothing else is set until that is put back")
        before = self._now()
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
        if result.exit_code == _NO_FOLDER:
            before = self._remembered()
            # the work folder was removed, and the script with it, or at this address is another device by now
            if before and before.boot_id and before.boot_id == self._now(glance=True).boot_id:
                self._send(before)
                result = self._run_script()
        if result.exit_code in (0, _NO_SCRIPT, _NO_FOLDER):
            self._memory.unlink(missing_ok=True)
            return ()
        said = one_line(result.stderr[-SAID_KEPT:].decode(errors="replace"))
        return (f"not put back as it was: {said or f'exit code {result.exit_code}'}",)

    def restore_leftover(self) -> tuple[str, ...]:
        """Put back what an earlier job left, as it does when the device was restarted.

        Returns and raises as `restore`.
        """
        return self.restore()

    def _now(self, glance: bool = False) -> DeviceState:
        return state(survey(self._transport, self._work, glance=glance, root=self._root))

    def _run_script(self) -> CommandResult:
        script, work = shlex.quote(f"{self._work}/{SCRIPT_NAME}"), shlex.quote(self._work)
        run = (
            f"if [ -f {script} ]; then exec sh {script}; fi; "
            f"[ -d {work} ] && exit {_NO_SCRIPT}; exit {_NO_FOLDER}"
        )
        return self._transport.run(["sh", "-c", run], timeout_s=RESTORE_S)

    @property
    def _memory(self) -> Path:
        return state_directory("conditions") / f"{file_name(self._address)}.json"

    def _remember(self, before: Before) -> None:
        """Write what to put back to this host and to the device."""
        text = json.dumps({"work": self._work, "before": to_plain(before)}, indent=1)
        new = self._memory.with_suffix(f".{os.getpid()}.new")
        try:
            with new.open("w", encoding="utf-8") as file:
                new.chmod(0o600)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._memory)
        except OSError as error:
            raise BadSettings(f"cannot write {self._memory}: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                new.unlink()
        self._send(before)

    def _remembered(self) -> Before | None:
        """What this host knows is to be put back; None where it knows nothing."""
        try:
            plain = json.loads(self._memory.read_text(encoding="utf-8"))
            return from_plain(Before, plain["before"]) if plain["work"] == self._work else None
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, BadSettings):
            return None  # the device's own script is what counts

    def _send(self, before: Before) -> None:
        made = self._transport.run(["mkdir", "-p", "-m", "700", self._work], timeout_s=SET_S)
        if not made.ok:
            said = one_line(made.stderr[-SAID_KEPT:].decode(errors="replace"))
            raise DeviceTrouble(f"{self._address}: cannot make {self._work}: {said}")
        script = restore_script(before, self._work).encode()
        self._transport.push(script, f"{self._work}/{SCRIPT_NAME}", timeout_s=SET_S)

    def _changed(self, plan: Plan) -> DeviceState:
        """How the device is once it was changed. A change that is broken off is put back, if that can be."""
        self._remember(plan.before)
        try:
            self._change(plan)
            now = self._now(glance=True)
            for _ in range(SCREEN_LOOKS if plan.awake else 0):
                if now.screen_on is not False:
                    break
                time.sleep(SCREEN_S)
                now = self._now(glance=True)
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
