from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.bench import place, restore
from devices.bench.conditions import Conditions, Wanted
from devices.bench.restore import Before, FileValue, restore_script
from devices.bench.wanted import found, plan_for
from devices.errors import BadSettings, DeadlineExceeded, LinkLost
from devices.facts import DeviceState, Policy
from devices.local import LocalTransport
from devices.records import from_plain, to_plain
from devices.state import state_directory
from tests.devices.pretend_phone import PretendPhone

FAST = Wanted("performance", 1_800_000)


@pytest.fixture(autouse=True)
def own_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture(params=["su", "su 0"])
def phone(tmp_path: Path, request: pytest.FixtureRequest) -> PretendPhone:
    return PretendPhone(tmp_path, request.param)


def conditions(phone: PretendPhone, wanted: Wanted = FAST) -> Conditions:
    return Conditions(phone, phone.work, "adb://phone", wanted, root=phone.root)


def own_folder() -> Path:
    """Where the script lies on the device: this login's folder."""
    return Path(place.BASES[-1]) / ".mnas-lease-2000"


def memory() -> list[Path]:
    return list(state_directory("conditions").iterdir())


def test_conditions_are_set_read_back_and_put_back(phone: PretendPhone) -> None:
    before = phone.settings()
    ours = conditions(phone)
    assert ours.apply() == (
        "cores 0-7: governor performance",
        "cores 0-3: 1094400 kHz",
        "cores 4-7: 1766400 kHz",
        "screen on",
    )
    assert phone.settings() == {
        "policy0/scaling_governor": "performance",
        "policy0/scaling_min_freq": "1094400",
        "policy0/scaling_max_freq": "1094400",
        "policy4/scaling_governor": "performance",
        "policy4/scaling_min_freq": "1766400",
        "policy4/scaling_max_freq": "1766400",
        "stay_on": "7",
        "wakefulness": "Awake",
    }
    assert ours.restore() == ()
    assert phone.settings() == before
    assert not (own_folder() / "restore.sh").exists()
    assert memory() == []
    assert ours.restore() == ()


def test_what_is_to_be_put_back_is_written_before_the_first_change(phone: PretendPhone) -> None:
    before = phone.settings()
    phone.broken = ("performance", LinkLost("gone"))  # the first write of a change
    with pytest.raises(LinkLost):
        conditions(phone).apply()
    assert phone.settings() == before
    assert (own_folder() / "restore.sh").exists()
    assert stat.S_IMODE(own_folder().stat().st_mode) == 0o755
    (file,) = memory()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_script_alone_puts_everything_back(phone: PretendPhone) -> None:
    """As the guard on the device runs it when the host falls silent."""
    before = phone.settings()
    conditions(phone).apply()
    script = str(own_folder() / "restore.sh")
    copy = Path(script).read_bytes()
    assert phone.run(["sh", script]).ok
    assert phone.settings() == before
    assert not Path(script).exists()
    Path(script).write_bytes(copy)
    assert phone.run(["sh", script]).ok  # again
    assert phone.settings() == before
    assert conditions(phone).restore_leftover() == ()
    assert memory() == []


def test_a_job_that_died_is_put_back_by_the_next_one(phone: PretendPhone) -> None:
    before = phone.settings()
    conditions(phone).apply()
    again = conditions(phone, Wanted("powersave"))
    again.apply()
    assert phone.settings()["policy0/scaling_governor"] == "powersave"
    assert phone.settings()["policy0/scaling_max_freq"] == before["policy0/scaling_max_freq"]
    assert again.restore() == ()
    assert phone.settings() == before


