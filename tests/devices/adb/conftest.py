"""The fixtures of `tests.devices.phones` and `tests.devices.adb.shared`."""

from tests.devices.adb.shared import key, shared_phone, shared_server
from tests.devices.phones import adb_server, phone, start_phone

__all__ = ["adb_server", "key", "phone", "shared_phone", "shared_server", "start_phone"]
