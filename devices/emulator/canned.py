"""What the emulated phone says of itself: its properties, /sys, and the texts of `dumpsys`.

A phone with a Snapdragon 888: four small cores, three big ones and one bigger still. The texts have the traps
of real phones: cached temperatures printed before the current ones and older than they, sensors that answer
-99.9, zones of millivolts and percent among those of degrees, the battery in tenths.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PROPERTIES = {
    "gsm.operator.alpha": "",
    "ro.board.platform": "lahaina",
    "ro.boot.hardware": "qcom",
    "ro.build.display.id": "TKQ1.220829.002",
    "ro.build.fingerprint": "Emulated/phone/emu64:13/TKQ1.220829.002/eng.1:user/release-keys",
    "ro.build.version.release": "13",
    "ro.build.version.sdk": "33",
    "ro.build.version.security_patch": "2023-02-05",
    "ro.debuggable": "0",
    "ro.hardware": "qcom",
    "ro.product.brand": "Emulated",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.product.cpu.abilist": "arm64-v8a,armeabi-v7a,armeabi",
    "ro.product.device": "emu64",
    "ro.product.manufacturer": "Emulated",
    "ro.product.model": "Emulated Phone",
    "ro.product.name": "phone",
    "ro.serialno": "EMULATED1",
    "ro.soc.manufacturer": "QTI",
    "ro.soc.model": "SM8350",
    "sys.boot_completed": "1",
}


@dataclass(frozen=True, slots=True)
class Cores:
    """A cluster: its cores, their part number in /proc/cpuinfo, capacity, and frequencies."""

    cpus: tuple[int, ...]
    part: int
    capacity: int
    frequencies_khz: tuple[int, ...]


CLUSTERS = (
    Cores((0, 1, 2, 3), 0xD05, 250, (300000, 691200, 1094400, 1497600, 1804800)),
    Cores((4, 5, 6), 0xD41, 760, (710400, 1209600, 1766400, 2054400, 2419200)),
    Cores((7,), 0xD44, 1024, (844800, 1305600, 1862400, 2361600, 2841600)),
)
CPUS = sum(len(cluster.cpus) for cluster in CLUSTERS)
GOVERNORS = "conservative powersave performance schedutil"


@dataclass(frozen=True, slots=True)
class Temperatures:
    """How warm the phone is, in degrees Celsius; `status` as Android's thermal service counts it."""

    processor: float = 41.5
    skin: float = 31.2
    battery: float = 29.1
    status: int = 0

    @classmethod
    def heated(cls, processor: float) -> Temperatures:
        """What the other sensors say when the processor has this temperature."""
        return cls(
            processor,
            skin=round(min(31.2 + 0.3 * max(0.0, processor - 41.5), 58.0), 1),
            battery=round(min(29.1 + 0.2 * max(0.0, processor - 41.5), 49.0), 1),
            status=3 if processor >= 90 else 2 if processor >= 80 else 1 if processor >= 70 else 0,
        )


def _zones(now: Temperatures) -> tuple[tuple[str, int], ...]:
    """Type and reading of every thermal zone. Not all are temperatures."""
    processor = int(now.processor * 1000)
    return (
        ("aoss0-usr", int(now.processor * 1000) - 4100),
        *((f"cpu-{0 if cpu < 4 else 1}-{cpu % 4}-usr", processor - 300 * (7 - cpu)) for cpu in range(CPUS)),
        ("gpuss-0-usr", processor - 3000),
        ("skin-therm-usr", int(now.skin * 1000)),
        ("battery", int(now.battery * 1000)),
        ("modem-lte-sub6-pa1", -40960),
        ("soc", 87),
        ("pm8350b-vbat-lvl0", 4213),
        ("xo-therm-usr", int(now.skin * 1000) + 800),
    )


def write_sysfs(root: Path) -> None:
    """Write what the phone has in /sys: cores, their frequencies and topology, thermal zones, battery."""
    cpu = root / "devices/system/cpu"
    for name in ("possible", "present", "online"):
        _write(cpu / name, f"0-{CPUS - 1}")
    _write(cpu / "offline", "")
    for number, cluster in enumerate(CLUSTERS):
        policy = cpu / f"cpufreq/policy{cluster.cpus[0]}"
        listed = " ".join(map(str, cluster.cpus))
        lowest, highest = cluster.frequencies_khz[0], cluster.frequencies_khz[-1]
        for name, text in {
            "affected_cpus": listed,
            "related_cpus": listed,
            "cpuinfo_min_freq": str(lowest),
            "cpuinfo_max_freq": str(highest),
            "cpuinfo_transition_latency": "0",
            "scaling_available_frequencies": " ".join(map(str, cluster.frequencies_khz)) + " ",
            "scaling_available_governors": GOVERNORS + " ",
            "scaling_cur_freq": str(cluster.frequencies_khz[1]),
            "scaling_driver": "qcom-cpufreq-hw",
            **reset_frequencies(cluster),
        }.items():
            _write(policy / name, text)
        siblings = f"{cluster.cpus[0]}-{cluster.cpus[-1]}" if len(cluster.cpus) > 1 else listed
        for core in cluster.cpus:
            here = cpu / f"cpu{core}"
            _write(here / "cpu_capacity", str(cluster.capacity))
            _write(here / "topology/core_id", str(core - cluster.cpus[0]))
            _write(here / "topology/physical_package_id", str(number))
            _write(here / "topology/core_siblings_list", siblings)
            (here / "cpufreq").symlink_to(f"../cpufreq/{policy.name}")
            if core:
                _write(here / "online", "1")
    for name, text in {
        "battery/capacity": "87",
        "battery/status": "Charging",
        "battery/temp": "291",
        "battery/voltage_now": "4213000",
        "battery/type": "Battery",
        "usb/online": "1",
        "usb/type": "USB",
    }.items():
        _write(root / "class/power_supply" / name, text)
    for number, (name, _) in enumerate(_zones(Temperatures())):
        _write(root / f"class/thermal/thermal_zone{number}/type", name)
    write_zones(root, Temperatures())