def test_another_host_puts_it_back_without_a_memory(
    phone: PretendPhone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = phone.settings()
    conditions(phone).apply()
    monkeypatch.setenv("MNAS_STATE_DIR", str(tmp_path / "another"))
    assert conditions(phone).restore_leftover() == ()
    assert phone.settings() == before


def test_a_removed_folder_is_no_loss(phone: PretendPhone) -> None:
    before = phone.settings()
    conditions(phone).apply()
    shutil.rmtree(own_folder())
    assert conditions(phone).restore_leftover() == ()
    assert phone.settings() == before
    assert memory() == []


def serial(phone: PretendPhone, number: str) -> None:
    phone.program("getprop", f"echo '[ro.soc.model]: [SM8350]'; echo '[ro.serialno]: [{number}]'")


def started_anew(phone: PretendPhone, kernel: dict[str, str]) -> None:
    """The kernel forgets its values; Android keeps its settings."""
    phone.write("/proc/sys/kernel/random/boot_id", "11111111-9485-4524-a723-f6ea5d0409c3")
    for name, value in kernel.items():
        if "/" in name:
            phone.write(f"/sys/devices/system/cpu/cpufreq/{name}", value)


@pytest.mark.parametrize("lost", ["script", "folder"])
def test_a_device_that_started_anew_without_its_script_gets_back_what_outlives_that(
    phone: PretendPhone, lost: str
) -> None:
    serial(phone, "ABC123")
    before = phone.settings()
    conditions(phone).apply()
    if lost == "script":
        (own_folder() / "restore.sh").unlink()
    else:
        shutil.rmtree(own_folder())
    started_anew(phone, before)
    assert phone.settings()["stay_on"] == "7"
    assert conditions(phone).restore_leftover() == ()
    assert phone.settings()["stay_on"] == before["stay_on"]
    assert memory() == []


def test_a_script_that_was_removed_is_sent_again(phone: PretendPhone) -> None:
    before = phone.settings()
    conditions(phone).apply()
    (own_folder() / "restore.sh").unlink()
    assert conditions(phone).restore_leftover() == ()
    assert phone.settings() == before


def test_another_device_by_its_serial_number_is_left_alone(phone: PretendPhone) -> None:
    serial(phone, "ABC123")
    conditions(phone).apply()
    shutil.rmtree(own_folder())
    serial(phone, "XYZ789")
    before = phone.settings()
    assert conditions(phone).restore_leftover() == ()
    assert phone.settings() == before
    assert memory() == []


def test_another_device_at_the_same_address_is_left_alone(phone: PretendPhone) -> None:
    conditions(phone).apply()
    shutil.rmtree(own_folder())
    phone.write("/proc/sys/kernel/random/boot_id", "11111111-9485-4524-a723-f6ea5d0409c3")
    before = phone.settings()
    assert conditions(phone).restore_leftover() == ()
    assert phone.settings() == before
    assert memory() == []


def test_what_the_device_put_back_itself_is_not_put_back_again(phone: PretendPhone) -> None:
    """Somebody may have changed it since, on purpose."""
    conditions(phone).apply()
    assert phone.run(["sh", str(own_folder() / "restore.sh")]).ok
    phone.write("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "powersave")
    assert conditions(phone).restore_leftover() == ()
    assert phone.settings()["policy0/scaling_governor"] == "powersave"


def test_what_cannot_be_put_back_is_told_and_tried_again(
    phone: PretendPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "PUT_BACK_TRIES", 1)
    before = phone.settings()
    ours = conditions(phone)
    ours.apply()
    governor = Path(phone.root, "sys/devices/system/cpu/cpufreq/policy4/scaling_governor")
    governor.unlink()
    governor.symlink_to("/proc/sys/kernel/ostype")  # reads as Linux and takes nothing
    (note,) = ours.restore()
    assert "policy4/scaling_governor is Linux, not schedutil" in note
    assert memory()
    (told, refused) = conditions(phone, Wanted("powersave")).apply()
    assert told == note
    assert refused == "nothing else is set until that is put back"
    governor.unlink()
    governor.write_text("performance\n", encoding="utf-8")
    assert ours.restore() == ()
    assert phone.settings() == before


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), KeyboardInterrupt()])
def test_a_change_that_is_broken_off_is_put_back(phone: PretendPhone, error: BaseException) -> None:
    before = phone.settings()
    phone.broken = ("svc power", error)  # the governor is set by then
    with pytest.raises(type(error)):
        conditions(phone).apply()
    assert phone.settings() == before
    assert memory() == []


def test_what_does_not_stay_at_first_is_put_back_again(phone: PretendPhone) -> None:
    """The phone's own services write there as well."""
    before = phone.settings()
    ours = conditions(phone)
    ours.apply()
    governor = Path(phone.root, "sys/devices/system/cpu/cpufreq/policy4/scaling_governor")
    governor.unlink()
    governor.symlink_to("/proc/sys/kernel/ostype")
    phone.program("sleep", f"rm {governor}; echo performance >{governor}")  # meanwhile they have finished
    assert ours.restore() == ()
    assert phone.settings() == before


