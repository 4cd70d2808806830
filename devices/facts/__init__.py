"""What the texts of a device say of it: pure functions of text. Reads nothing itself."""

from devices.facts.device_state import PRIVILEGES, DeviceState, state
from devices.facts.linux import cores, cpu_model, fields, memory_bytes, operating_system
from devices.facts.machine_facts import MachineFacts, machine
from devices.facts.power import board_mw
from devices.facts.processor import Policy, big_cores, clusters, policies
from devices.facts.thermal import Temperature

__all__ = [
    "PRIVILEGES",
    "DeviceState",
    "MachineFacts",
    "Policy",
    "Temperature",
    "big_cores",
    "board_mw",
    "clusters",
    "cores",
    "cpu_model",
    "fields",
    "machine",
    "memory_bytes",
    "operating_system",
    "policies",
    "state",
]
