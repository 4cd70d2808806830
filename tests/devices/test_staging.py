"""Files arrive whole or not at all, on whatever shell the device has."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices import archives
from devices.errors import BadSettings, DeviceTrouble, LinkLost, NoSpace
from devices.local import LocalTransport
from devices.measurement import ModelFile
from devices.staging import Staging
from tests.devices.shells import Through, android, small_disk


@pytest.fixture(params=["here", "android", "android without sha256sum"])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Through]:
    if request.param == "here":
        found = Through([])
    elif request.param == "android":
        found = android(tmp_path / "tools")
    else:
        found = android(tmp_path / "tools", without=["sha256sum"])
    yield found
    found.close()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "a work folder" / "mnas"


@pytest.fixture
def staging(transport: Through, work: Path) -> Staging:
    return Staging(transport, str(work))


def model(content: bytes, name: str = "m.tflite") -> ModelFile:
    return ModelFile(name, content)


MODELS = [model(random.Random(i).randbytes(100 * i)) for i in range(40)]


def listed(work: Path) -> list[str]:
    return sorted(path.name for path in (work / "models").iterdir())


def test_models_lie_where_their_content_says(staging: Staging, work: Path) -> None:
    paths = staging.put(MODELS)
    assert set(paths) == {each.sha256 for each in MODELS}
    for each in MODELS:
        path = Path(paths[each.sha256])
        assert path == work / "models" / f"{each.sha256}.tflite" == Path(staging.path(each.sha256))
        assert path.read_bytes() == each.content
        assert path.stat().st_mode & 0o777 == 0o600
    assert work.stat().st_mode & 0o777 == 0o700
    assert len(listed(work)) == len(MODELS)


def test_names_and_doubles_do_not_matter(staging: Staging, work: Path) -> None:
    paths = staging.put([model(b"x", "../../../etc/passwd"), model(b"x", "$(reboot)\n"), model(b"y" * 7)])
    assert len(paths) == 2
    assert len(listed(work)) == 2
    assert staging.put([]) == {}


def test_all_go_in_one_push_and_only_what_is_missing(transport: Through, staging: Staging) -> None:
    staging.put(MODELS[:30])
    first = len(transport.commands)
    assert first <= 3  # clean, look, unpack
    staging.put(MODELS[:30])
    assert len(transport.commands) == first + 1
    staging.put(MODELS)
    assert len(transport.commands) == first + 1 + 2


@pytest.mark.parametrize("damage", [b"", b"X" * 500, None])
def test_what_was_damaged_there_is_sent_again(staging: Staging, damage: bytes | None) -> None:
    """The size stays the same, and so may the time."""
    chosen = MODELS[5]
    path = Path(staging.put(MODELS)[chosen.sha256])
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
        os.utime(path, (0, 0))
    staging.put(MODELS)
    assert path.read_bytes() == chosen.content


class Damaging(LocalTransport):
    """Flips one byte of what is pushed, the first so many times."""

    def __init__(self, times: int, at: int) -> None:
        super().__init__()
        self.left, self.at = times, at

    def push(self, content: bytes, path: str, timeout_s: float = 60.0) -> None:
        if self.left:
            self.left -= 1
            at = self.at % len(content)
            content = content[:at] + bytes([content[at] ^ 0x20]) + content[at + 1 :]
        super().push(content, path, timeout_s)


@settings(max_examples=15)
@given(at=st.integers(0, 2**31))
def test_a_link_that_damages_a_byte_somewhere(tmp_path_factory: pytest.TempPathFactory, at: int) -> None:
    """In a model, in its name, in the archive's headers: the models are right in the end, or absent."""
    work = tmp_path_factory.mktemp("work") / "mnas"
    paths = Staging(Damaging(1, at), str(work)).put(MODELS[:4])
    assert all(Path(paths[each.sha256]).read_bytes() == each.content for each in MODELS[:4])
    whole = {f"{each.sha256}.tflite" for each in MODELS[:4]}
    assert set(listed(work)) == whole
    shutil.rmtree(work.parent)


def test_a_link_that_always_damages(work: Path) -> None:
    staging = Staging(Damaging(100, 5000), str(work))
    with pytest.raises(LinkLost, match=r"3 of 3 models arrived damaged 3 times"):
        staging.put(MODELS[7:10])
    assert listed(work) == []
    with pytest.raises(LinkLost, match="tool arrived damaged"):
        staging.keep("bin", "tool", b"#!" + b"x" * 9000)
    assert not list(work.glob("bin/*/*"))


def test_large_sets_go_in_parts(
    transport: Through, staging: Staging, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "ARCHIVE_BYTES", 5000)
    monkeypatch.setattr(archives, "ARCHIVE_FILES", 7)
    staging.put(MODELS)
    assert len(listed(work)) == len(MODELS)
    assert len(transport.commands) > 15