def test_a_board_is_set_up_through_sudo(tmp_path: Path) -> None:
    board = PretendPhone(tmp_path, "sudo")
    before = board.settings()
    ours = conditions(board)
    assert ours.apply() == (
        "cores 0-7: governor performance",
        "cores 0-3: 1094400 kHz",
        "cores 4-7: 1766400 kHz",
    )
    assert "sudo -n sh -c" in (own_folder() / "restore.sh").read_text(encoding="utf-8")
    assert ours.restore() == ()
    assert board.settings() == before


def test_without_root_a_device_is_measured_as_it_is(tmp_path: Path) -> None:
    phone = PretendPhone(tmp_path, su=None)
    before = phone.settings()
    ours = conditions(phone)
    assert ours.apply() == (
        "cores 0-7: governor performance not set: the device lets nobody be root",
        "cores 0-7: 1800000 kHz not set: the device lets nobody be root",
        "cores 0-7: governor schedutil",
        "cores 0-3: 300000 to 1804800 kHz",
        "cores 4-7: 710400 to 2419200 kHz",
        "screen on",
    )
    changed = {name for name, value in phone.settings().items() if before[name] != value}
    assert changed == {"stay_on", "wakefulness"}
    assert ours.restore() == ()
    assert phone.settings() == before


def test_nothing_wanted_changes_nothing(phone: PretendPhone) -> None:
    before = phone.settings()
    ours = conditions(phone, Wanted(stay_awake=False))
    assert ours.apply() == ()
    assert phone.settings() == before
    assert not Path(phone.work).exists()
    assert ours.restore() == ()


def test_only_the_measuring_cores(phone: PretendPhone) -> None:
    assert conditions(phone, Wanted("performance", stay_awake=False, cpus=(7,))).apply() == (
        "cores 4-7: governor performance",
    )
    assert phone.settings()["policy0/scaling_governor"] == "schedutil"


def test_a_setting_that_was_there_comes_back(phone: PretendPhone) -> None:
    for value in ("0", "null"):
        if value == "0":
            (phone.own / "stay_on_while_plugged_in").write_text("0\n", encoding="utf-8")
        else:
            (phone.own / "stay_on_while_plugged_in").unlink()
        before = phone.settings()
        ours = conditions(phone, Wanted())
        ours.apply()
        assert phone.settings()["stay_on"] == "7"
        assert ours.restore() == ()
        assert phone.settings() == before


def test_a_memory_that_cannot_be_read_is_no_trouble(phone: PretendPhone) -> None:
    before = phone.settings()
    conditions(phone).apply()
    (file,) = memory()
    for text in (
        "{",
        "[]",
        '{"work": 3}',
        json.dumps({"work": phone.work, "before": {"writes": [{"path": "x"}]}}),
    ):
        file.write_text(text, encoding="utf-8")
        conditions(phone).restore()
        assert phone.settings() == before
        conditions(phone).apply()


def test_a_board_this_machine_is_left_alone(tmp_path: Path) -> None:
    """A Linux machine without Android: nothing wanted, nothing set, nothing said."""
    ours = Conditions(LocalTransport(), str(tmp_path / "w"), "ssh://board", Wanted(), root=str(tmp_path))
    assert ours.apply() == ()
    assert ours.restore() == ()


def test_a_device_without_frequencies_says_so(tmp_path: Path) -> None:
    ours = Conditions(LocalTransport(), str(tmp_path / "w"), "ssh://board", FAST, root=str(tmp_path))
    assert ours.apply() == (
        "performance not set: the device does not tell how its cores' frequency is chosen",
        "1800000 not set: the device does not tell how its cores' frequency is chosen",
    )


def test_a_hanging_device_has_a_deadline(phone: PretendPhone) -> None:
    conditions(phone).apply()
    phone.broken = ("restore.sh", DeadlineExceeded("late"))
    with pytest.raises(DeadlineExceeded):
        conditions(phone).restore()
    assert memory()


# --- what to do, and what is said of it

EIGHT = tuple(range(8))


