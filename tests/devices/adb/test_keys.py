from __future__ import annotations

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from devices.adb.keys import default_key, make_if_absent, signers
from devices.errors import BadSettings
from tests.devices.phones import make_key


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_the_default_key_is_made_private_and_only_once(home: Path) -> None:
    (first,) = signers(None)
    path = home / ".android/adbkey"
    assert default_key() == path
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    content = path.read_bytes()
    assert signers(None)[0].GetPublicKey() == first.GetPublicKey()
    assert path.read_bytes() == content
    assert sorted(each.name for each in path.parent.iterdir()) == ["adbkey", "adbkey.pub"]


def test_who_comes_second_gets_the_key_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "key"
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(make_if_absent, path) for _ in range(6)]:
            done.result(60)
    token = bytes(range(20))
    (signer,) = signers([path])
    # the public part is of the same pair: its modulus, in Android's format, opens what the other signed
    numbers = base64.b64decode(signer.GetPublicKey().split()[0])
    modulus = int.from_bytes(numbers[8:264], "little")
    signature = pow(int.from_bytes(signer.Sign(token), "big"), 65537, modulus).to_bytes(256, "big")
    assert signature.startswith(b"\0\1\xff\xff")
    assert signature.endswith(token)
    assert mode(path) == 0o600


def test_keys_made_by_adb_itself(tmp_path: Path) -> None:
    public = make_key(tmp_path / "adbkey")
    made = public.read_bytes()
    (signer,) = signers([tmp_path / "adbkey"])
    assert signer.GetPublicKey() == made
    public.unlink()  # made again from the private key; the name of its owner is behind it
    assert signers([tmp_path / "adbkey"])[0].GetPublicKey().split()[0] == made.split()[0]


def test_keys_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n")
    (tmp_path / "secret.pub").write_text("x")
    with pytest.raises(BadSettings, match="secret is not a private key for adb") as caught:
        signers([tmp_path / "secret"])
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__} {caught.value.__context__}"
    with pytest.raises(BadSettings, match=r"cannot read the key .*nowhere: No such file"):
        signers([tmp_path / "nowhere"])
    with pytest.raises(BadSettings, match="no key was given"):
        signers([])


def test_a_folder_that_cannot_be_written(home: Path) -> None:
    (home / ".android").write_text("a file")
    with pytest.raises(BadSettings, match=r"cannot make .*\.android/adbkey: .*name a key"):
        signers(None)
