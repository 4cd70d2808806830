from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.errors import BadSettings
from devices.inventory.address import Address

NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9_])?", fullmatch=True)
HOSTS = st.one_of(NAMES, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
PORTS = st.integers(1, 65535)
USERS = st.from_regex(r"[A-Za-z_][A-Za-z0-9._-]{0,20}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("local", Address("local")),
        ("adb://1A2B3C", Address("adb", serial="1A2B3C")),
        ("adb://emulator-5554", Address("adb", serial="emulator-5554")),
        ("adb://10.0.0.7:5555", Address("adb", "10.0.0.7", 5555)),
        ("adb://[fe80::1]:5555", Address("adb", "fe80::1", 5555)),
        ("ssh://pi4", Address("ssh", "pi4")),
        ("ssh://lab@pi4.lab", Address("ssh", "pi4.lab", user="lab")),
        ("ssh://lab@10.0.0.9:2222", Address("ssh", "10.0.0.9", 2222, "lab")),
        ("ssh://[::1]", Address("ssh", "::1")),
    ],
)
def test_addresses_are_read_and_written(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@given(
    st.one_of(
        st.just(Address("local")),
        st.builds(Address, st.just("adb"), serial=NAMES),
        st.builds(Address, st.just("adb"), HOSTS, PORTS),
        st.builds(Address, st.just("ssh"), HOSTS, st.none() | PORTS, st.none() | USERS),
    )
)
def test_every_address_parses_back(address: Address) -> None:
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "phone",
        "tcp://10.0.0.7",
        "adb://",
        "ssh://",
        "adb:10.0.0.7",
        "adb://10.0.0.7:",
        "adb://10.0.0.7:0",
        "adb://10.0.0.7:65536",
        "adb://10.0.0.7:٣٣",
        "adb://a b",
        "adb://a;reboot",
        "adb://$(reboot)",
        "adb://`reboot`",
        "adb://-s",
        "adb://../x",
        "adb://a\nb",
        "ssh://-oProxyCommand=reboot",
        "ssh://-oProxyCommand=reboot@pi",
        "ssh://pi/../../etc",
        "ssh://pi;reboot",
        "ssh://pi|cat",
        "ssh://pi:22:22",
        "ssh://@pi",
        "ssh://a@b@c",
        "ssh://pi\x1b[2J",
        "ssh://[::1",
        "ssh://[zz]",
        "ssh://[::1]22",
        "ssh://pi:-1",
        "ssh://pi ",
        " local",
        "local\n",
    ],
)
def test_what_is_no_address_is_told_what_is(text: str) -> None:
    with pytest.raises(BadSettings, match=r"an address is one of: local, adb://SERIAL") as caught:
        Address.parse(text)
    assert str(caught.value).isprintable()


@given(st.sampled_from(["adb", "ssh"]), st.text())
def test_no_text_gets_through_with_more_than_names_in_it(scheme: str, text: str) -> None:
    try:
        address = Address.parse(f"{scheme}://{text}")
    except BadSettings:
        return
    for part in (address.host, address.user, address.serial):
        assert part is None or re.fullmatch(r"[A-Za-z0-9_:][A-Za-z0-9._:-]*", part)