def policy(**changes: object) -> Policy:
    plain = {
        "directory": "cpufreq/policy0",
        "cpus": EIGHT,
        "governor": "schedutil",
        "governors": ("schedutil", "performance"),
        "min_khz": 300000,
        "max_khz": 1800000,
        "lowest_khz": 300000,
        "highest_khz": 1800000,
    }
    return Policy(**{**plain, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "wanted", "note"),
    [
        (
            policy(governors=("a", "b")),
            Wanted("performance"),
            "cores 0-7: there is no governor performance, but a, b",
        ),
        (
            policy(governor=None),
            Wanted("performance"),
            "cores 0-7: the governor is not told, so that it could not be put back",
        ),
        (
            policy(governor="userspace"),
            Wanted("performance"),
            "cores 0-7: governor userspace is left, as its frequency could not be put back",
        ),
        (
            policy(max_khz=None),
            Wanted(None, 900000),
            "cores 0-7: the limits of the frequency are not told, so that they could not be put back",
        ),
        (
            policy(),
            Wanted(None, 200000),
            "cores 0-7: 200000 kHz not set: it is below the lowest frequency, 300000 kHz",
        ),
        (
            policy(max_khz=900000),
            Wanted(None, 1800000),
            "cores 0-7: 1800000 kHz not set "
            "while heat holds the frequency down, as what was before is not known",
        ),
    ],
)
def test_reasons_to_leave_a_device_as_it_is(now: Policy, wanted: Wanted, note: str) -> None:
    plan = plan_for(DeviceState(policies=(now,), throttled_now=True, privilege="root"), wanted)
    assert plan.notes == (note,)
    assert not plan.before.changes
    assert not plan.writes


def test_what_is_already_so_is_not_set() -> None:
    now = DeviceState(
        policies=(policy(governor="performance", min_khz=1800000),),
        screen_on=True,
        stay_on="7",
        plugged_in=True,
    )
    plan = plan_for(now, Wanted("performance", 1800000))
    assert not plan.before.changes
    assert found(now, Wanted("performance", 1800000)) == (
        "cores 0-7: governor performance",
        "cores 0-7: 1800000 kHz",
        "screen on",
    )


def test_the_lower_limit_is_never_above_the_upper() -> None:
    now = DeviceState(policies=(policy(min_khz=900000, max_khz=1200000),), privilege="root")
    plan = plan_for(now, Wanted(None, 1800000))
    for writes, start in ((plan.writes, (900000, 1200000)), (plan.before.writes, (1800000, 1800000))):
        low, high = start
        for one in writes:
            if one.path.endswith("min_freq"):
                low = int(one.value)
            else:
                high = int(one.value)
            assert low <= high
    assert [one.value for one in plan.before.checks] == ["900000", "1200000"]


def test_a_phone_on_battery_may_fall_asleep() -> None:
    now = DeviceState(screen_on=True, stay_on="7", plugged_in=False)
    assert found(now, Wanted()) == ("screen on", "may fall asleep: not plugged in")
    now = DeviceState(screen_on=False, stay_on="0", plugged_in=True)
    assert found(now, Wanted()) == ("screen off", "may fall asleep: the phone does not take it")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Wanted("perf; reboot"),
        lambda: Wanted(""),
        lambda: Wanted(None, 3),
        lambda: FileValue("/sys/devices/system/cpu/cpufreq/policy0/../../../x/scaling_governor", "a"),
        lambda: FileValue("/sys/class/leds/scaling_governor", "a"),
        lambda: FileValue("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "a b"),
        lambda: FileValue("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "$(reboot)"),
        lambda: Before(stay_on="7; reboot"),
        lambda: Before(privilege="su; reboot"),
        lambda: Before(
            writes=(FileValue("/sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "schedutil"),)
        ),
    ],
)
def test_what_is_not_fit_to_be_written_is_refused(make: object) -> None:
    with pytest.raises(BadSettings):
        make()  # type: ignore[operator]


def test_what_was_before_is_kept_as_json() -> None:
    plan = plan_for(DeviceState(policies=(policy(),), privilege="su", screen_on=False, stay_on="null"), FAST)
    assert plan.before.changes
    assert from_plain(Before, json.loads(json.dumps(to_plain(plan.before)))) == plan.before


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=("Cs",))))
def test_a_work_folder_of_any_name_is_quoted(name: str) -> None:
    script = restore_script(Before(screen_off=True), f"/tmp/{name}", "0a")
    with_spy = script.replace("rm -f ", "printf %s ").replace("input keyevent 223", ":")
    result = LocalTransport().run(["sh", "-c", with_spy])
    assert result.stdout.decode(errors="surrogateescape") == f"/tmp/{name}/restore.sh"
