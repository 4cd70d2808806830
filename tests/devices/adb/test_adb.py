from __future__ import annotations

import subprocess
import sys

import pytest

from devices import adb


def test_the_exported_names() -> None:
    assert adb.__all__ == [
        "AdbTransport",
        "by_cable",
        "by_network",
        "direct_tcp",
        "direct_usb",
        "plugged_in",
        "through_server",
    ]


@pytest.mark.parametrize(
    "use",
    [
        "direct_tcp('host', 5555)",
        "direct_usb('R58')",
        "through_server('R58')",
        "by_cable('R58')",
        "by_network('host', 5555)",
    ],
)
def test_libraries_are_loaded_where_a_phone_is_reached(use: str) -> None:
    script = (
        f"import sys; from devices import adb; transport = adb.{use}; transport.close(); "
        "print(sorted({'adb_shell', 'adbutils', 'cryptography', 'usb1'} & sys.modules.keys()))"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout
    assert said == "[]\n"


@pytest.mark.parametrize(
    ("host", "name"), [("phone.lan", "adb://phone.lan:5555"), ("::1", "adb://[::1]:5555")]
)
def test_a_transport_bears_its_address(host: str, name: str) -> None:
    assert adb.direct_tcp(host, 5555).name == name
    assert adb.through_server("R58M12345").name == adb.direct_usb("R58M12345").name == "adb://R58M12345"
