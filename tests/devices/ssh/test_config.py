from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import BadSettings
from devices.ssh.config import DEFAULT_KEYS, SYSTEM_KNOWN_HOSTS, Hop, route


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("LOGNAME", "somebody")
    (tmp_path / ".ssh").mkdir()
    return tmp_path


def configured(home: Path, text: str, host: str, **given: Any) -> tuple[Hop, ...]:
    (home / ".ssh" / "config").write_text(text)
    return route(host, **given)


def test_a_host_without_any_configuration(home: Path) -> None:
    (hop,) = route("board.lab")
    assert (hop.hostname, hop.port, hop.user, str(hop)) == ("board.lab", 22, "somebody", "somebody@board.lab")
    assert hop.identity_files == tuple(home / ".ssh" / name for name in DEFAULT_KEYS)
    assert hop.default_keys
    assert hop.known_hosts[0] == home / ".ssh" / "known_hosts"
    assert hop.known_hosts[-1] == SYSTEM_KNOWN_HOSTS


def test_an_alias_and_what_is_stronger(home: Path) -> None:
    text = """
        Host pi
          HostName 10.0.0.7
          User pi
          Port 2222
          IdentityFile ~/.ssh/lab
          IdentitiesOnly yes
          UserKnownHostsFile ~/.ssh/lab_hosts
          HostKeyAlias pi-of-the-lab
        Host *
          User nobody
    """
    (hop,) = configured(home, text, "pi")
    assert str(hop) == "pi@10.0.0.7:2222"
    assert hop.identity_files == (home / ".ssh" / "lab",)
    assert hop.identities_only
    assert hop.known_hosts == (home / ".ssh" / "lab_hosts", SYSTEM_KNOWN_HOSTS)
    assert hop.host_key_alias == "pi-of-the-lab"
    (hop,) = configured(home, text, "pi", user="root", port=22, known_hosts=Path("/known"))
    assert (hop.user, hop.port, hop.known_hosts) == ("root", 22, (Path("/known"),))


def test_jump_hosts_one_through_the_other(home: Path) -> None:
    text = """
        Host gate
          HostName gate.example.com
          ProxyJump outer
        Host board
          ProxyJump jim@gate:2022,[fe80::1]:24
    """
    assert [str(hop) for hop in configured(home, text, "board")] == [
        "somebody@outer",
        "jim@gate.example.com:2022",
        "somebody@[fe80::1]:24",
        "somebody@board",
    ]
    assert len(configured(home, "Host board\nProxyJump none\n", "board")) == 1


def test_included_files_count_where_they_are_included(home: Path) -> None:
    (home / ".ssh" / "conf.d").mkdir()
    (home / ".ssh" / "conf.d" / "lab").write_text("Host pi\n  HostName 10.0.0.7\n")
    (hop,) = configured(home, "Include conf.d/*\nUser everybody\n", "pi")
    assert (hop.hostname, hop.user) == ("10.0.0.7", "everybody")
    (hop,) = configured(home, "Include conf.d/*\nUser everybody\n", "other")
    assert (hop.hostname, hop.user) == ("other", "everybody")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Host pi\n  ProxyJump pi\n", "circle"),
        ("Host pi\n  ProxyJump other\nHost other\n  ProxyJump pi\n", "circle"),
        ("Host pi\n  ProxyJump a b\n", "cannot be read"),
        ("Host pi\n  ProxyCommand nc %h %p\n", "ProxyJump"),
        ("Host pi\n  Port twenty\n", "not a port"),
        ("Host pi\n  Port 70000\n", "not a port"),
        ("Host 'pi\n", "cannot be read"),
        ("nonsense\n", "cannot be read"),
        ("Include config\n", "includes itself"),
    ],
)
def test_what_cannot_be_followed_is_said(home: Path, text: str, told: str) -> None:
    with pytest.raises(BadSettings, match=told):
        configured(home, text, "pi")


def test_a_configuration_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="no SSH configuration"):
        route("pi", config=tmp_path / "nothing")


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("ssh") / "config"
    file.touch()
    return file


@given(
    st.text(max_size=20) | st.from_regex("[a-z.%:-]{1,9}", fullmatch=True),
    st.none() | st.text(max_size=10),
    st.none() | st.integers(),
)
def test_no_name_gets_past_that_a_shell_or_a_terminal_could_trip_over(
    empty: Path, host: str, user: str | None, port: int | None
) -> None:
    try:
        (hop,) = route(host, user, port, config=empty)
    except BadSettings:
        return
    assert not set(hop.hostname) & set(" \t\n'\"$`\\;&|<>*?()\x1b")
    assert not hop.hostname.startswith("-")
    assert hop.user.isprintable()
    assert 0 < hop.port < 65536
