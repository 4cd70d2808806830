"""A phone's file tree and programs in a folder: what its kernel and Android say, without a phone."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from devices.local import LocalTransport
from devices.transport import CommandResult

WORK = "work"
GOVERNORS = "conservative powersave performance schedutil"
#: first core, cores, frequencies
CLUSTERS = ((0, "0 1 2 3", (300000, 1094400, 1804800)), (4, "4 5 6 7", (710400, 1766400, 2419200)))

_PROGRAMS = {
    "getprop": "echo '[ro.soc.model]: [SM8350]'",
    "id": 'if [ -n "$PRETEND_ROOT" ]; then echo 0; else echo 2000; fi',
    "dumpsys": """case $1 in
power) read -r w <"$PRETEND/wakefulness"; echo "  mWakefulness=$w";;
battery) echo '  USB powered: true'; echo '  temperature: 291';;
esac""",
    "settings": """f="$PRETEND/$3"
case $1 in
get) if [ -r "$f" ]; then cat "$f"; else echo null; fi;;
put) echo "$4" >"$f";;
delete) rm -f "$f";;
esac""",
    "svc": 'echo 7 >"$PRETEND/stay_on_while_plugged_in"',
    "input": 'case $2 in 223) echo Asleep;; 224) echo Awake;; esac >"$PRETEND/wakefulness"',
}
_SU = {
    "sudo": '[ "$1" = -n ] || exit 1; shift; export PRETEND_ROOT=1; exec "$@"',
    "su": '[ "$1" = -c ] || exit 1; export PRETEND_ROOT=1; exec sh -c "$2"',
    "su 0": '[ "$1" = 0 ] || exit 1; shift; export PRETEND_ROOT=1; exec "$@"',
}


class PretendPhone(LocalTransport):
    """The local transport into a folder with the tree and the programs of a phone.

    Attributes:
        root: the folder that stands for the root of /sys and /proc.
        work: the work folder, not made yet.
        commands: what was run, oldest first.
        broken: commands whose text contains this fail with this error.
    """

    def __init__(self, folder: Path, su: str | None = "su") -> None:
        """Make it.

        Args:
            folder: an empty folder.
            su: how to become root there: `su`, `su 0`, None, or `sudo`: then it is a board without Android.
        """
        super().__init__()
        self.root, self.work = str(folder / "root"), str(folder / WORK)
        self.commands: list[str] = []
        self.broken: tuple[str, BaseException] | None = None
        self._tools, self.own = folder / "tools", folder / "own"
        for place in (folder / "root", self._tools, self.own):
            place.mkdir()
        programs = {**({"id": _PROGRAMS["id"]} if su == "sudo" else _PROGRAMS)}
        if su:
            programs[su.split()[0]] = _SU[su]
        for name, text in programs.items():
            self.program(name, text)
        (self.own / "wakefulness").write_text("Asleep\n", encoding="utf-8")
        self.write("/proc/sys/kernel/random/boot_id", "e55b887b-9485-4524-a723-f6ea5d0409c3")
        for first, cpus, steps in CLUSTERS:
            for name, value in {
                "related_cpus": cpus,
                "scaling_governor": "schedutil",
                "scaling_available_governors": GOVERNORS,
                "scaling_min_freq": steps[0],
                "scaling_max_freq": steps[-1],
                "cpuinfo_min_freq": steps[0],
                "cpuinfo_max_freq": steps[-1],
                "scaling_available_frequencies": " ".join(map(str, steps)),
            }.items():
                self.write(f"/sys/devices/system/cpu/cpufreq/policy{first}/{name}", str(value))

    def run(self, command: list[str], stdin: bytes = b"", timeout_s: float = 60.0) -> CommandResult:  # type: ignore[override]
        self.commands.append(shlex.join(command))
        if self.broken and self.broken[0] in self.commands[-1]:
            raise self.broken[1]
        path = f"PATH={self._tools}:{os.environ['PATH']}"
        return super().run(["/usr/bin/env", path, f"PRETEND={self.own}", *command], stdin, timeout_s)

    def program(self, name: str, text: str) -> None:
        """Give the phone a program: the text of a shell script."""
        path = self._tools / name
        path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        path.chmod(0o755)

    def write(self, path: str, text: str) -> None:
        """Write a file of the tree."""
        target = Path(self.root + path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(f"{text}\n", encoding="utf-8")

    def read(self, path: str) -> str:
        """A file of the tree."""
        return Path(self.root + path).read_text(encoding="utf-8").strip()

    def settings(self) -> dict[str, str]:
        """Everything that a measurement may change, by name."""
        cpu = Path(self.root + "/sys/devices/system/cpu/cpufreq")
        names = ("scaling_governor", "scaling_min_freq", "scaling_max_freq")
        found = {
            f"{policy.name}/{name}": (policy / name).read_text(encoding="utf-8").strip()
            for policy in cpu.iterdir()
            for name in names
        }
        stay = self.own / "stay_on_while_plugged_in"
        found["stay_on"] = stay.read_text(encoding="utf-8").strip() if stay.exists() else "null"
        found["wakefulness"] = (self.own / "wakefulness").read_text(encoding="utf-8").strip()
        return found
