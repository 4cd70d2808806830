"""Wheels and an index of them on the loopback, for boards that are set up without any other network."""

from __future__ import annotations

import base64
import contextlib
import functools
import hashlib
import http.server
import threading
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def repack(name: str, into: Path) -> None:
    """Wheels out of an installed distribution and of those that it needs."""
    found = distribution(name)
    tags = [line[5:] for line in (found.read_text("WHEEL") or "").splitlines() if line.startswith("Tag: ")]
    parts = zip(*(tag.split("-") for tag in tags), strict=True)
    tag = "-".join(".".join(dict.fromkeys(part)) for part in parts)
    path = into / f"{name.replace('-', '_')}-{found.version}-{tag}.whl"
    if path.exists():
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as wheel:
        files = [file for file in found.files or () if not file.parts[0].startswith("..")]
        for file in files:
            if file.suffix != ".pyc" and file.name != "RECORD":
                wheel.write(str(file.locate()), str(file))
        record = next(str(file) for file in files if file.name == "RECORD")
        wheel.writestr(record, _record(wheel))
    for requirement in map(Requirement, found.requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            repack(requirement.name, into)


def stand_in(name: str, version: str, files: Mapping[str, str], into: Path, requires: str = "") -> Path:
    """A wheel of a few lines for any Python."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    path = into / f"{module}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file, text)
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}"
        )
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", _record(wheel))
    return path


def _record(wheel: zipfile.ZipFile) -> str:
    lines = []
    for entry in wheel.namelist():
        digest = base64.urlsafe_b64encode(hashlib.sha256(wheel.read(entry)).digest()).rstrip(b"=").decode()
        lines.append(f"{entry},sha256={digest},\n")
    return "".join(lines)


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def index(wheels: Path, folder: Path) -> Iterator[str]:
    """The address of a package index (PEP 503) that has the wheels of a folder."""
    for wheel in wheels.glob("*.whl"):
        page = folder / "simple" / canonicalize_name(wheel.name.split("-")[0])
        page.mkdir(parents=True, exist_ok=True)
        with (page / "index.html").open("a") as file:
            file.write(f'<a href="/{wheel.name}">{wheel.name}</a>\n')
        (folder / wheel.name).symlink_to(wheel)
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        finally:
            server.shutdown()
            thread.join()
