"""The phone's own view of the system: its mounts, its clock since boot. Knows nothing of ADB.

The process is in mount and process namespaces of its own already (`unshare` made them). All of this is gone
with its last process; nothing of it is ever seen outside.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from devices.emulator import canned, programs

#: where the phone's own things are: fifos, texts, what is bound over files of /proc
OWN = Path("/.emulator")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DATA_BYTES = 4 << 30
UPTIME_AT_BOOT_S = 20
_NOT_TAKEN = {"data", "sys", "system", "sdcard", "tmp", "lost+found"}
_NEWNS, _NEWTIME = 0x00020000, 0x00000080
_RDONLY, _REMOUNT, _BIND, _MOVE, _REC = 1, 32, 4096, 8192, 16384
_libc = ctypes.CDLL(None, use_errno=True)


def build(rooted: bool, properties: Mapping[str, str]) -> None:
    """Make the phone's file system and move into it: the host's directories, but its own /data and /sys."""
    new = Path("/sys")  # exists everywhere, and is not taken over
    _mount("tmpfs", new, "tmpfs", 0, "mode=0755,size=64m")
    for entry in sorted(Path("/").iterdir()):
        target = new / entry.name
        if entry.name in _NOT_TAKEN:
            continue
        if entry.is_symlink():
            target.symlink_to(entry.readlink())
        elif entry.is_dir():
            target.mkdir()
            _mount(str(entry), target, None, _BIND | _REC)
    (new / "data").mkdir()
    _mount("tmpfs", new / "data", "tmpfs", 0, f"mode=0771,size={DATA_BYTES}")
    (new / "data/local/tmp").mkdir(parents=True, mode=0o771)
    (new / "data/system").mkdir()
    (new / "data/system/packages.list").write_text("com.android.shell 2000 0\n")
    (new / "sdcard").mkdir()
    (new / "sys").mkdir()
    programs.install(new / "system/bin", rooted, properties, _shell(), shutil.which("toybox"))
    own = new / OWN.relative_to("/")
    own.mkdir()
    canned.write_sysfs(own / "sys")
    canned.write_texts(own)
    os.chdir(new)
    _mount(str(new), Path("/"), None, _MOVE)
    os.chroot(".")
    os.chdir("/")
    _mount(str(OWN / "sys"), Path("/sys"), None, _BIND)
    renew_boot_id()
    for name, path in (("boot_id", BOOT_ID), ("cpuinfo", Path("/proc/cpuinfo"))):
        _mount(str(OWN / name), path, None, _BIND)


def separate() -> None:
    """Give this process mounts of its own, like those it had."""
    _call("unshare", _NEWNS)


def lose_root_view() -> int:
    """Let this process, which `build` has run in, see a /sys that it cannot write.

    Returns:
        a descriptor of the view in which it can, for `take_root_view`.
    """
    view = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    separate()
    _mount("none", Path("/sys"), None, _BIND | _REMOUNT | _RDONLY)
    return view


def take_root_view(view: int) -> None:
    """Enter the view in which /sys can be written; for a process of one thread."""
    _call("setns", view, _NEWNS)


def renew_boot_id() -> None:
    """Another boot id, as after a reboot."""
    drawn = secrets.token_hex(16)
    text = "-".join((drawn[:8], drawn[8:12], drawn[12:16], drawn[16:20], drawn[20:])) + "\n"
    path = OWN / "boot_id"
    with path.open("r+b" if path.exists() else "wb") as file:  # the file is bound: it must stay the same one
        file.write(text.encode())


def restart_uptime() -> bool:
    """Let what this thread (or a thread it starts) starts from now on see a system that has just booted.

    Returns:
        whether the kernel could: one without time namespaces goes on with the host's time since boot.
    """
    try:
        _call("unshare", _NEWTIME)
        offset = UPTIME_AT_BOOT_S - int(time.clock_gettime(time.CLOCK_BOOTTIME))
        Path(f"/proc/{threading.get_native_id()}/timens_offsets").write_text(f"boottime {offset} 0\n")
    except OSError:
        return False
    return True


def set_data_bytes(total: int) -> None:
    """How much /data holds; what is there stays there."""
    _mount("none", Path("/data"), None, _REMOUNT, f"size={max(total, 4096)}")


def data_used_bytes() -> int:
    """How much of /data is taken."""
    found = os.statvfs("/data")
    return (found.f_blocks - found.f_bfree) * found.f_frsize


def _shell() -> str:
    return shutil.which("mksh") or "/bin/sh"


def _mount(source: str, target: Path, kind: str | None, flags: int, options: str = "") -> None:
    _call(
        "mount",
        source.encode(),
        os.fsencode(target),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode(),
    )


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", str(arguments[:2]))
