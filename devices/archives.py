"""Model files as tar archives for a device, with what summing them there shall print. Sends nothing."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping

#: most of what goes to the device at once, for it lies there twice for a moment
ARCHIVE_BYTES = 32 * 2**20
ARCHIVE_FILES = 1000
#: files take whole blocks
BLOCK_BYTES = 4096


def digests(content: bytes) -> tuple[str, str]:
    """What sha1sum and sha256sum print of it. SHA-1 stands against accidents only, on old phones."""
    return hashlib.sha1(content, usedforsecurity=False).hexdigest(), hashlib.sha256(content).hexdigest()


def digest_of_set(files: Mapping[str, bytes]) -> str:
    """The SHA-256 of files by their names, whatever their order."""
    lines = sorted(f"{digests(content)[1]}  {name}\n" for name, content in files.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def blocks(size_bytes: int) -> int:
    """The bytes of storage that a file of a size takes."""
    return -(-size_bytes // BLOCK_BYTES) * BLOCK_BYTES


def split(models: Mapping[str, bytes]) -> Iterator[dict[str, bytes]]:
    """Models in groups that make archives of a handy size, a larger model being a group of its own."""
    group: dict[str, bytes] = {}
    size_bytes = 0
    for key, content in models.items():
        if group and (size_bytes + len(content) > ARCHIVE_BYTES or len(group) == ARCHIVE_FILES):
            yield group
            group, size_bytes = {}, 0
        group[key] = content
        size_bytes += len(content)
    if group:
        yield group


def archive(models: Mapping[str, bytes]) -> bytes:
    """A tar archive of models with a list of their names, and what summing them on the device shall print."""
    names = {f"{key}.tflite": content for key, content in models.items()}
    sums = [(name, digests(content)) for name, content in names.items()]
    lists = {
        "names": "".join(f"{name}\n" for name in names),
        "sha1sum": "".join(f"{both[0]}  {name}\n" for name, both in sums),
        "sha256sum": "".join(f"{both[1]}  {name}\n" for name, both in sums),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in {**{name: text.encode() for name, text in lists.items()}, **names}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()
