"""Asks a device for all texts that tell what it is and how it is, in one command. Understands none of them.

The command is plain POSIX shell with the few programs that both a phone's toybox and a board have. Each text
is cut to a bounded size, each program that could hang has a deadline, and what the device lacks is left out.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from devices.errors import DeviceTrouble, UnreadableOutput
from devices.text import one_line
from devices.transport import Transport

#: how much of one text, and of all of them, is looked at
TEXT_BYTES, ALL_BYTES = 256 * 1024, 4 * 1024 * 1024
#: how long one program there may take, and the whole
TOOL_S, SURVEY_S = 8, 90.0


@dataclass(frozen=True, slots=True)
class Survey:
    """Texts of a device by name, such as `cpuinfo` or `dumpsys_battery`. One that it lacks is empty."""

    texts: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        return self.texts.get(name, "")


def survey(transport: Transport, work: str, *, glance: bool = False, root: str = "") -> Survey:
    """Ask a device for its texts.

    Args:
        transport: the way to it.
        work: the work folder there; it need not exist.
        glance: leave out what does not change while a job runs, and what takes a second: for temperatures and
            frequencies between two passes.
        root: a folder that stands for the root of the device's /proc and /sys.

    Raises:
        TransientError: the link broke.
        DeadlineExceeded: no answer in time.
        UnreadableOutput: what came is not what was asked for.
    """
    mark = f"mnas{secrets.token_hex(8)}"
    body = _STATE if glance else _STATE + _MACHINE
    given = f"m={mark} limit={TOOL_S} work={shlex.quote(work)} root={shlex.quote(root)}"
    result = transport.run(["sh", "-c", f"{given}\n{_TOOLS}{body}mark end\n"], timeout_s=SURVEY_S)
    found = parse(result.stdout[:ALL_BYTES], mark)
    if "end" not in found.texts:
        said = one_line(result.stderr[-300:].decode(errors="replace"))
        raise UnreadableOutput(
            "the device's shell did not tell what was asked of it" + (f"; it said: {said}" if said else "")
        )
    return found


def parse(output: bytes, mark: str) -> Survey:
    """Take the texts of a survey apart at their marks."""
    pieces = re.split(rf"^{re.escape(mark)} ([a-z_]+)$", output.decode(errors="replace"), flags=re.MULTILINE)
    texts: dict[str, str] = {}
    for name, text in zip(pieces[1::2], pieces[2::2], strict=True):
        texts.setdefault(name, text.removeprefix("\n").removesuffix("\n"))
    return Survey(texts)


def elevated(privilege: str, script: str) -> list[str]:
    """A command that runs a shell script with a device's means to become root.

    Args:
        privilege: as `DeviceState.privilege` has it.
        script: the text of the script.

    Raises:
        DeviceTrouble: there is no such means.
    """
    prefixes = {"root": ["sh", "-c"], "su": ["su", "-c"], "su 0": ["su", "0", "sh", "-c"]}
    prefixes["sudo"] = ["sudo", "-n", "sh", "-c"]
    if privilege not in prefixes:
        raise DeviceTrouble(f"there is no way to become root called {privilege!r}")
    return [*prefixes[privilege], script]


#: `mark` heads a text, `file` prints one, `tool` runs a program with a deadline, `line` prints a short file.
#: Android's shell has no printf of its own, and a process for each of a hundred lines would take a second.
_TOOLS = r"""
has() { command -v "$1" >/dev/null 2>&1; }
if [ -n "${KSH_VERSION-}" ]; then say() { print -r -- "$1"; }; else say() { printf '%s\n' "$1"; }; fi
mark() { say ''; say "$m $1"; }
file() { if [ -r "$2" ]; then mark "$1"; head -c 262144 "$2" 2>/dev/null; fi; }
soon() { "$@" </dev/null 2>/dev/null; }
if has timeout; then soon() { timeout "$limit" "$@" </dev/null 2>/dev/null; }; fi
tool() { if has "$2"; then mark "$1"; shift; soon "$@" | head -c 262144; fi; }
line() { v=; { read -r v <"$2"; } 2>/dev/null; if [ -n "$v" ]; then say "$1$v"; fi; }
"""

_STATE = r"""
cpu=$root/sys/devices/system/cpu
mark clock; date +%s
file uptime "$root/proc/uptime"
file boot_id "$root/proc/sys/kernel/random/boot_id"
mark online; line '' "$cpu/online"
mark cpufreq
for p in "$cpu"/cpufreq/policy[0-9]* "$cpu"/cpu[0-9]*/cpufreq; do
  case $p in
    */policy*) n=${p##*/};;
    *) [ -e "$cpu/cpufreq/policy0" ] && continue; n=${p%/cpufreq}; n=${n##*/};;
  esac
  for k in related_cpus affected_cpus scaling_governor scaling_available_governors scaling_min_freq \
      scaling_max_freq scaling_cur_freq cpuinfo_cur_freq cpuinfo_min_freq cpuinfo_max_freq \
      scaling_available_frequencies; do
    [ -r "$p/$k" ] && line "$n/$k=" "$p/$k"
  done
done
mark zones
for z in "$root"/sys/class/thermal/thermal_zone[0-9]*; do
  t=; c=; { read -r t <"$z/type"; read -r c <"$z/temp"; } 2>/dev/null
  [ -n "$t" ] && [ -n "$c" ] && say "zone${z##*zone} $t $c"
done
mark cooling
for z in "$root"/sys/class/thermal/cooling_device[0-9]*; do
  t=; c=; { read -r t <"$z/type"; read -r c <"$z/cur_state"; } 2>/dev/null
  [ -n "$t" ] && [ -n "$c" ] && say "cooling${z##*device} $t $c"
done
if has getprop; then
  tool dumpsys_thermalservice dumpsys thermalservice
  tool dumpsys_battery dumpsys battery
  mark dumpsys_power
  soon dumpsys power | head -c 262144 | grep -E 'mWakefulness=|Display Power: state=|mScreenOn='
  tool stay_on settings get global stay_on_while_plugged_in
else
  tool get_throttled vcgencmd get_throttled
  tool measure_temp vcgencmd measure_temp
fi
"""

_MACHINE = r"""
mark uname; uname -m; uname -r
file cpuinfo "$root/proc/cpuinfo"
file meminfo "$root/proc/meminfo"
file model "$root/proc/device-tree/model"
file compatible "$root/proc/device-tree/compatible"
file serial "$root/proc/device-tree/serial-number"
file machine_id "$root/etc/machine-id"
file os_release "$root/etc/os-release"
file nv_tegra_release "$root/etc/nv_tegra_release"
mark capacity
for p in "$cpu"/cpu[0-9]*; do line "${p##*/}=" "$p/cpu_capacity"; done
mark topology
for p in "$cpu"/cpu[0-9]*; do line "${p##*/}=" "$p/topology/physical_package_id"; done
d=$work
while [ -n "$d" ] && [ ! -d "$d" ]; do case $d in */*) d=${d%/*};; *) d=.;; esac; done
mark df; df -k "${d:-/}" 2>/dev/null
mark privilege
if [ "$(id -u)" = 0 ]; then echo root
elif has getprop; then
  if has su && has timeout; then
    if [ "$(soon su -c 'id -u')" = 0 ]; then echo su
    elif [ "$(soon su 0 id -u)" = 0 ]; then echo 'su 0'; fi
  fi
elif has sudo && soon sudo -n true; then echo sudo; fi
tool getprop getprop
tool bits getconf LONG_BIT
if has nvpmodel; then
  s=; [ "$(id -u)" = 0 ] || s='sudo -n'
  mark nvpmodel; soon nvpmodel -q || soon $s nvpmodel -q
  mark jetson_clocks; soon $s jetson_clocks --show | head -c 65536
fi
if has tegrastats; then mark tegrastats; soon tegrastats --interval 500 | head -n 2; fi
"""
