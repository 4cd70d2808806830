"""What a measurement changed on a device, and the script that puts it back. Reaches no device.

The script is written on the device before the first change and removes itself once everything is as it was.
By being there it tells that something is to be put back: to a guard process on the device when the host falls
silent, and to the next job after a restart.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from devices.errors import BadSettings
from devices.facts import PRIVILEGES
from devices.survey import elevated

#: in this login's folder on the device: the script, and the records of what was put back, the last ones
SCRIPT_NAME, DONE_NAME = "restore.sh", "restored"
DONE_KEPT = 99
RECORD = re.compile(r"[0-9a-f]{1,64}")
#: what may be written: a policy's governor and limits, nothing else on the device
_PATH = re.compile(
    r"[^\0\n]*/sys/devices/system/cpu/(?:cpufreq/policy[0-9]{1,4}|cpu[0-9]{1,4}/cpufreq)"
    r"/scaling_(?:governor|min_freq|max_freq)"
)
_VALUE = re.compile(r"[A-Za-z0-9_-]{1,32}")
_SETTING = "global stay_on_while_plugged_in"
#: how often, a second apart, values are put back that do not stay
PUT_BACK_TRIES = 4
_PUT = 'put() { if [ -e "$1" ]; then { printf "%s\\n" "$2" >"$1"; } 2>/dev/null; fi; }'


@dataclass(frozen=True, slots=True)
class FileValue:
    """A value for one of the kernel's files; other files and odd values are refused."""

    path: str
    value: str

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path) or ".." in self.path:
            raise BadSettings(f"{self.path!r} is no file that a measurement may change")
        if not _VALUE.fullmatch(self.value):
            raise BadSettings(f"{self.value!r} is no value for {self.path}")

    @property
    def path_and_value(self) -> str:
        """Both as words of a shell."""
        return f"{shlex.quote(self.path)} {shlex.quote(self.value)}"


@dataclass(frozen=True, slots=True)
class Before:
    """How a device was before a measurement changed it.

    Attributes:
        privilege: how to become root there, as `DeviceState.privilege` has it; None: not needed.
        writes: what to write, in this order.
        checks: what then has to be read.
        stay_on: Android's `stay_on_while_plugged_in`: its bits, or `null` for not set; None: not changed.
        screen_off: whether the screen was off and was switched on.
        boot_id: of the start of the device in which it was so.
    """

    privilege: str | None = None
    writes: tuple[FileValue, ...] = ()
    checks: tuple[FileValue, ...] = ()
    stay_on: str | None = None
    screen_off: bool = False
    boot_id: str | None = None

    def __post_init__(self) -> None:
        if self.privilege not in (None, *PRIVILEGES):
            raise BadSettings(f"there is no way to become root called {self.privilege!r}")
        if self.writes and self.privilege is None:
            raise BadSettings("the kernel's files cannot be written without being root")
        if self.stay_on is not None and not re.fullmatch(r"[0-9]{1,3}|null", self.stay_on):
            raise BadSettings(f"{self.stay_on!r} is no value of {_SETTING}")

    @property
    def changes(self) -> bool:
        """Whether there is anything to put back."""
        return bool(self.writes) or self.stay_on is not None or self.screen_off


def write_script(writes: tuple[FileValue, ...]) -> str:
    """A shell script for root that writes the kernel's files. Whether they took it has to be read."""
    return "\n".join([_PUT, *(f"put {one.path_and_value}" for one in writes)])


def _put_back_script(before: Before) -> str:
    """A shell script for root that writes the kernel's files until they read as they should.

    The phone's own services write there too, for a moment after the screen was touched. A file that is gone,
    as that of a core switched off, is passed over. It exits with 1 and says what is wrong if anything is.
    """
    return "\n".join(
        [
            _PUT,
            'is() { [ -e "$1" ] || return 0; v=; { read -r v <"$1"; } 2>/dev/null',
            '[ "$v" = "$2" ] && return 0',
            'said="$said$1 is ${v:-unknown}, not $2; "; }',
            f"for try in {' '.join(map(str, range(PUT_BACK_TRIES)))}; do",
            "[ $try = 0 ] || sleep 1",
            "said=",
            *(f"put {one.path_and_value}" for one in before.writes),
            *(f"is {one.path_and_value}" for one in before.checks),
            '[ -n "$said" ] || exit 0',
            "done",
            'echo "${said%; }" >&2',
            "exit 1",
        ]
    )


def restore_script(before: Before, folder: str, record: str) -> str:
    """The script that puts a device back as it was; it may run any number of times.

    Args:
        before: how it was.
        folder: where the script lies there.
        record: what is noted there once all is as it was, so that the host can tell that from a script that
            got lost.
    """
    if not RECORD.fullmatch(record):
        raise BadSettings(f"{record!r} is no record of a change")
    script, done = shlex.quote(f"{folder}/{SCRIPT_NAME}"), shlex.quote(f"{folder}/{DONE_NAME}")
    lines = [
        "# Written by mnas before it changed anything: puts that back, then removes itself.",
        "bad=0",
    ]
    if before.writes:
        root = shlex.join(elevated(before.privilege or "", _put_back_script(before)))
        lines.append(f"{root} </dev/null || bad=1")
    if before.stay_on is not None:
        set_back = f"delete {_SETTING}" if before.stay_on == "null" else f"put {_SETTING} {before.stay_on}"
        lines += [
            f"settings {set_back} </dev/null >/dev/null",
            f'now=$(settings get {_SETTING} </dev/null); [ "$now" = {before.stay_on} ] || {{ bad=1',
            f'echo "stay_on_while_plugged_in is $now, not {before.stay_on}" >&2; }}',
        ]
    if before.screen_off:
        lines.append("input keyevent 223 </dev/null >/dev/null 2>&1")
    lines += [
        "[ $bad = 0 ] || exit 1",
        f"{{ tail -n {DONE_KEPT} {done}; echo {record}; }} 2>/dev/null >{done}.new",
        f"mv -f {done}.new {done}",
        f"rm -f {script}",
    ]
    return "\n".join(lines) + "\n"