def test_programs_are_kept_and_watched(staging: Staging, work: Path) -> None:
    content = b"#!/bin/sh\necho hello\n"
    key = hashlib.sha256(content).hexdigest()
    assert not staging.holds("bin", "tool", key)
    path = Path(staging.keep("bin", "tool", content, executable=True))
    assert path == work / "bin" / key / "tool"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (content, 0o700)
    assert staging.holds("bin", "tool", key)
    for damaged in (b"", content.replace(b"hello", b"world")):
        path.write_bytes(damaged)
        assert not staging.holds("bin", "tool", key)
        assert Path(staging.keep("bin", "tool", content, executable=True)).read_bytes() == content
        assert staging.holds("bin", "tool", key)
    library = Path(staging.keep("lib", "libQnn+1.so", b"\x7fELF"))
    assert library.stat().st_mode & 0o777 == 0o600


def test_a_set_lies_in_one_folder(staging: Staging, work: Path) -> None:
    files = {"libQnnHtp.so": b"\x7fELF", "libQnnHtpV73Skel.so": b"\x7fELF of the processor"}
    folder = Path(staging.keep_together("lib", files))
    assert folder == Path(staging.keep_together("lib", dict(reversed(files.items()))))
    assert folder.parent == work / "lib"
    assert {path.name: path.read_bytes() for path in folder.glob("*.so")} == files
    (folder / "libQnnHtp.so").write_bytes(b"\x7fELX")
    staging.keep_together("lib", files)
    assert (folder / "libQnnHtp.so").read_bytes() == b"\x7fELF"
    for other in ({**files, "libQnnHtp.so": b"\x7fELG"}, {**files, "more.so": b"x"}):
        assert Path(staging.keep_together("lib", other)) != folder
    with pytest.raises(BadSettings, match="name on a device"):
        staging.keep_together("lib", {"a.so": b"x", "../b.so": b"x"})


def test_what_others_put_there_has_a_digest(staging: Staging, tmp_path: Path) -> None:
    path = tmp_path / "it's $(reboot).so"
    for missing in (path, tmp_path):
        with pytest.raises(BadSettings, match=r"no file .* that can be read"):
            staging.digest(str(missing))
    path.write_bytes(b"ELF")
    assert staging.digest(str(path)) in {
        f"sha256:{hashlib.sha256(b'ELF').hexdigest()}",
        f"sha1:{hashlib.sha1(b'ELF', usedforsecurity=False).hexdigest()}",
    }


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-rf", "a b", "a\nb", "$(x)", ".hidden", "x" * 200])
def test_names_that_are_none(staging: Staging, name: str) -> None:
    with pytest.raises(BadSettings, match="name on a device"):
        staging.keep("bin", name, b"x")


@pytest.mark.parametrize(
    "work", ["", "mnas", "/", "/tmp", "/tmp/../etc", "~/x/y", "$HOME/mnas", "/tmp/a\nb/c"]
)
def test_work_folders_that_are_none(work: str) -> None:
    with pytest.raises(BadSettings, match="work folder"):
        Staging(LocalTransport(), work)


def test_cleaning_goes_by_the_last_use(staging: Staging, work: Path) -> None:
    paths = staging.put(MODELS[:6])
    for each in MODELS[:5]:
        os.utime(paths[each.sha256], (0, 0))
    (work / "models" / ".0123456789abcdef.d").mkdir()
    for left in (".0123456789abcdef.d/names", ".fedcba9876543210.tar", ".fedcba9876543210.tar.part"):
        (work / "models" / left).write_bytes(b"left")
        os.utime(work / "models" / left, (0, 0))
    staging.put(MODELS[:2])  # used again
    assert staging.clean(3600.0, frozenset({MODELS[4].sha256})) == 200 + 300 + 12
    assert listed(work) == sorted(f"{MODELS[i].sha256}.tflite" for i in (0, 1, 4, 5))
    assert staging.clean(3600.0) == 400
    assert staging.clean(0.0) == 0 + 100 + 500
    assert listed(work) == []


def test_a_job_cleans_what_others_left_long_ago(transport: Through, work: Path) -> None:
    old = Path(Staging(transport, str(work)).put(MODELS[3:4])[MODELS[3].sha256])
    os.utime(old, (0, 0))
    Staging(transport, str(work)).put(MODELS[4:5])
    assert not old.exists()


def aged(folder: Path, age_s: float) -> None:
    """Let everything in a folder be as if it had not been used for so long."""
    then = time.time() - age_s
    for path in folder.iterdir():
        os.utime(path, (then, then))


