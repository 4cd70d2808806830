"""What the rails of a board's power monitors say of the whole board. Reads nothing itself.

Jetsons have INA3221 monitors of up to three rails each. Which rails there are depends on the board (NVIDIA's
Jetson Linux Developer Guide, "Power Monitor"; names by board in energymon's JetsonPowerRails.md).
"""

from __future__ import annotations

from collections.abc import Mapping

#: rails through which everything that the module draws comes in: one of them is the whole
INPUTS = ("VDD_IN", "POM_5V_IN", "VIN")
#: rails that are fed by another one, which has their power in its own: by both at 5 V on a Jetson AGX Orin
WITHIN = {"VDDQ_VDD2_1V8AO": "VIN_SYS_5V0"}
#: rails of a carrier board, beside the module: displays and ports, not the model
CARRIER = frozenset(
    {
        "VDD_MUX",
        "VDD_5V0_IO_SYS",
        "VDD_5V_IO_SYS",
        "VDD_3V3_SYS",
        "VDD_3V3_IO",
        "VDD_3V3_IO_SLP",
        "VDD_1V8_IO",
        "VDD_M2_IN",
        "VDD_3V3_SYS_M2",
    }
)
#: no board draws more, in milliwatts
MOST_MW = 1e6


def board_mw(rails_mw: Mapping[str, float]) -> float | None:
    """Milliwatts that the module draws: its input's where that is measured, else the sum of its rails.

    Args:
        rails_mw: by the rail's name as the board's device tree has it.

    Returns:
        None where no rail is one of the module's, or what they say cannot be.
    """
    for name in INPUTS:
        if name in rails_mw:
            return _plausible(rails_mw[name])
    own = [
        mw
        for name, mw in rails_mw.items()
        if name not in CARRIER and WITHIN.get(name, name) not in rails_mw.keys() - {name}
    ]
    return _plausible(sum(own)) if own else None


def _plausible(mw: float) -> float | None:
    return mw if 0 < mw <= MOST_MW else None
