"""Files on a device, named by what they contain. Knows no runner and no way there.

A file is called by its SHA-256, never by its name or its size, and its content is summed on the device before
it is used: a file that somebody changed, that a link damaged or that a crash cut short is sent again.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from devices.archives import archive, blocks, digest_of_set, digests, split
from devices.errors import BadSettings, DeviceTrouble, LinkLost, NoSpace, TransientError
from devices.measurement import ModelFile
from devices.runners.worker_process import ending
from devices.stored import FOLDERS, REASON_KEPT, Staged, idle, listed
from devices.text import one_line
from devices.transport import Transport

#: what the device shall have left when everything is there
SPARE_BYTES = 2 * 2**20
#: less than this is nothing
FULL_BYTES = 256 * 1024
#: how often a file is sent when it does not arrive as it was
ATTEMPTS = 3
#: models and libraries that no job used for so long are removed, for the next job that needs them sends them
STALE_S = 7 * 24 * 3600
#: programs likewise, which a person has to put there again
PROGRAM_STALE_S = 90 * 24 * 3600
#: slowest way of a byte to the device, and slowest sum over it, that a deadline allows for
LEAST_BYTES_PER_S = 150_000
LEAST_SUMMED_BYTES_PER_S = 5_000_000
ROUND_TRIP_S = 60.0

_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,99}")
_SUM = re.compile(r"([0-9a-f]{40}|[0-9a-f]{64})  (\S+)")
_SPACE = re.compile(r".*\s\d+\s+\d+\s+(\d{1,15})\s+\d{1,3}%\s.*\s?")

# POSIX and toybox only; Android 7 has sha1sum, but no sha256sum. $1 is the work folder, $2 the folder in it.
# Names come by standard input, for a command line has an end. 3: cannot be written; 4: arrived damaged.
_HERE = (
    'umask 077; mkdir -p -- "$1/$2" && chmod 700 "$1" && cd "$1/$2" || exit 3; '
    "sum=sha256sum; command -v $sum >/dev/null || sum=sha1sum; "
)
_LOOK = _HERE + (
    'df -Pk . | tail -n 1; names=$(cat); echo "$names" | xargs $sum 2>/dev/null; '
    'echo "$names" | xargs touch -c; true'
)
_UNPACK = _HERE + (
    'trap \'rm -rf "../$3.d" "../$3.tar"\' EXIT; '
    'mkdir "$3.d" && cd "$3.d" || exit 3; '
    'tar -xf "../$3.tar"; case $? in 0) ;; 127) exit 127;; *) df -Pk . | tail -n 1; exit 4;; esac; '
    "xargs $sum <names >got && cmp -s got $sum || exit 4; "
    "xargs touch -c <names; mv -f -- *.tflite .. && cat got || exit 3"
)
_ACCEPT = _HERE + (
    'trap \'rm -f "$3"\' EXIT; s=$($sum "$3") || exit 3; '
    'case ${s%% *} in "$5"|"$6") ;; *) exit 4;; esac; '
    'echo "${s%% *}  $4" >".$4.$sum" && chmod "$7" "$3" && mv -f -- "$3" "$4" || exit 3'
)
_HOLDS = 'cd "$1" 2>/dev/null || exit 0; if command -v sha256sum >/dev/null; then sha256sum "$2"; ' + (
    'elif sha1sum "$2" | cmp -s - ".$2.sha1sum"; then echo "$3  $2"; fi; '
    'touch -c ".$2.sha1sum" ".$2.sha256sum"'
)
_LIST = _HERE + (
    'cd "$1" || exit 3; date +%s; '
    f"find {' '.join(FOLDERS)} -type f -exec stat -c '%Y %s %n' {{}} + 2>/dev/null; true"
)
_REMOVE = _HERE + (
    'cd "$1" || exit 3; xargs rm -f --; rmdir lib/* bin/* 2>/dev/null; '
    "find models -type d -name '.*.d' -exec rmdir {} + 2>/dev/null; true"
)
_DIGEST = 'sum=sha256sum; command -v $sum >/dev/null || sum=sha1sum; [ -f "$1" ] && echo $sum && $sum <"$1"'
_DAMAGED = 4


class Staging:
    """The work folder on a device as a store of files, for one job at a time."""

    def __init__(self, transport: Transport, work: str) -> None:
        """Touches nothing yet.

        Args:
            transport: the way to the device.
            work: the work folder there; nothing outside it is written.

        Raises:
            BadSettings: it is no absolute path of two parts or more.
        """
        path = PurePosixPath(work)
        if not path.is_absolute() or ".." in path.parts or len(path.parts) < 3 or not work.isprintable():
            raise BadSettings(
                f"the work folder {work!r} must be an absolute path of two parts or more without '..', "
                "such as /data/local/tmp/mnas"
            )
        self._transport = transport
        self.work = str(path)
        self._cleaned = False
        self._used: set[str] = set()

    def path(self, sha256: str) -> str:
        """Where a model lies on the device once it was put there."""
        return f"{self.work}/models/{sha256}.tflite"

    def put(self, models: Sequence[ModelFile]) -> dict[str, str]:
        """See that models are on the device, unchanged. Those missing go there together.

        Returns:
            Where each lies, by its SHA-256.

        Raises:
            NoSpace: the device's storage is full, even without what earlier jobs left.
            LinkLost: the link damaged them again and again.
            DeviceTrouble: they cannot be written.
        """
        wanted = {model.sha256: model.content for model in models}
        if not wanted:
            return {}
        if not self._cleaned:
            self.clean(STALE_S, frozenset(wanted))
            self._cleaned = True
        missing = wanted
        for attempt in range(ATTEMPTS + 1):
            files = {f"{key}.tflite": content for key, content in missing.items()}
            held, free_bytes = self._look("models", files)
            missing = {key: content for key, content in missing.items() if f"{key}.tflite" not in held}
            if not missing:
                return {key: self.path(key) for key in wanted}
            if attempt < ATTEMPTS:
                archives = list(split(missing))
                sizes = [sum(blocks(len(content)) for content in part.values()) for part in archives]
                self._make_room(sum(sizes) + max(sizes), free_bytes, frozenset(wanted))
                arrived = {name for part in archives for name in self._send(part)}
                if all(f"{key}.tflite" in arrived for key in missing):
                    return {key: self.path(key) for key in wanted}
        raise LinkLost(_damaged(f"{len(missing)} of {len(wanted)} models"))

    def keep(self, folder: str, name: str, content: bytes, executable: bool = False) -> str:
        """See that a file that stays, such as a program, is on the device, unchanged.

        Args:
            folder: `bin` or `lib`.
            name: of the file, without folders.
            content: of the file.
            executable: whether it is a program.

        Returns:
            Where it lies: in a folder of its own, whose name is the file's SHA-256.

        Raises:
            BadSettings: the name cannot be one on a device.
            NoSpace, LinkLost, DeviceTrouble: as with `put`.
        """
        place = f"{folder}/{digests(content)[1]}"
        self._keep(place, {name: content}, "700" if executable else "600")
        return f"{self.work}/{place}/{name}"

    def keep_together(self, folder: str, files: Mapping[str, bytes]) -> str:
        """See that files that look for one another, such as a delegate's libraries, are there, unchanged.

        Args:
            folder: `lib`.
            files: their contents by their names, without folders; at least one.

        Returns:
            The folder in which they lie; its name is the SHA-256 of the set.

        Raises:
            BadSettings, NoSpace, LinkLost, DeviceTrouble: as with `keep`.
        """
        place = f"{folder}/{digest_of_set(files)}"
        self._keep(place, files, "600")
        return f"{self.work}/{place}"

    def digest(self, path: str) -> str:
        """The SHA-256 of a file that somebody else put on the device; the SHA-1 where it can tell no other.

        Raises:
            BadSettings: there is none that can be read.
        """
        said = self._transport.run(["sh", "-c", _DIGEST, "sh", path], timeout_s=ROUND_TRIP_S)
        found = re.fullmatch(
            r"(?:sha1sum\n([0-9a-f]{40})|sha256sum\n([0-9a-f]{64}))\s.*",
            said.stdout.decode(errors="replace"),
            re.DOTALL,
        )
        if found is None or not said.ok:
            raise BadSettings(f"there is no file {one_line(path)} on the device that can be read")
        return f"sha1:{found[1]}" if found[1] else f"sha256:{found[2]}"

    def holds(self, folder: str, name: str, sha256: str) -> bool:
        """Whether a file that `keep` put on the device is there, unchanged."""
        place = f"{self.work}/{folder}/{sha256}"
        command = ["sh", "-c", _HOLDS, "sh", place, name, sha256]
        said = self._transport.run(command, timeout_s=ROUND_TRIP_S).stdout
        held = said.split(b" ")[0] == sha256.encode()
        if held:
            self._used.add(f"{folder}/{sha256}")
        return held

    def clean(
        self,
        older_than_s: float,
        spare: frozenset[str] = frozenset(),
        programs_older_than_s: float = PROGRAM_STALE_S,
    ) -> int:
        """Remove models and libraries that no job used for so long, and what a broken transfer left.

        Programs and libraries that this object found or put there are in use and stay.

        Args:
            older_than_s: since their last use, by the device's clock.
            spare: SHA-256 of models to leave alone.
            programs_older_than_s: the same for programs.

        Returns:
            The bytes that became free.
        """
        ages_s = dict.fromkeys(FOLDERS, older_than_s) | {"bin": programs_older_than_s}
        return self._remove(list(idle(self.staged(), ages_s, self._in_use(spare))))

    def staged(self) -> list[Staged]:
        """Every file that was put there: models, libraries, programs."""
        return listed(self._run(_LIST, "models"))

    def _keep(self, place: str, files: Mapping[str, bytes], mode: str) -> None:
        for name in files:
            if not _NAME.fullmatch(name):
                raise BadSettings(
                    f"{name!r} cannot be a file's name on a device: letters, digits and ._+- can"
                )
        self._used.add(place)
        missing: list[str] = []
        for attempt in range(ATTEMPTS + 1):
            held, free_bytes = self._look(place, files)
            missing = [name for name in files if name not in held]
            if not missing:
                return
            if attempt < ATTEMPTS:
                self._make_room(sum(blocks(len(files[name])) for name in missing), free_bytes, frozenset())
                for name in missing:
                    content, new = files[name], f".{secrets.token_hex(8)}.new"
                    self._push(content, f"{place}/{new}")
                    self._run(_ACCEPT, place, new, name, *digests(content), mode, size_bytes=len(content))
        raise LinkLost(_damaged(", ".join(missing)))

    def _in_use(self, models: frozenset[str]) -> set[str]:
        return self._used | {f"models/{key}.tflite" for key in models}

    def _remove(self, old: Sequence[Staged]) -> int:
        if old:
            names = "".join(f"{one.folder}/{one.name}\n" for one in old)
            self._run(_REMOVE, "models", stdin=names.encode())
        return sum(one.size_bytes for one in old)

    def _look(self, place: str, files: Mapping[str, bytes]) -> tuple[set[str], int | None]:
        """(names of the files that are there unchanged, free bytes of the storage)."""
        size_bytes = sum(map(len, files.values()))
        names = "".join(f"{name}\n" for name in files)
        first, *lines = self._run(_LOOK, place, stdin=names.encode(), size_bytes=size_bytes).split("\n")
        space = _SPACE.fullmatch(first)
        return _unchanged(lines, files), int(space[1]) * 1024 if space else None

    def _make_room(self, needed_bytes: int, free_bytes: int | None, spare: frozenset[str]) -> None:
        """See that there is room, if need be by removing what earlier jobs left: programs last, if at all."""
        needed_bytes += SPARE_BYTES
        for folder in FOLDERS:
            if free_bytes is None or free_bytes >= needed_bytes:
                return
            old = list(idle(self.staged(), {folder: 0.0}, self._in_use(spare)))
            if folder == "bin" and free_bytes + sum(blocks(one.size_bytes) for one in old) < needed_bytes:
                break
            if old:
                self._remove(old)
                free_bytes = self._look("models", {})[1]
        if free_bytes is not None and free_bytes < needed_bytes:
            raise NoSpace(self._full(needed_bytes, free_bytes))

    def _send(self, models: Mapping[str, bytes]) -> set[str]:
        """Send models in one archive and unpack it; the names of those that arrived as they were."""
        token = f".{secrets.token_hex(8)}"
        content = archive(models)
        self._push(content, f"models/{token}.tar")
        said = self._run(_UNPACK, "models", token, size_bytes=len(content))
        space = _SPACE.match(said)
        if space and int(space[1]) * 1024 < FULL_BYTES:  # tar has failed, and not all of them say why
            raise NoSpace(self._full(len(content), int(space[1]) * 1024))
        return _unchanged(said.splitlines(), {f"{key}.tflite": content for key, content in models.items()})

    def _push(self, content: bytes, place: str) -> None:
        try:
            timeout_s = ROUND_TRIP_S + len(content) / LEAST_BYTES_PER_S
            self._transport.push(content, f"{self.work}/{place}", timeout_s)
        except TransientError:
            raise
        except DeviceTrouble as error:
            folder = place.rpartition("/")[0]
            free_bytes = self._look(folder, {})[1]
            if isinstance(error, NoSpace) or (free_bytes is not None and free_bytes < len(content)):
                raise NoSpace(self._full(len(content), free_bytes or 0)) from error
            raise

    def _run(self, script: str, *arguments: str, stdin: bytes = b"", size_bytes: int = 0) -> str:
        """What a script prints.

        Raises:
            NoSpace: there was no room for what it writes.
            DeviceTrouble: it failed, unless because something arrived damaged.
        """
        timeout_s = ROUND_TRIP_S + size_bytes / LEAST_SUMMED_BYTES_PER_S
        command = ["sh", "-c", script, "sh", self.work, *arguments]
        result = self._transport.run(command, stdin, timeout_s)
        full = b"space left" in result.stderr or b"uota exceeded" in result.stderr
        if (result.exit_code not in (0, _DAMAGED)) or (full and not result.ok):
            said = one_line(result.stderr.decode(errors="replace"))[:REASON_KEPT]
            message = f"cannot write in {self.work} on the device: {said or ending(result.exit_code)}"
            raise NoSpace(f"{message}; remove something there") if full else DeviceTrouble(message)
        return result.stdout.decode(errors="replace")

    def _full(self, needed_bytes: int, free_bytes: int) -> str:
        return (
            f"the device's storage is full: {needed_bytes / 1e6:.1f} MB are needed in {self.work}, "
            f"{free_bytes / 1e6:.1f} MB are free; remove something there"
        )


def _unchanged(lines: Sequence[str], files: Mapping[str, bytes]) -> set[str]:
    """The files whose sums are, of all that a device printed, those of their contents."""
    found = [match for match in map(_SUM.fullmatch, lines) if match]
    return {match[2] for match in found if match[2] in files and match[1] in digests(files[match[2]])}


def _damaged(what: str) -> str:
    return f"{what} arrived damaged {ATTEMPTS} times: look at the device's cable and storage"