def test_libraries_and_programs_age_too(transport: Through, work: Path) -> None:
    before = Staging(transport, str(work))
    program, other = (Path(before.keep("bin", "tool", each, executable=True)).parent for each in (b"1", b"2"))
    (program / "tool.version").write_bytes(b"2.2.0")
    sets = [Path(before.keep_together("lib", {"a.so": each, "b.so": b"b"})) for each in (b"1", b"2")]
    for folder in (program, other, *sets):
        aged(folder, 10 * 24 * 3600)
    assert before.clean(0.0) == 0  # in use by this very object

    staging = Staging(transport, str(work))
    os.utime(sets[0] / "b.so")  # one of a set that was used keeps the others
    assert staging.holds("bin", "tool", program.name)
    staging.put(MODELS[:1])
    assert [path.exists() for path in (program, other, *sets)] == [True, True, True, False]
    aged(sets[0], 10 * 24 * 3600)
    aged(other, 100 * 24 * 3600)
    aged(program, 100 * 24 * 3600)
    kept = staging.keep_together("lib", {"a.so": b"1", "b.so": b"b"})
    staging.clean(24 * 3600)
    assert Path(kept) == sets[0]
    assert [path.exists() for path in (program, other, *sets)] == [True, False, True, False]
    assert (program / "tool.version").exists()
    assert Staging(transport, str(work)).clean(24 * 3600) > 0  # nobody's: both files and the folder go
    assert not program.exists()


def test_use_does_not_change_which_program_came_last(staging: Staging) -> None:
    first, last = (Path(staging.keep("bin", "tool", each, executable=True)) for each in (b"1", b"2"))
    os.utime(first, (1000, 1000))
    assert staging.holds("bin", "tool", first.parent.name)
    assert first.stat().st_mtime == 1000 < last.stat().st_mtime


def test_cleaning_stays_inside(staging: Staging, work: Path, tmp_path: Path) -> None:
    staging.put(MODELS[:1])
    outside = tmp_path / "precious"
    outside.write_bytes(b"x")
    os.utime(outside, (0, 0))
    (work / "models" / "link").symlink_to(tmp_path)
    for name in ("a\n0 1 .\\precious", "..x", "a b", "\n.."):
        (work / "models" / name).write_bytes(b"")
    staging.clean(0.0)
    assert outside.exists()


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DeviceTrouble, match=r"cannot write in .*/file/mnas on the device: "):
        Staging(LocalTransport(), f"{tmp_path}/file/mnas").put(MODELS[:1])


def test_a_full_device_says_so_before_anything_is_sent(tmp_path: Path) -> None:
    with small_disk(tmp_path, "6m") as transport:
        staging = Staging(transport, f"{tmp_path}/mnas")
        with pytest.raises(
            NoSpace, match=r"storage is full: \d+\.\d MB are needed in .*, [56]\.\d MB are free"
        ):
            staging.put([model(os.urandom(2_500_000))])
        assert staging.staged() == []
        with pytest.raises(NoSpace):
            staging.keep("bin", "tool", bytes(5_000_000))


def test_room_is_made_of_what_earlier_jobs_left(tmp_path: Path) -> None:
    first, second = model(os.urandom(1_500_000)), model(os.urandom(1_500_000))
    with small_disk(tmp_path, "6m") as transport:
        staging = Staging(transport, f"{tmp_path}/mnas")
        staging.put([first])
        staging.put([second])
        assert [one.name for one in staging.staged()] == [f"{second.sha256}.tflite"]


def test_programs_give_way_last_and_only_if_that_helps(tmp_path: Path) -> None:
    with small_disk(tmp_path, "8m") as transport:
        before, mine = Staging(transport, f"{tmp_path}/mnas"), Staging(transport, f"{tmp_path}/mnas")
        before.put([model(os.urandom(500_000))])
        before.keep("lib", "a.so", os.urandom(700_000))
        before.keep("bin", "tool", os.urandom(2_000_000))
        mine.keep("bin", "tool", own := os.urandom(900_000))

        def stored() -> set[str]:
            return {one.folder for one in mine.staged() if one.size_bytes > 1000}

        mine.put([model(os.urandom(1_200_000))])
        assert stored() == {"models", "lib", "bin"}
        with pytest.raises(NoSpace):
            mine.put([model(os.urandom(3_500_000))])
        assert (
            len([one for one in mine.staged() if one.unit.startswith("bin/") and one.name.endswith("tool")])
            > 1
        )
        mine.put([model(os.urandom(2_000_000))])
        assert stored() == {"models", "bin"}
        assert mine.holds("bin", "tool", hashlib.sha256(own).hexdigest())


def test_a_device_that_gets_full_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the space cannot be told, or is gone by the time that it is needed."""
    monkeypatch.setattr(Staging, "_make_room", lambda *_: None)
    with small_disk(tmp_path, "3m") as transport:
        staging = Staging(transport, f"{tmp_path}/mnas")
        with pytest.raises(NoSpace, match="full"):
            staging.put([model(os.urandom(4_000_000))])
        with pytest.raises(NoSpace, match="full"):
            staging.put([model(os.urandom(1_700_000))])
        with pytest.raises(NoSpace):
            staging.keep("bin", "tool", bytes(5_000_000))
        staging.clean(0.0)
        assert staging.put([model(b"x")])
