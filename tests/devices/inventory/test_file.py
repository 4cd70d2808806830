from __future__ import annotations

import shlex
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.bench.limits import TEMPERATURE_C
from devices.errors import BadInventory, BadSettings
from devices.inventory.entry import READERS, RUNNERS, Entry
from devices.inventory.file import Inventory, add, find, load, parse, with_entry
from devices.measurement import DELEGATES, Settings

BENCH = """\
# the lab's bench, second shelf
schema = 1

[devices.pixel6]  # Anna's
address = "adb://1A2B3C4D"  # the cable at the hub's port 3
cpus = [
    6,  # the two
    7,  # fast ones
]
temperature_limit_c = 36.5
tags = ["phone", "tensor"]

# under the desk
[devices."pi4.lab"]
address = "ssh://lab@pi4.lab:2222"
threads = 4
governor = "performance"  # needs sudo

[devices.here]
address = "local"
"""


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.delenv("MNAS_BENCH", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_inventory_is_read() -> None:
    pixel, pi, here = parse(BENCH)
    assert pixel == Entry(
        "pixel6", "adb://1A2B3C4D", cpus=(6, 7), temperature_limit_c=36.5, tags=("phone", "tensor")
    )
    assert (pixel.runner, pixel.work_folder) == ("benchmark_model", "/data/local/tmp/mnas")
    assert (pi.name, pi.runner, pi.work_folder) == ("pi4.lab", "litert", "~/.cache/mnas")
    assert pi.settings() == Settings(threads=4)
    assert here.runner == "litert"


@pytest.mark.parametrize(
    ("cpus", "cores"),
    [("[4, 5]", (4, 5)), ('"4-7"', (4, 5, 6, 7)), ('"0,2-3"', (0, 2, 3)), ('"0xf0"', (4, 5, 6, 7))],
)
def test_cores_have_three_forms(cpus: str, cores: tuple[int, ...]) -> None:
    assert parse(f'[devices.a]\naddress = "adb://1"\ncpus = {cpus}')[0].cpus == cores


def test_what_a_command_asks_for_replaces_what_the_entry_says() -> None:
    entry = Entry("a", "adb://1", threads=2, cpus=(4, 5), delegate="gpu")
    assert entry.settings() == Settings(2, (4, 5), "gpu")
    assert entry.settings(threads=1) == Settings(1, (4, 5), "gpu")
    assert entry.settings(3, (1, 2, 3), "cpu") == Settings(3, (1, 2, 3), "cpu")
    with pytest.raises(BadSettings, match=r"4 threads on 2 core\(s\)"):
        entry.settings(threads=4)


BAD = [
    ("", "schema = 2", "line 1: schema is 2; this version of mnas reads 1"),
    ("", "schema = true", "line 1: schema is True"),
    ("", "divices.a.address = 'local'", "line 1: unknown key divices; did you mean devices?"),
    ("", "x = 1", "line 1: unknown key x; a device begins with"),
    ("", "devices = 3", "line 1: devices is a single value"),
    ("", "[devices]\na = 3", "line 2, device a: it is a single value; begin the device with [devices.a]"),
    ("", "[devices.a]\nthreads = 1", "line 1, device a: it has no address"),
    ("", '[devices."a b"]\naddress = "local"', "line 1, device 'a b': name: 'a b' must be letters"),
    ("", '[devices."-a"]\naddress = "local"', "line 1, device '-a': name: "),
    ("", '[devices."\\u001b[2J"]\naddress = "local"', r"line 1, device '\x1b[2J': name: "),
    ("", '[devices.local]\naddress = "adb://1"', "line 1, device local: name: local is this machine"),
    ("", '[devices.a]\naddress = "telnet://a"', "line 2, device a: address: there is no device at"),
    ("", '[devices.a]\naddress = "ssh://-oProxyCommand=x"', "line 2, device a: address: the address"),
    ("", "[devices.a]\naddress = 5", "line 2, device a: address is 5; it must be a text in quotes"),
    (
        "",
        "[devices.a]\naddress = 2020-01-01",
        "line 2, device a: address is datetime.date(2020, 1, 1); it must",
    ),
    (
        "",
        '[devices.a]\naddress = "local"\nrunner = "benchmark_model"',
        "line 3, device a: runner: benchmark_model",
    ),
    ("local", 'governor = "performance"', "line 5, device b: governor: means nothing here"),
    ("local", "temperature_limit_c = 50", "line 5, device b: temperature_limit_c: means nothing here"),
    ("adb://1", 'thread = "2"', "line 5, device b: unknown key thread; did you mean threads?"),
    ("adb://1", "colour = 1", "line 5, device b: unknown key colour; keys are address, runner, "),
    (
        "adb://1",
        'runner = "tflite"',
        "line 5, device b: runner: there is no runner tflite; these can be used: li",
    ),
    (
        "adb://1",
        'runner = "litert"',
        "line 5, device b: runner: litert cannot run at adb://1; benchmark_model can",
    ),
    ("adb://1", "threads = 0", "line 5, device b: threads: 0 must lie between 1 and 64"),
    ("adb://1", "threads = true", "line 5, device b: threads is True; it must be a whole number"),
    ("adb://1", "threads = 1.5", "line 5, device b: threads is 1.5; it must be a whole number"),
    ("adb://1", "cpus = []", "line 5, device b: cpus: [] must name at least one core"),
    ("adb://1", "cpus = [1, 1]", "line 5, device b: cpus: [1, 1] must name at least one core, each once"),
    ("adb://1", "cpus = [-1]", "line 5, device b: cpus: there is no core -1: cores have numbers from 0"),
    ("adb://1", "cpus = [0, 1024]", "line 5, device b: cpus: there is no core 1024: cores have numbers from"),
    (
        "adb://1",
        'cpus = "0-9999"',
        "line 5, device b: cpus is 0-9999; cores have numbers from 0 to 1023",
    ),
    ("adb://1", 'cpus = "0-99999"', "line 5, device b: cpus is 0-99999; cores have numbers from 0 to 1023"),
    ("adb://1", "cpus = 4", "line 5, device b: cpus is 4; it must be core numbers from 0"),
    ("adb://1", 'cpus = "7-4"', "line 5, device b: cpus is 7-4; it must be core numbers"),
    ("adb://1", 'cpus = "0x0"', "line 5, device b: cpus: [] must name"),
    ("adb://1", 'cpus = "big"', "line 5, device b: cpus is big; it must be core numbers"),
    ("adb://1", "cpus = [4]\nthreads = 2", "line 5, device b: cpus: 2 threads on 1 core(s)"),
    ("adb://1", 'delegate = "tpu"', "line 5, device b: delegate: there is no delegate 'tpu'"),
    ("adb://1", 'delegate = "external:"', "line 5, device b: delegate: there is no delegate"),
    ("ssh://b", 'delegate = "gpu"', "line 5, device b: delegate: the runner litert runs xnnpack alone"),
    ("adb://1", 'governor = "a;reboot"', "line 5, device b: governor: 'a;reboot' must be a governor"),
    ("adb://1", "frequency_khz = 5", "line 5, device b: frequency_khz: 5 must lie between 1000 and"),
    ("adb://1", 'stay_awake = "yes"', "line 5, device b: stay_awake is yes; it must be true or false"),
    (
        "adb://1",
        "temperature_limit_c = nan",
        "line 5, device b: temperature_limit_c: nan must lie between 0 and 150",
    ),
    ("adb://1", "temperature_limit_c = 0", "line 5, device b: temperature_limit_c: 0 must lie between 0 and"),
    ("adb://1", "temperature_limit_c = 150", "line 5, device b: temperature_limit_c: 150 must lie between"),
    (
        "adb://1",
        'temperature_limit_c = "36"',
        "line 5, device b: temperature_limit_c is 36; it must be a number",
    ),
    ("adb://1", "cooldown_s = -1", "line 5, device b: cooldown_s: -1 must lie between 0 and 86400 seconds"),
    ("adb://1", 'work = "mnas"', "line 5, device b: work: mnas is no folder or file to use there"),
    ("adb://1", 'work = "/data/../system"', "line 5, device b: work: '/data/../system' is no folder"),
    ("adb://1", 'work = "/data/$(reboot)"', "line 5, device b: work: '/data/$(reboot)' is no folder"),
    ("adb://1", 'work = "/data/a b"', "line 5, device b: work: '/data/a b' is no folder"),
    ("adb://1", 'work = "/"', "line 5, device b: work: '/' is no folder"),
    ("adb://1", 'tags = "phone"', "line 5, device b: tags is phone; it must be a list of texts"),
    ("adb://1", 'tags = ["a b"]', "line 5, device b: tags: 'a b' must be letters"),
    ("adb://1", "libraries = [1]", "line 5, device b: libraries is [1]; it must be a list of texts"),
    ("adb://1", 'libraries = ["\\u001b"]', r"line 5, device b: libraries: '\x1b' must be of characters"),
    ("ssh://b", 'python = "python3"', "line 5, device b: python: python3 is no folder or file"),
    (
        "adb://1",
        'delegate_options = ["a:b"]',
        "line 5, device b: delegate_options: the delegate xnnpack has no",
    ),
    ("adb://1", "delegate_options = [1]", "line 5, device b: delegate_options is [1]; it must be a list of"),
    ("adb://1", 'benchmark_model_sha256 = "ab"', "line 5, device b: benchmark_model_sha256: ab must be 64"),
]


@pytest.mark.parametrize(("address", "said", "message"), BAD, ids=[said for _, said, _ in BAD])
def test_what_cannot_be_is_refused_with_line_and_device(address: str, said: str, message: str) -> None:
    text = f'# b\n\n[devices.b]\naddress = "{address}"\n{said}\n' if address else said
    with pytest.raises(BadInventory) as caught:
        parse(text, "shelf.toml")
    assert str(caught.value).startswith(f"shelf.toml, {message}")
    assert str(caught.value).isprintable()


def test_every_key_has_a_bad_value_above() -> None:
    assert {key for key in READERS if not any(key in said for _, said, _ in BAD)} == set()


def test_every_key_of_an_entry_can_be_said() -> None:
    assert {field.name for field in fields(Entry)} == {"name", *READERS}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = = 1", "bench.toml, line 1: this is no TOML: Invalid value"),
        ("[devices.a]\n[devices.a]", "bench.toml, line 2, device a: this is no TOML: Cannot declare"),
        (
            '[devices.b]\naddress = "local"\n[devices."a.c"] # the first\nthreads = 1\nthreads = 2',
            "bench.toml, line 5, device a.c: this is no TOML: Cannot overwrite",
        ),
        ("[devices.a]\n  [ devices . b ]\nx = 1_", "bench.toml, line 3, device b: this is no TOML: "),
        ("\x00", "bench.toml, line 1: this is no TOML: "),
        ("a = 2020-13-01", "bench.toml"),
        ("[devices.a", "bench.toml, line 1, device a: this is no TOML: "),
    ],
)
def test_what_is_no_toml_is_said_with_its_line_and_device(text: str, message: str) -> None:
    with pytest.raises(BadInventory) as caught:
        parse(text)
    assert str(caught.value).startswith(message)
    assert str(caught.value).isprintable()


