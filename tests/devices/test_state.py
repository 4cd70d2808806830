"""Where this host keeps what it remembers: private, and named after devices without confusing them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import BadSettings
from devices.state import file_name, state_directory


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MNAS_STATE_DIR", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_the_folder_is_the_users_own(tmp_path: Path) -> None:
    assert state_directory("leases") == tmp_path / "home/.local/state/mnas/leases"


def test_the_folder_follows_the_desktop_standard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert state_directory("canary") == tmp_path / "state/mnas/canary"


def test_the_folder_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "chosen"))
    assert state_directory("leases") == tmp_path / "chosen/leases"
    assert not (tmp_path / "state").exists()


def test_nobody_else_looks_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = tmp_path / "chosen"
    monkeypatch.setenv("MNAS_STATE_DIR", str(chosen))
    for _ in range(2):  # made, and found
        part = state_directory("leases")
        assert stat.S_IMODE(part.stat().st_mode) == 0o700
        assert stat.S_IMODE(chosen.stat().st_mode) == 0o700


def test_somebodys_folder_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    chosen.chmod(0o1777)
    monkeypatch.setenv("MNAS_STATE_DIR", str(chosen))
    part = state_directory("leases")
    assert stat.S_IMODE(chosen.stat().st_mode) == 0o1777
    assert stat.S_IMODE(part.stat().st_mode) == 0o700


def test_what_is_kept_stays(tmp_path: Path) -> None:
    (state_directory("leases") / "one").write_text("kept")
    assert (state_directory("leases") / "one").read_text() == "kept"


def test_a_folder_that_cannot_be_is_an_error_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "file"))
    with pytest.raises(
        BadSettings, match=r"cannot make .*/file/leases: .*MNAS_STATE_DIR names another folder"
    ):
        state_directory("leases")


#: addresses as `bench.toml` and the command line may hold them, hostile ones too
addresses = st.builds(
    "{}://{}".format,
    st.sampled_from(("adb", "ssh")),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
)


@given(addresses)
def test_a_file_name_is_one_plain_name(address: str) -> None:
    name = file_name(address)
    assert Path(name).name == name
    assert name not in {".", ".."}
    assert not name.startswith((".", "-"))
    assert all(letter.isascii() and (letter.isalnum() or letter in "._-%") for letter in name)


@given(addresses, addresses)
def test_different_addresses_have_different_files(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)


def test_a_file_name_can_be_read() -> None:
    assert file_name("local") == "local"
    assert file_name("adb://R58M12ABCDE") == "adb%3a%2f%2fR58M12ABCDE"
    assert file_name("adb://192.168.1.5:5555") != file_name("adb://192.168.1.5.5555")
