"""The phone's own small programs, which print its canned texts. Knows no ADB."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path

from devices.emulator.canned import CPUS, PROPERTIES

_DUMPSYS = r"""
case "$1" in
power)
  read -r wake </.emulator/wakefulness
  read -r stay </.emulator/settings/global/stay_on_while_plugged_in
  on=ON; [ "$wake" = Awake ] || on=OFF
  staying=false; [ $((stay & 2)) = 0 ] || staying=true
  echo 'POWER MANAGER (dumpsys power)'
  echo
  echo 'Power Manager State:'
  echo '  mDirty=0x0'
  echo "  mWakefulness=$wake"
  echo '  mWakefulnessChanging=false'
  echo '  mIsPowered=true'
  echo '  mPlugType=2'
  echo '  mBatteryLevel=87'
  echo "  mStayOn=$staying"
  echo '  mProximityPositive=false'
  echo "  mStayOnWhilePluggedInSetting=$stay"
  echo
  echo "Display Power: state=$on";;
-l) echo 'Currently running services:'; echo '  battery'; echo '  power'; echo '  thermalservice';;
*)
  case "$1" in */*|"") known=no;; *) known=yes;; esac
  if [ $known = yes ] && [ -r "/.emulator/dumpsys/$1" ]; then cat "/.emulator/dumpsys/$1"
  else echo "Can't find service: $1" >&2; exit 20; fi;;
esac
"""
_SETTINGS = r"""
case "$2$3" in */*) exit 255;; esac
file="/.emulator/settings/$2/$3"
case "$1" in
get) if [ -r "$file" ]; then cat "$file"; else echo null; fi;;
put) mkdir -p "/.emulator/settings/$2" && echo "$4" >"$file";;
delete) if rm "$file" 2>/dev/null; then echo 'Deleted 1 rows'; else echo 'Deleted 0 rows'; fi;;
list) for f in "/.emulator/settings/$2"/*; do read -r value <"$f" && echo "${f##*/}=$value"; done;;
*) echo "Invalid command: $1" >&2; exit 255;;
esac
"""
_SVC = r"""
case "$1 $2 $3" in
"power stayon true") stay=15;;
"power stayon false") stay=0;;
"power stayon ac") stay=1;;
"power stayon usb") stay=2;;
"power stayon wireless") stay=4;;
"power reboot "*) exec reboot;;
*) echo 'Available commands: power' >&2; exit 1;;
esac
echo $stay >/.emulator/settings/global/stay_on_while_plugged_in
[ $stay = 0 ] || echo Awake >/.emulator/wakefulness
"""
_INPUT = r"""
case "$1 $2" in
"keyevent KEYCODE_WAKEUP"|"keyevent 224") echo Awake >/.emulator/wakefulness;;
"keyevent KEYCODE_SLEEP"|"keyevent 223") echo Asleep >/.emulator/wakefulness;;
"keyevent KEYCODE_POWER"|"keyevent 26")
  read -r now </.emulator/wakefulness
  if [ "$now" = Awake ]; then echo Asleep; else echo Awake; fi >/.emulator/wakefulness;;
esac
"""
_ID = r"""
if [ "$USER" = root ]; then number=0; name=root; else number=2000; name=shell; fi
case "$1" in
-u|-g) echo $number;;
-un|-gn) echo $name;;
*)
  who="$number($name)"
  echo "uid=$who gid=$who groups=$who,1004(input),1007(log),3003(inet) context=u:r:$name:s0";;
esac
"""
_UNAME = r"""
case "$1" in
-m) echo aarch64;;
-r) echo 5.4.147-qgki-gki;;
-n) echo localhost;;
-a) echo 'Linux localhost 5.4.147-qgki-gki #1 SMP PREEMPT Thu Feb 2 12:00:00 UTC 2023 aarch64 Toybox';;
*) echo Linux;;
esac
"""
# the machine below may have fewer cores than the phone: the mask is checked and handed on, not applied
_TASKSET = r"""
case "$1" in -*) echo "taskset: Unknown option '${1#-}'" >&2; exit 1;; esac
case "${1#0x}" in ''|*[!0-9a-fA-F]*) echo "taskset: bad mask '$1'" >&2; exit 1;; esac
if [ $((0x${1#0x} & 0xff)) = 0 ]; then echo 'taskset: sched_setaffinity: Invalid argument' >&2; exit 1; fi
[ $# -ge 2 ] || { echo 'taskset: needs 2 arguments' >&2; exit 1; }
export EMULATED_AFFINITY="${1#0x}"
shift
exec "$@"
"""
#: asks the phone to run something elsewhere; `resident.py` answers
REQUEST = r"""
reply="/.emulator/$$"
mkfifo "$reply" 2>/dev/null || { echo "$0: this runs on an emulated phone only" >&2; exit 126; }
exec 3<>"$reply" 4<&0 5>&1 6>&2
echo "%s $$" >/.emulator/requests
read -r code <&3
[ "${code:-70}" -le 128 ] || kill "-$((code - 128))" $$
exit "${code:-70}"
"""


def install(
    folder: Path, rooted: bool, properties: Mapping[str, str], shell: str, toybox: str | None
) -> None:
    """Write the phone's programs: its shell, toybox's where the host has it, and those that print the texts.

    Args:
        folder: where programs go.
        rooted: whether there is a `su`.
        properties: what `getprop` prints, besides and before `PROPERTIES`.
        shell: the shell's path on the host.
        toybox: toybox's path on the host; without it the host's own programs are found.
    """
    folder.mkdir(parents=True)
    (folder / "sh").symlink_to(shell)
    if toybox:
        listed = subprocess.run([toybox], capture_output=True, text=True, check=True).stdout
        for name in listed.split():
            if name != "sh":
                (folder / name).symlink_to(toybox)
    programs = {
        "dumpsys": _DUMPSYS,
        "getprop": _getprop({**PROPERTIES, **properties}),
        "id": _ID,
        "input": _INPUT,
        "nproc": f"echo {CPUS}\n",
        "reboot": "echo 'reboot 0' >/.emulator/requests; sleep 60\n",
        "settings": _SETTINGS,
        "svc": _SVC,
        "taskset": _TASKSET,
        "uname": _UNAME,
        "whoami": 'echo "$USER"\n',
        **({"su": REQUEST % "su"} if rooted else {}),
    }
    for name, text in programs.items():
        path = folder / name
        path.unlink(missing_ok=True)
        path.write_text(f"#!/system/bin/sh\n{text.lstrip()}")
        path.chmod(0o755)
    if not rooted:
        (folder / "su").unlink(missing_ok=True)


def _getprop(properties: Mapping[str, str]) -> str:
    cases = "".join(f"{shlex.quote(key)}) echo {shlex.quote(text)};;\n" for key, text in properties.items())
    listed = "\n".join(f"[{key}]: [{text}]" for key, text in sorted(properties.items()))
    return f'case "$1" in\n{cases}"") echo {shlex.quote(listed)};;\n*) echo "$2";;\nesac\n'