def test_an_inventory_is_looked_for_upward(alone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find() is None
    assert load() == Inventory(None)
    (alone / "bench.toml").write_text(BENCH)
    below = alone / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert find() == alone / "bench.toml"
    assert [entry.name for entry in load().entries] == ["pixel6", "pi4.lab", "here"]
    named = alone / "other.toml"
    named.write_text("")
    monkeypatch.setenv("MNAS_BENCH", str(named))
    assert load() == Inventory(named)
    assert load(alone / "bench.toml").path == alone / "bench.toml"


def test_a_named_inventory_that_cannot_be_read_is_an_error(alone: Path) -> None:
    with pytest.raises(BadInventory, match=r"gone.toml: No such file"):
        load(alone / "gone.toml")
    (alone / "latin.toml").write_bytes(b"# \xe4")
    with pytest.raises(BadInventory, match="not UTF-8"):
        load(alone / "latin.toml")


def test_devices_go_by_name_or_address(alone: Path) -> None:
    (alone / "bench.toml").write_text(BENCH)
    inventory = load()
    assert inventory.entry("pixel6").cpus == (6, 7)
    assert inventory.entry("adb://1A2B3C4D") == Entry("adb://1A2B3C4D", "adb://1A2B3C4D")
    assert Inventory(None).entry("ssh://pi@[::1]:22").address == "ssh://pi@[::1]:22"
    assert Inventory(None).entry("local").name == "local"
    with pytest.raises(BadSettings, match=r"'pixel'; did you mean pixel6\?: .*has pixel6, pi4.lab, here"):
        inventory.entry("pixel")
    with pytest.raises(
        BadSettings, match=r"there is no device 'phone': there is no bench.toml here or above"
    ):
        Inventory(None).entry("phone")
    with pytest.raises(BadSettings, match="port"):
        inventory.entry("adb://10.0.0.1:99999")


def test_a_new_entry_is_added_and_everything_else_stays(alone: Path) -> None:
    file = alone / "bench.toml"
    add(file, Entry("pi5", "ssh://pi5"))
    assert file.read_text() == 'schema = 1\n\n[devices.pi5]\naddress = "ssh://pi5"\n'
    file.write_text(BENCH)
    file.chmod(0o640)
    add(file, Entry("jet", "ssh://jet", tags=("jetson",), threads=2))
    assert (
        file.read_text() == BENCH + '\n[devices.jet]\naddress = "ssh://jet"\nthreads = 2\ntags = ["jetson"]\n'
    )
    assert file.stat().st_mode & 0o777 == 0o640
    assert list(alone.iterdir()) == [file]


def test_an_entry_is_changed_in_place_and_its_comments_stay() -> None:
    pixel, *others = parse(BENCH)
    changed = with_entry(BENCH, replace(pixel, address="adb://NEW", tags=(), benchmark_model_sha256="a" * 64))
    assert parse(changed) == (
        replace(pixel, address="adb://NEW", tags=(), benchmark_model_sha256="a" * 64),
        *others,
    )
    assert 'address = "adb://NEW"  # the cable at the hub\'s port 3\n' in changed
    assert f'temperature_limit_c = 36.5\nbenchmark_model_sha256 = "{"a" * 64}"\n\n# under the desk' in changed
    assert [line for line in BENCH.splitlines() if "tags" not in line and "1A2B" not in line] == [
        line for line in changed.splitlines() if "sha256" not in line and "NEW" not in line
    ]


@pytest.mark.parametrize(
    "text",
    [
        'devices.a.address = "adb://1"',
        '[devices]\na = {address = "adb://1"}',
        '[devices]\na.address = "adb://1"',
    ],
)
def test_an_entry_without_a_header_is_left_to_people(text: str) -> None:
    assert parse(with_entry(text + "\n", Entry("b", "local"))) == (Entry("a", "adb://1"), Entry("b", "local"))
    with pytest.raises(BadInventory, match=r"line \d, device a: it does not begin .*changed by hand"):
        with_entry(text, Entry("a", "adb://2"))


@pytest.mark.parametrize("text", ["devices = {y = {address = 'local'}}", "# a\ndevices = {}"])
def test_devices_in_one_value_are_left_to_people(text: str) -> None:
    """The file itself is good, and not to blame."""
    line = text.count("\n") + 1
    parse(text)
    with pytest.raises(BadInventory) as caught:
        with_entry(text, Entry("z", "adb://2"), "in.toml")
    assert str(caught.value) == (
        f"in.toml, line {line}, device z: the devices there do not begin with lines [devices.NAME], so it "
        "can only be added by hand"
    )


def test_what_an_entry_says_has_its_place(alone: Path) -> None:
    (alone / "bench.toml").write_text(BENCH)
    inventory = load()
    pixel = inventory.entry("pixel6")
    assert inventory.place(pixel, "tags") == f"{alone}/bench.toml, line 11, device pixel6"
    assert inventory.place(pixel, "threads") == f"{alone}/bench.toml, line 4, device pixel6"
    assert inventory.place(Entry.at("adb://1")) == "device 'adb://1'"


def test_files_that_a_delegate_needs_are_looked_for_beside_the_inventory(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = alone / "below"
    below.mkdir()
    (below / "bench.toml").write_text(
        '[devices.a]\naddress = "adb://1"\nlibraries = ["libA.so", "libB.so"]\n'
    )
    (below / "libA.so").write_text("")
    (alone / "libB.so").write_text("")
    inventory = load(Path("below/bench.toml"))
    with pytest.raises(BadInventory) as caught:
        inventory.check_files(inventory.entry("a"))
    assert str(caught.value) == (
        f"below/bench.toml, line 3, device a: libraries: there is no file libB.so in {below}, the "
        "inventory's folder"
    )
    (below / "libB.so").write_text("")
    inventory.check_files(inventory.entry("a"))


def test_a_file_that_cannot_be_written_is_an_error(alone: Path) -> None:
    with pytest.raises(BadInventory, match=r"cannot write .*No such file"):
        add(alone / "no" / "bench.toml", Entry("a", "local"))


NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True).filter(lambda name: name != "local")
PATHS = st.from_regex(r"~?(/[a-z][a-zA-Z0-9_+.-]{0,8}){1,3}", fullmatch=True)
PRINTABLE = st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable() and text.strip())


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    scheme = draw(st.sampled_from(["local", "adb", "ssh"]))
    address = {"local": "local", "adb": "adb://1A2B", "ssh": "ssh://lab@pi:22"}[scheme]
    runner = draw(st.sampled_from([name for name, schemes in RUNNERS.items() if scheme in schemes]))
    delegates = ["xnnpack"] if runner == "litert" else [*DELEGATES, "external:lib Q.so"]
    delegate = draw(st.sampled_from(delegates))
    threads = draw(st.integers(1, 4))
    elsewhere = scheme != "local"
    cpus = st.lists(st.integers(0, 1023), min_size=threads, max_size=6, unique=True).map(tuple)
    return Entry(
        draw(NAMES),
        address,
        runner,
        threads,
        draw(st.none() | cpus),
        delegate,
        draw(st.none() | st.sampled_from(["performance", "schedutil"])) if elsewhere else None,
        draw(st.none() | st.integers(1000, 20_000_000)) if elsewhere else None,
        draw(st.booleans()),
        draw(st.none() | st.floats(*TEMPERATURE_C, exclude_min=True, exclude_max=True))
        if elsewhere
        else None,
        draw(st.none() | st.floats(0, 86_400)) if elsewhere else None,
        draw(st.none() | PATHS) if elsewhere else None,
        tuple(draw(st.lists(NAMES, max_size=3))),
        tuple(draw(st.lists(PRINTABLE, max_size=3))) if elsewhere else (),
        draw(st.none() | PATHS),
        draw(st.none() | st.from_regex(r"[0-9a-f]{64}", fullmatch=True)),
        draw(st.sampled_from([(), ("a:b", 'path:{lib}/"x"')])) if delegate.startswith("external:") else (),
    )


