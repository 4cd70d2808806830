from __future__ import annotations

import base64
import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from devices.ssh.known_hosts import KnownKey, lookup, lookup_name
from tests.devices.sshd import make_key

A, B = KnownKey("ssh-ed25519", b"a key"), KnownKey("ssh-rsa", b"b key")


def line(names: str, key: KnownKey, marker: str = "") -> str:
    return f"{marker} {names} {key.kind} {base64.b64encode(key.key).decode()} a comment\n".lstrip()


def test_the_port_is_part_of_the_name() -> None:
    assert lookup_name("Board.lab", 22) == "board.lab"
    assert lookup_name("board.lab", 2222) == "[board.lab]:2222"
    text = line("board.lab", A) + line("[board.lab]:2222", B)
    assert lookup([text], "board.lab", 22).keys == (A,)
    other = lookup([text], "BOARD.lab", 2222)
    assert (other.keys, other.without_port) == ((B,), (A,))
    assert other.accepts(B)
    assert not other.accepts(A)
    assert lookup([text], "board.lab", 99).accepts(A)


def test_patterns_lists_and_exceptions() -> None:
    text = line("*.lab,!bad.lab,10.0.0.?", A)
    assert lookup([text], "good.lab", 22).accepts(A)
    assert lookup([text], "10.0.0.7", 22).accepts(A)
    assert not lookup([text], "bad.lab", 22).accepts(A)
    assert not lookup([text], "lab", 22).accepts(A)
    assert lookup([line("[*.lab]:2222", A)], "x.lab", 2222).keys == (A,)


def test_a_revoked_key_is_never_accepted_and_an_authority_is_no_key() -> None:
    text = line("board", A) + line("board", A, "@revoked") + line("board", B, "@cert-authority")
    known = lookup([text], "board", 22)
    assert not known.accepts(A)
    assert not known.accepts(B)


def test_hashed_names_as_openssh_writes_them(tmp_path: Path) -> None:
    kind, key, *_ = make_key(tmp_path / "key").with_suffix(".pub").read_text().split()
    file = tmp_path / "known_hosts"
    file.write_text(f"[board.lab]:2222 {kind} {key}\nother {kind} {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True, timeout=30)
    assert "board" not in file.read_text()
    known = KnownKey(kind, base64.b64decode(key))
    assert lookup([file.read_text()], "board.lab", 2222).keys == (known,)
    assert not lookup([file.read_text()], "board.lab", 22).keys


@given(st.text(), st.text(min_size=1, max_size=20))
def test_any_text_can_be_read(text: str, host: str) -> None:
    assert not lookup([text, f"|1|{text}", f"{host} ssh-rsa {text}!"], host, 22).accepts(A)
