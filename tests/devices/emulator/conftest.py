"""The fixtures of `tests.devices.phones`."""

from tests.devices.phones import adb_server, phone, start_phone

__all__ = ["adb_server", "phone", "start_phone"]