def reset_frequencies(cluster: Cores) -> dict[str, str]:
    """The files of a cluster's policy that root may change, as they are after boot."""
    return {
        "scaling_governor": "schedutil",
        "scaling_min_freq": str(cluster.frequencies_khz[0]),
        "scaling_max_freq": str(cluster.frequencies_khz[-1]),
        "scaling_setspeed": "<unsupported>",
    }


def write_zones(root: Path, now: Temperatures) -> None:
    """Let the zones and the battery below /sys show these temperatures."""
    for number, (_, reading) in enumerate(_zones(now)):
        _write(root / f"class/thermal/thermal_zone{number}/temp", str(reading))
    _write(root / "class/power_supply/battery/temp", str(round(now.battery * 10)))


def reset_sysfs(root: Path) -> None:
    """What a boot does to /sys: governors and frequencies as they come, all cores on."""
    for cluster in CLUSTERS:
        policy = root / f"devices/system/cpu/cpufreq/policy{cluster.cpus[0]}"
        for name, text in reset_frequencies(cluster).items():
            _write(policy / name, text)
    for core in range(1, CPUS):
        _write(root / f"devices/system/cpu/cpu{core}/online", "1")
    _write(root / "devices/system/cpu/online", f"0-{CPUS - 1}")


def write_texts(own: Path) -> None:
    """Write the texts that the phone's programs print, and what is bound over files of /proc."""
    write_temperatures(own, Temperatures())
    _write(own / "cpuinfo", _cpuinfo())
    _write(own / "dumpsys/battery", _battery(Temperatures()))
    _write(own / "wakefulness", "Awake")
    for name, text in {"stay_on_while_plugged_in": "0", "airplane_mode_on": "0"}.items():
        _write(own / "settings/global" / name, text)
    _write(own / "settings/system/screen_off_timeout", "60000")


def write_temperatures(own: Path, now: Temperatures) -> None:
    """Let `dumpsys` show these temperatures."""
    _write(own / "dumpsys/thermalservice", _thermalservice(now))
    _write(own / "dumpsys/battery", _battery(now))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n" if text else "")


def _cpuinfo() -> str:
    each = "processor\t: {}\nBogoMIPS\t: 38.40\nFeatures\t: {}\n{}CPU part\t: 0x{:03x}\nCPU revision\t: 0\n"
    features = (
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
    )
    maker = "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\n"
    blocks = [
        each.format(core, features, maker, cluster.part) for cluster in CLUSTERS for core in cluster.cpus
    ]
    return "\n".join([*blocks, "Hardware\t: Qualcomm Technologies, Inc SM8350"])


def _thermalservice(now: Temperatures) -> str:
    def line(value: float, kind: int, name: str, indent: str = "\t", status: int = 0) -> str:
        return f"{indent}Temperature{{mValue={value:.1f}, mType={kind}, mName={name}, mStatus={status}}}"

    listeners = "\tcallbacks: 2\n\tkilled: false\n\tbroadcasts count: -1"
    return "\n".join(
        (
            "IsStatusOverride: false",
            "ThermalEventListeners:",
            listeners,
            "ThermalStatusListeners:",
            listeners,
            f"Thermal Status: {now.status}",
            "Cached temperatures:",
            line(-99.9, 6, "pa", indent=" "),
            line(58.3, 0, "CPU0"),
            line(61.7, 0, "CPU7"),
            line(33.9, 3, "skin"),
            line(30.4, 2, "battery"),
            "HAL Ready: true",
            "HAL connection:",
            "\tThermalHAL 2.0 connected: yes",
            "Current temperatures from HAL:",
            *(line(now.processor - 0.3 * (7 - core), 0, f"CPU{core}") for core in range(CPUS)),
            line(now.processor - 3, 1, "GPU"),
            line(now.skin, 3, "skin", status=now.status),
            line(now.battery, 2, "battery"),
            line(4213.0, 6, "vbat"),
            line(-99.9, 6, "pa"),
            "Current cooling devices from HAL:",
            f"\tCoolingDevice{{mValue={now.status}, mType=2, mName=thermal-cpufreq-0}}",
            "\tCoolingDevice{mValue=0, mType=3, mName=kgsl-3d0}",
            "\tCoolingDevice{mValue=0, mType=1, mName=battery}",
        )
    )


def _battery(now: Temperatures) -> str:
    return f"""Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Dock powered: false
  Max charging current: 500000
  Max charging voltage: 5000000
  Charge counter: 3815000
  status: 2
  health: 2
  present: true
  level: 87
  scale: 100
  voltage: 4213
  temperature: {round(now.battery * 10)}
  technology: Li-ion"""
