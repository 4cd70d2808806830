"""One shell on the device that runs programs one after another, and hands out each one's output as it ends.

Knows no benchmark and no model. It saves the way there and back, and the start of a shell, for each program.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass

from devices.errors import BadSettings, DeadlineExceeded, DeviceTrouble, UnreadableOutput, WorkerCrashed
from devices.facts.processor import cpu_list, governor
from devices.runners.worker_process import ending, last_line
from devices.text import one_line
from devices.transport import Channel, Transport

#: most that comes back of a program, as base64
OUTPUT_BYTES = 4_000_000
START_S = SEND_S = 30.0
END_S = 5.0
SAID = 300

# Runs the lines of standard input. What a program prints, how it ended, the state of the cores then, and the
# file that it may have written come as one piece of base64, so that nothing in them can be taken for the end.
# The first line is a secret, which parts the piece: a program can read our arguments, but not our variables.
# Only base64 (once, in long lines) and cat (which mksh has itself) are other programs, for each start of one
# counts, and nothing is written, for the storage may be full.
# When memory runs out, the kernel shall end these and not the phone's: what adbd starts is spared otherwise.
_SCRIPT = """
mark=$1 work=$2
shift 2
cd "$work" || exit 3
rm -f result.*
[ ! -w /proc/$$/oom_score_adj ] || echo 1000 >/proc/$$/oom_score_adj
allowed=
while read -r key value; do [ "$key" != Cpus_allowed_list: ] || allowed=$value; done </proc/self/status
told() { value=; [ ! -r "$1" ] || read -r value <"$1"; line="$line ${value:--}"; }
wide=
! base64 -w 4000 </dev/null >/dev/null 2>&1 || wide='-w 4000'
read -r uptime rest </proc/uptime
echo "$mark ready $allowed up $uptime"
number=0
IFS= read -r secret
while IFS= read -r line; do
  result=result.$mark.$((number += 1))
  {
    read -r uptime rest </proc/uptime
    eval "$line"
    echo "
$secret ended $? up $uptime"
    for cpu; do
      line=core
      for name in scaling_governor scaling_cur_freq scaling_max_freq cpuinfo_max_freq; do
        told "/sys/devices/system/cpu/cpu$cpu/cpufreq/$name"
      done
      echo "$line"
    done
    echo "$secret result"
    [ ! -s "$result" ] || cat "$result"
  } </dev/null 2>&1 | base64 $wide
  echo "$mark end"
done
rm -f result.*
"""


@dataclass(frozen=True, slots=True)
class CoreState:
    """How the kernel ran a core when a program ended; frequencies in kHz, None where it does not tell."""

    governor: str | None
    current_khz: int | None
    limit_khz: int | None
    highest_khz: int | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        exit_code: as a shell reports it.
        console: what it printed on both streams.
        result: the file that it wrote, if any.
        cores: the state of the cores it was to run on.
        began_s: when it began, by this host's clock, in seconds since 1970.
    """

    exit_code: int
    console: str
    result: bytes | None
    cores: tuple[CoreState, ...]
    began_s: float