@given(st.lists(entries(), max_size=4, unique_by=lambda one: one.name), entries())
def test_entries_are_written_and_read_back(found: list[Entry], last: Entry) -> None:
    text = "# kept\n"
    for entry in found:
        text = with_entry(text, entry)
    assert parse(text) == tuple(found)
    for entry in found:  # each becomes another, in place
        other = replace(last, name=entry.name)
        text = with_entry(text, other)
        assert other in parse(text)
    assert [one.name for one in parse(text)] == [one.name for one in found]
    assert text.startswith("# kept\n")


@given(st.text())
def test_any_text_is_an_inventory_or_refused_on_one_line(text: str) -> None:
    said = ""
    try:
        parse(text)
    except BadInventory as error:
        said = str(error)
    assert "\n" not in said


@given(st.sampled_from(["governor", "work", "python", "benchmark_model_sha256", "tags"]), st.text())
def test_no_text_gets_to_a_device_that_a_shell_would_read_otherwise(key: str, text: str) -> None:
    """They are quoted as well; this is the second wall."""
    value = (text,) if key == "tags" else text
    try:
        entry = Entry("a", "ssh://a", **{key: value})
    except BadSettings:
        return
    assert shlex.quote(text.removeprefix("~")) == text.removeprefix("~")
    assert ".." not in text.split("/")
    assert parse(with_entry("", entry)) == (entry,)


@given(st.text(min_size=1))
def test_names_that_people_read_can_be_printed(text: str) -> None:
    for key in ("delegate", "libraries"):
        value = f"external:{text}" if key == "delegate" else (text,)
        try:
            entry = Entry("a", "adb://a", **{key: value})
        except BadSettings:
            continue
        assert text.isprintable()
        assert parse(with_entry("", entry)) == (entry,)