class ProgramLoop:
    """A shell that runs programs on chosen cores. After any error it is gone."""

    def __init__(self, transport: Transport, work: str, cpus: Sequence[int] | None) -> None:
        """Start the shell.

        Args:
            transport: the way to the device.
            work: the work folder there, which exists.
            cpus: cores for the programs; None leaves them to the system.

        Raises:
            BadSettings: these cores cannot be used.
            DeviceTrouble: it does not start.
        """
        self._mark = f"mnas{secrets.token_hex(8)}"
        self._secret = secrets.token_hex(8)
        self._work = work
        self._sent = 0
        self._waiting = f"{self._secret}\n".encode()
        arguments = [self._mark, work, *map(str, cpus or ())]
        pin = [] if cpus is None else ["taskset", f"{sum(1 << cpu for cpu in set(cpus)):x}"]
        self.alive = True
        self._channel: Channel = transport.spawn([*pin, "sh", "-c", _SCRIPT, "sh", *arguments])
        try:
            self._greet(cpus)
        except BaseException:
            self.kill()
            raise

    @property
    def result_path(self) -> str:
        """Where the program that is sent next may write a file that comes back with its output."""
        return f"{self._work}/result.{self._mark}.{self._sent + 1}"

    def send(self, command: Sequence[str]) -> None:
        """Run a command after those sent before. It goes there with the others by the next `wait`."""
        line = shlex.join(command)
        if "\n" in line or "\0" in line:
            raise BadSettings(f"a command of several lines cannot be run: {command!r}")
        self._sent += 1
        self._waiting += line.encode() + b"\n"

    def wait(self, deadline_s: float) -> Ended:
        """How the next of the programs sent ended.

        Raises:
            DeadlineExceeded: it did not end in time; it was stopped, and those after it do not run.
            WorkerCrashed: the shell itself ended.
            UnreadableOutput: what came is not what was asked for, or too much.
        """
        try:
            waiting, self._waiting = self._waiting, b""
            if waiting:
                self._channel.write(waiting, SEND_S)
            return self._parse(self._receive(time.monotonic() + deadline_s))
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """End the shell and what it runs. May be called twice."""
        self.alive = False
        self._channel.kill()

    def _greet(self, cpus: Sequence[int] | None) -> None:
        ready = f"{self._mark} ready"
        line = self._channel.read_line(START_S).decode(errors="replace")
        if not line:
            code, said = self._end()
            if cpus is None:
                raise DeviceTrouble(f"no shell runs programs on the device: {said or ending(code)}")
            raise BadSettings(f"cores {list(cpus)} cannot be used on the device: {said or ending(code)}")
        if not line.startswith(ready):
            raise UnreadableOutput(f"the device's shell said {one_line(line)[:SAID]!r} when it was started")
        cores, _, uptime = line.removeprefix(ready).partition(" up ")
        self._booted_s = time.time() - _seconds(uptime)
        allowed = set(cpu_list(cores))
        if cpus is not None and allowed and allowed < set(cpus):
            raise BadSettings(f"of cores {list(cpus)} only {sorted(allowed)} can be used on the device now")

    def _receive(self, deadline: float) -> bytes:
        """All that comes of the next program."""
        end = f"{self._mark} end".encode()
        lines: list[bytes] = []
        size = 0
        while (line := self._channel.read_line(max(0.0, deadline - time.monotonic()))) != end:
            if not line:
                code, said = self._end()
                raise WorkerCrashed(
                    f"the shell that runs programs on the device ended with {ending(code)}"
                    + (f"; its last line: {said}" if said else "")
                )
            lines.append(line)
            size += len(line)
            if size > OUTPUT_BYTES:
                raise UnreadableOutput(f"a program's output is larger than {OUTPUT_BYTES / 1e6:g} MB")
        return _decoded(lines)

    def _parse(self, came: bytes) -> Ended:
        secret = self._secret.encode()
        output, whole, result = came.partition(b"\n" + secret + b" result\n")
        console, found, told = output.partition(b"\n" + secret + b" ended ")
        first, *cores = told.decode(errors="replace").splitlines() or [""]
        code, _, uptime = first.partition(" up ")
        if not found or not whole or not re.fullmatch(r"\d{1,3}", code):
            raise UnreadableOutput("a program's output came without its end")
        return Ended(
            exit_code=int(code),
            console=console.decode(errors="replace"),
            result=result or None,
            cores=tuple(map(_core, cores)),
            began_s=self._booted_s + _seconds(uptime),
        )

    def _end(self) -> tuple[int, str]:
        try:
            code = self._channel.wait(END_S)
        except DeadlineExceeded:
            code = 0
        return code, last_line(self._channel.errors())[:SAID]


def _decoded(lines: Sequence[bytes]) -> bytes:
    try:
        return base64.b64decode(b"".join(lines).replace(b"\r", b""), validate=True)
    except binascii.Error as error:
        raise UnreadableOutput(f"a program's output came damaged: {error}") from error


def _seconds(uptime: str) -> float:
    """Seconds since the device's start, as the kernel prints them."""
    text = uptime.strip()
    if not re.fullmatch(r"\d{1,10}\.\d{1,3}", text):
        raise UnreadableOutput(f"the device's /proc/uptime cannot be read: {one_line(text)[:SAID]!r}")
    return float(text)


def _core(line: str) -> CoreState:
    words = [*line.split(" "), "", "", "", ""]
    khz = [int(word) if re.fullmatch(r"[1-9]\d{3,8}", word) else None for word in words[2:5]]
    return CoreState(governor(words[1]), *khz)
