"""Hostile strings and a hostile device: a clear error or a right result, in time, and nothing executed."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from devices import remote
from devices.adb import direct_tcp
from devices.adb.transport import AdbTransport
from devices.bench.holder import Holder
from devices.bench.lease import Lease
from devices.emulator import BENCHMARK_MODEL, EmulatedPhone, known_latency_ms
from devices.errors import BadInventory, BadSettings, DevicesError
from devices.inventory.address import Address
from devices.inventory.entry import READERS, Entry
from devices.inventory.file import parse
from devices.local import LocalTransport
from devices.measurement import Failure, ModelFile, Pass
from devices.plan import Plan
from devices.registry import open_device, settings_for
from devices.setup.setting_up import set_up
from devices.ssh import SshTransport
from devices.staging import Staging
from devices.survey import Survey
from devices.transport import Channel, CommandResult, Transport
from tests.devices.conftest import one_operator
from tests.devices.emulator.hosts import wait_until
from tests.devices.phones import emulated_phone
from tests.devices.sshd import running_sshd

QUICK = Plan(passes=1, min_runs=2, warmup_runs=0, min_time_s=0.0, deadline_s=5.0)
WORK = "/data/local/tmp/mnas"
CANARY = "canary-was-executed"
#: what a terminal would obey
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
EVIL = (
    f"$(touch {CANARY})",
    f"`touch {CANARY}`",
    f";touch {CANARY};",
    f"';touch {CANARY};'",
    f'";touch {CANARY};"',
    f"\ntouch {CANARY}\n",
    f"&&touch {CANARY}||",
    f"|tee {CANARY}",
    f">{CANARY}",
    f"$(touch /data/local/tmp/{CANARY})",
    f"../../{CANARY}",
    f"~/{CANARY}",
    "..",
    ".",
    "-rf",
    "--help",
    "--graph=/etc/passwd",
    "-oProxyCommand=touch canary-was-executed",
    "$HOME",
    "*",
    "%s%n%x",
    "[red]red[/red]",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m\r\n",
    "\udcff\udc80",
    "\u202egnp.exe",
    " ",
    "a" * 300,
    "\\",
    "\t",
)
#: a nasty word, two of them, or any text
words = st.one_of(
    st.sampled_from(EVIL),
    st.tuples(st.sampled_from(EVIL), st.sampled_from(EVIL)).map("".join),
    st.text(max_size=30),
)
texts = st.one_of(
    words,
    st.sampled_from(["\0", "", "0", "9" * 5000, "²", "-1", "1e999", "NaN", "null", "[" * 1500, "{}", "true"]),
)
lying = st.one_of(
    texts.map(lambda text: text.encode(errors="surrogateescape")),
    st.binary(max_size=60),
    st.sampled_from([b"\x1b[2J\n" * 1000, b"x" * 300_000, b"\n" * 50_000, b"\xff\xfe\x00" * 99]),
)
FEW = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home and a memory of its own, and no adb server."""
    with pytest.MonkeyPatch.context() as patch, socket.create_server(("127.0.0.1", 0)) as free:
        folder = tmp_path_factory.mktemp("host")
        (folder / "home").mkdir()
        (folder / "here").mkdir()
        patch.setenv("HOME", str(folder / "home"))
        patch.setenv("MNAS_STATE_DIR", str(folder / "state"))
        patch.setenv("ANDROID_ADB_SERVER_PORT", "1")
        patch.delenv("MNAS_BENCH", raising=False)
        patch.chdir(folder / "here")
        del free
        yield folder


@pytest.fixture(scope="module")
def phone(home: Path) -> Iterator[EmulatedPhone]:
    """A rooted phone that was set up, whose latencies are known."""
    with emulated_phone(keys=(), accept=True, rooted=True, latency="known") as phone:
        set_up(Entry("pixel", phone.address), program=BENCHMARK_MODEL, on_event=lambda _: None)
        yield phone


@pytest.fixture
def link(phone: EmulatedPhone) -> Iterator[AdbTransport]:
    with closing(direct_tcp("127.0.0.1", phone.port)) as transport:
        yield transport


@pytest.fixture(autouse=True)
def nothing_executed(home: Path) -> Iterator[None]:
    """No canary lies on this host afterwards."""
    yield
    assert not list(home.rglob(f"*{CANARY}*"))
    assert not Path(CANARY).exists()
    assert not (Path("/data/local/tmp") / CANARY).exists()


def unharmed(phone: EmulatedPhone) -> None:
    """No canary lies on the phone; what mnas put there lies in its folder, under names of its own."""
    assert not (phone.root / CANARY).exists()
    assert not list(phone.folder.rglob(f"*{CANARY}*"))
    there = {one.name for one in (phone.folder / "local/tmp").iterdir()}
    assert {name for name in there if not re.fullmatch(r"\.mnas-lease(-2000|\.[0-9]+)", name)} == {"mnas"}
    for one in (phone.folder / "local/tmp/mnas").glob("models/*"):
        assert re.fullmatch(r"[0-9a-f]{64}\.tflite|\..*", one.name), one


def clear(error: BaseException) -> str:
    """The message of an error of ours, which a terminal can be given."""
    assert isinstance(error, DevicesError), repr(error)
    text = str(error)
    assert text
    assert not CONTROL.search(text.replace("\n", " ")), ascii(text)
    assert len(text) < 20_000
    return text


# --- strings that come from this host


@FEW
@given(st.lists(words, min_size=1, max_size=4))
def test_words_reach_a_program_on_a_phone_as_they_are(
    phone: EmulatedPhone, link: AdbTransport, given_words: list[str]
) -> None:
    _echoes(link, given_words)
    unharmed(phone)


def test_words_reach_a_program_on_a_board_as_they_are(home: Path, tmp_path: Path) -> None:
    (tmp_path / "sshd").mkdir()
    with running_sshd(tmp_path / "sshd") as server:
        board = SshTransport("board", config=server.config, known_hosts=server.known_hosts)

        @FEW
        @given(st.lists(words, min_size=1, max_size=4))
        def check(given_words: list[str]) -> None:
            _echoes(board, given_words)
            assert not list(server.folder.rglob(f"*{CANARY}*"))

        with closing(board):
            check()


def _echoes(transport: Transport, given_words: Sequence[str]) -> None:
    wanted = b"".join(os.fsencode(word) + b"\0" for word in given_words)
    script = 'for word; do printf "%s\\0" "$word"; done'
    try:
        told = transport.run(["sh", "-c", script, "sh", *given_words], timeout_s=20)
    except DevicesError as error:
        clear(error)
        assert any("\0" in word for word in given_words)
    else:
        assert (told.exit_code, told.stdout) == (0, wanted)


@FEW
@given(texts, st.sampled_from(["", "adb://", "ssh://", "ssh://u@", "ssh://u@h:"]))
def test_an_address_is_refused_or_harmless(text: str, prefix: str) -> None:
    try:
        found = Address.parse(prefix + text)
    except BadSettings as error:
        clear(error)
    else:
        for part in (found.host, found.user, found.serial):
            assert part is None or re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*|[0-9a-f:.]+", part)
        assert Address.parse(str(found)) == found


@settings(FEW, max_examples=150)
@given(st.sampled_from(["name", *READERS]), texts, st.sampled_from(["adb://1", "ssh://b", "local"]))
def test_an_inventory_is_refused_or_harmless(key: str, text: str, address: str) -> None:
    value = json.dumps(text).replace("\\ud", "\\uD").replace("\x7f", "\\u007f")
    device = value if key == "name" else "a"
    line = "" if key in ("name", "address") else f"{key} = {value}\n"
    line = f"{key} = [{value}]\n" if key in ("tags", "libraries") else line
    where = value if key == "address" else json.dumps(address)
    try:
        (entry,) = parse(f"[devices.{device}]\naddress = {where}\n{line}", "bench.toml")
    except BadInventory as error:
        said = clear(error)
    else:
        said = ""
    if said:
        assert said.startswith("bench.toml")
        return
    for kept in (entry.name, entry.address, entry.work_folder, entry.governor or "a", entry.python or "/a/b"):
        assert re.fullmatch(r"~?[A-Za-z0-9/_.+:@\[\]-]+", kept)
        assert not kept.startswith("-")
        assert ".." not in kept.split("/")
    assert entry.delegate.isprintable()


@settings(FEW, max_examples=25)
@given(words)
@example(f"x/../../{CANARY}")
@example("\udcff")
def test_whatever_the_work_folder_nothing_is_written_outside(tmp_path: Path, name: str) -> None:
    root = tmp_path / f"r{time.monotonic_ns()}"
    root.mkdir()
    model = ModelFile("m", b"content")
    transport = LocalTransport()
    try:
        staging = Staging(transport, f"{root}/{name}")
        place = staging.put([model])[model.sha256]
    except DevicesError as error:
        clear(error)
    else:
        assert Path(place).read_bytes() == b"content"
        inside = Path(f"{root}/{name}").resolve()
        assert inside.is_relative_to(root)
        made = [one.resolve() for one in root.rglob("*") if one.is_file()]
        assert made
        assert all(one.is_relative_to(inside) for one in made)
        assert stat.S_IMODE(inside.stat().st_mode) == 0o700
    finally:
        transport.close()
    assert not (tmp_path.parent / CANARY).exists()


@settings(FEW, max_examples=25)
@given(words, st.sampled_from(["bin", "lib"]))
def test_a_library_of_any_name_stays_in_its_folder(tmp_path: Path, name: str, kind: str) -> None:
    root = tmp_path / f"r{time.monotonic_ns()}"
    root.mkdir()
    with suppress(BadSettings):
        place = Staging(LocalTransport(), f"{root}/work").keep(kind, name, b"library")
        assert Path(place).resolve().parent.parent == root / "work" / kind
    assert [one.name for one in root.iterdir()] in ([], ["work"])


def test_models_of_any_name_are_measured_under_their_hash(phone: EmulatedPhone, home: Path) -> None:
    content = one_operator("m", "conv_2d/float32/1x4x4x4/1x4x4x4/k1x1/s1x1/same").content

    with closing(open_device(phone.address)) as device:

        @settings(FEW, max_examples=8)
        @given(texts)
        @example(f"\x1b[2J$(touch {CANARY}).tflite")
        def check(name: str) -> None:
            (row,) = device.stream([ModelFile(name, content)], QUICK)
            assert isinstance(row, Pass), row
            assert row.summary is not None
            assert row.summary.median_ms == pytest.approx(known_latency_ms(row.sha256))

        check()
    unharmed(phone)


def test_files_of_any_name_can_be_named_on_the_command_line(phone: EmulatedPhone, home: Path) -> None:
    content = one_operator("m", "conv_2d/float32/1x4x4x4/1x4x4x4/k1x1/s1x1/same").content
    folder = home / "here" / "models"
    folder.mkdir()
    names = [word for word in EVIL if "/" not in word and "\0" not in word and word not in (".", "..")]
    names = [name[:200] for name in names if CANARY not in name]
    for number, name in enumerate(names):
        (folder / name).write_bytes(content + bytes(number))
    files = [f"models/{name}" for name in names]
    for options in (("-o", "kept", "--json", "-q"), ("-o", "kept")):
        ended = mnas("profile", *files, "-d", phone.address, *QUICK_WORDS, *options)
        assert ended.code == 0, ended
        assert b"Traceback" not in ended.err
        if "--json" in options:
            harmless(ended)
            told = json.loads(ended.out)["measurements"]
            assert [one["model"] for one in told] == names
    unharmed(phone)


@pytest.mark.parametrize("name", ["\x1b]0;owned\x07.tflite", "\udcff.tflite"])
def test_what_is_printed_of_a_files_name_commands_no_terminal(home: Path, name: str) -> None:
    content = one_operator("m", "conv_2d/float32/1x4x4x4/1x4x4x4/k1x1/s1x1/same").content
    Path(name).write_bytes(content)
    harmless(mnas("profile", name, *QUICK_WORDS))
    harmless(mnas("profile", name, name, *QUICK_WORDS, "-q"))
    harmless(mnas("profile", f"no-{name}"))


@FEW
@given(texts, st.sampled_from(["where", "delegate"]))
def test_what_a_command_names_is_refused_in_plain_words_or_harmless(text: str, what: str) -> None:
    try:
        found = settings_for(text) if what == "where" else settings_for("adb://1", delegate=text)
    except DevicesError as error:
        clear(error)
    else:
        assert what == "delegate" or text == "local"
        assert found.delegate.isprintable()


# --- a device that lies


@dataclass
class Lying:
    """A transport whose answers are its phone's, but for one, or for those that a word of theirs matches.

    Attributes:
        at: the number of the answer that is a lie, counted over commands and lines; None: whatever matches.
        match: what a command has in it whose every answer is a lie.
    """

    inner: AdbTransport
    answer: bytes
    at: int | None = None
    match: str | None = None
    exit_code: int | None = None
    count: int = field(default=0)
    told: int = field(default=0)

    @property
    def tag(self) -> str:
        return self.inner.tag

    def run(self, command: Sequence[str], stdin: bytes = b"", timeout_s: float = 60.0) -> CommandResult:
        said = self.inner.run(command, stdin, timeout_s)
        if not self.lies(" ".join(command)):
            return said
        code = said.exit_code if self.exit_code is None else self.exit_code
        return CommandResult(code, self.answer, self.answer if code else said.stderr)

    def spawn(self, command: Sequence[str]) -> Channel:
        return LyingChannel(self, self.inner.spawn(command))

    def push(self, content: bytes, path: str, timeout_s: float = 60.0) -> None:
        assert path.startswith((f"{WORK}/", "/data/local/tmp/.mnas-lease-2000/"))
        self.inner.push(content, path, timeout_s)

    def pull(self, path: str, timeout_s: float = 60.0) -> bytes:
        content = self.inner.pull(path, timeout_s)
        return self.answer if self.lies(path) else content

    def close(self) -> None:
        self.inner.close()

    def lies(self, text: str) -> bool:
        """Whether the next answer is a lie."""
        self.count += 1
        lie = self.count - 1 == self.at if self.match is None else self.match in text
        self.told += lie
        return lie


class LyingChannel:
    """A process whose lines are its own, but for some."""

    def __init__(self, liar: Lying, inner: Channel) -> None:
        self._liar, self._inner = liar, inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read_line(self, timeout_s: float) -> bytes:
        line = self._inner.read_line(timeout_s)
        return self._liar.answer.split(b"\n")[0] if self._liar.lies("line") else line


def measured(phone: EmulatedPhone, patch: pytest.MonkeyPatch, **lie: Any) -> Lying:
    """Measure two models on a phone that lies so: right rows, failures, or one clear error."""
    models = [one_operator(str(n), f"conv_2d/float32/1x4x4x{n}/1x4x4x{n}/k1x1/s1x1/same") for n in (4, 5)]
    liar: list[Lying] = []

    def reached(address: Address, tag: str | None = None, on_event: Any = None) -> Transport:
        liar.append(Lying(direct_tcp("127.0.0.1", phone.port, tag=tag), **lie))
        return liar[0]

    told: list[str] = []
    with patch.context() as within:
        within.setattr(remote, "transport_to", reached)
        within.setattr("devices.bench.device.PAUSE_S", 0.0)
        within.setattr("devices.bench.lease.CLEANING_S", 0.5)
        try:
            with closing(open_device(phone.address, on_event=told.append)) as device:
                rows = list(device.stream(models, QUICK))
                device.facts  # noqa: B018 - asks
        except DevicesError as error:
            clear(error)
            rows = []
    assert all(not CONTROL.search(one) for one in told), told
    for row in rows:
        if isinstance(row, Failure):
            assert not CONTROL.search(row.message), row
        else:
            assert row.summary is not None
            assert row.summary.median_ms == pytest.approx(known_latency_ms(row.sha256)) or row.context.suspect
            assert row.context.fence
    released(phone)
    return liar[0]


def released(phone: EmulatedPhone) -> None:
    """Let the phone's guard clean up at once what a job had to leave, for the next example."""
    for one in (phone.folder / "local/tmp").glob(".mnas-lease-*/*.beat"):
        one.unlink(missing_ok=True)


@settings(FEW, max_examples=14)
@given(st.integers(0, 45), lying, st.sampled_from([None, 0, 1, 127, 139, 255]))
def test_one_lie_among_the_answers_is_found_out_or_harmless(
    phone: EmulatedPhone, monkeypatch: pytest.MonkeyPatch, at: int, answer: bytes, exit_code: int | None
) -> None:
    measured(phone, monkeypatch, answer=answer, at=at, exit_code=exit_code)
    unharmed(phone)


LEASES = (
    b"busy 3 job 7\n" + json.dumps({"owner": "\x1b[2J", "command": "\x07", "since": "\r", "pid": 1}).encode(),
    b"busy 3 job 7\n{",
    b"busy",
    b"busy 3 guard 7\nnobody",
    b"busy 3 job 7\n" + b'{"owner": "a", "command": "b", "since": "c", "pid": 1e999}',
    b"busy 3 job 7\n" + b"[" * 1900,
    b"lost \x1b]0;owned\x07",
    b"claimed",
    b"claimed -1",
    "claimed ²".encode(),
    b"claimed " + b"9" * 5000,
    b"claimed 1\nbusy",
    b"beating",
    b"",
    b"\x1b[2J" * 100,
)


@pytest.mark.parametrize("verb", ["claim", "beat", "release"])
@pytest.mark.parametrize("answer", LEASES, ids=range(len(LEASES)))
def test_forged_answers_about_the_lease(
    phone: EmulatedPhone,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    answer: bytes,
) -> None:
    monkeypatch.setattr("devices.bench.lease.CLEANING_S", 0.5)
    with closing(direct_tcp("127.0.0.1", phone.port)) as transport:
        liar = Lying(transport, answer, match=f".sh {verb} ")
        lease = Lease(liar, WORK, "adb://forged", transport.tag)
        try:
            lease.acquire()
            lease.beat()
            assert isinstance(lease.verify(), int)
        except DevicesError as error:
            clear(error)
        finally:
            with suppress(DevicesError):
                lease.release()
    assert liar.told or verb == "beat"
    released(phone)


@FEW
@given(st.one_of(texts, st.recursive(st.none() | st.floats() | words, st.lists).map(json.dumps)))
def test_whoever_claims_to_hold_a_device_is_told_plainly(text: str) -> None:
    for told in (text, f'{{"owner": {json.dumps(text)}, "command": "", "since": "", "pid": 3}}'):
        assert not CONTROL.search(str(Holder.parse(told)))


@settings(FEW, max_examples=60)
@given(st.dictionaries(st.sampled_from(sorted(Survey({}).texts) or ["cpuinfo"]), texts), st.data())
def test_forged_facts_are_understood_or_unknown(known: dict[str, str], data: st.DataObject) -> None:
    from devices.facts import machine, state

    names = ["getprop", "cpuinfo", "meminfo", "cpufreq", "topology", "online", "zones", "uptime", "boot_id"]
    names += [
        "dumpsys_battery",
        "dumpsys_thermalservice",
        "dumpsys_power",
        "vcgencmd",
        "uname",
        "clock",
        "df",
    ]
    drawn = data.draw(st.dictionaries(st.sampled_from(names), texts))
    survey = Survey({**known, **drawn})
    try:
        found, now = machine(survey), state(survey)
    except DevicesError as error:
        clear(error)
    else:
        assert found.cores is None or found.cores >= 0
        assert now.battery_percent is None or 0 <= now.battery_percent <= 100


# --- a phone that is none


def _packed(
    command: bytes, first: int, second: int, payload: bytes = b"", length: int | None = None
) -> bytes:
    word = int.from_bytes(command, "little")
    size = len(payload) if length is None else length
    return (
        struct.pack("<6I", word, first, second, size, sum(payload) & 0xFFFFFFFF, word ^ 0xFFFFFFFF) + payload
    )


GREETING = _packed(b"CNXN", 0x01000001, 1 << 20, b"device::features=shell_v2,cmd\0")
FRAMES: dict[str, tuple[bytes, bytes]] = {
    "garbage": (os.urandom(64), b""),
    "http": (b"HTTP/1.1 400 Bad Request\r\n\r\n\x1b[2J", b""),
    "a huge length": (_packed(b"CNXN", 1, 1, b"", 0xFFFFFFFF), b""),
    "escapes for a state": (_packed(b"CNXN", 0x01000001, 1 << 20, b"\x1b[2J\x07::\0"), b""),
    "no state": (_packed(b"CNXN", 0x01000001, 1 << 20, b""), b""),
    "a payload of nothing": (_packed(b"CNXN", 0x01000001, 0, b"device::features=shell_v2\0"), b""),
    "tokens for ever": (_packed(b"AUTH", 1, 0, b"x" * 20) * 3000, b""),
    "tls": (_packed(b"STLS", 1, 0), b""),
    "begins anew": (GREETING, GREETING),
    "data for nobody": (GREETING, _packed(b"WRTE", 7, 99, b"x" * 1000) * 300),
    "okay for ever": (GREETING, _packed(b"OKAY", 7, 1) * 3000),
    "opens here": (GREETING, _packed(b"OPEN", 7, 0, b"shell:touch canary-was-executed\0") * 300),
    "out of turn": (GREETING, _packed(b"OKAY", 7, 1) + _packed(b"WRTE", 8, 1, b"x")),
    "frames of a huge length": (
        GREETING,
        _packed(b"OKAY", 7, 1) + _packed(b"WRTE", 7, 1, b"\1\xff\xff\xff\xff"),
    ),
    "frames of no kind": (GREETING, _packed(b"OKAY", 7, 1) + _packed(b"WRTE", 7, 1, b"\x63\1\0\0\0x")),
    "an exit without a code": (GREETING, _packed(b"OKAY", 7, 1) + _packed(b"WRTE", 7, 1, b"\3\0\0\0\0")),
    "hangs up": (GREETING, _packed(b"CLSE", 0, 1)),
    "closes": (GREETING, b""),
}


@contextmanager
def false_phone(greeting: bytes, later: bytes) -> Iterator[int]:
    """Something that answers at a port: with these bytes at first, with those to whatever is said then."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.1)

    def serve() -> None:
        while not stop.is_set():
            try:
                link, _ = listener.accept()
            except OSError:
                continue
            with link, suppress(OSError):
                link.settimeout(5)
                link.recv(1 << 16)
                link.sendall(greeting)
                if later:
                    link.recv(1 << 16)
                    link.sendall(later)
                    link.settimeout(0.1)
                    end = time.monotonic() + 1
                    while not stop.is_set() and time.monotonic() < end:
                        with suppress(TimeoutError):
                            if not link.recv(1 << 16):
                                break

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield listener.getsockname()[1]
    finally:
        stop.set()
        server.join()
        listener.close()


@pytest.mark.parametrize("name", FRAMES)
def test_what_speaks_no_proper_adb_is_told_so_in_time(home: Path, name: str) -> None:
    with false_phone(*FRAMES[name]) as port:
        begun = time.monotonic()
        with pytest.raises(DevicesError) as caught, closing(direct_tcp("127.0.0.1", port)) as transport:
            transport.run(["id"], timeout_s=0.5)
        assert time.monotonic() - begun < 30
        clear(caught.value)


# --- a program on the device that is hostile, through the command line

QUICK_WORDS = ("--passes", "1", "--runs", "2", "--min-time", "0", "--deadline", "4")


@dataclass(frozen=True, slots=True)
class Told:
    """How a command of mnas ended."""

    code: int
    out: bytes
    err: bytes


def mnas(*arguments: str) -> Told:
    """Run a command in a process of its own, in the working directory."""
    done = subprocess.run(
        [sys.executable, "-m", "mnas", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "COLUMNS": "80",
            "PYTHONIOENCODING": "utf-8:strict",
        },
    )
    return Told(done.returncode, done.stdout, done.stderr)


def harmless(told: Told) -> None:
    """Nothing that a terminal would obey, no traceback, and no part of this host's private keys."""
    for stream in (told.out, told.err):
        text = stream.decode(errors="replace")
        assert not CONTROL.search(text.replace("\r\n", "\n")), ascii(text)
        assert "Traceback" not in text, text
        for key in private_keys():
            assert key not in text


def private_keys() -> list[str]:
    """Lines of the private keys that lie in the home."""
    return [
        line
        for file in Path.home().rglob("*")
        if file.is_file() and b"PRIVATE KEY" in file.read_bytes()[:100]
        for line in file.read_text().splitlines()
        if len(line) > 30 and "-----" not in line
    ]


HELP = 'case $* in *help*) echo "usage: x"; echo "Flags:"; echo "--graph= string"; exit 1;; esac\n'
PROGRAMS = {
    "says nothing": "exit 0",
    "escapes": r"""printf '\033[2J\033]0;owned\007\n' >&2; printf '\033[31mcount=1 curr=1\n'; exit 3""",
    "endless lines": "while :; do echo 'count=5 first=1 curr=1 min=1 max=1 avg=1 std=0'; done",
    "one endless line": "while :; do printf 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; done",
    "not a number": "echo 'Inference timings in us: Init: nan, First inference: inf, Warmup (avg): -1'",
    "huge numbers": "echo 'count=99999999999999999999 first=1e999 curr=1 min=1 max=1 avg=1e400 std=0'",
    "forged marks": "for n in 1 2 3; do echo 'mnas0000000000000000 ended 0 up 1.00'; echo 'mnas end'; done",
    "bytes": "head -c 100000 /dev/urandom; exit 0",
    "kills its shell": "kill -9 $PPID",
    "leaves something running": "setsid sh -c 'while :; do sleep 1; done' </dev/null >&0 2>&0 & exit 1",
    "result file of garbage": """for word; do case $word in --result_file_path=*)
        head -c 5000 /dev/urandom >"${word#*=}";; esac; done; exit 0""",
    "shell in its words": f"echo '$(touch {CANARY}) `touch {CANARY}`'; echo '; touch {CANARY}' >&2; exit 1",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_hostile_program_costs_its_models_only(phone: EmulatedPhone, home: Path, name: str) -> None:
    model = Path("m.tflite")
    model.write_bytes(one_operator("m", "conv_2d/float32/1x4x4x4/1x4x4x4/k1x1/s1x1/same").content)
    program = Path("program")
    program.write_text(f"#!/system/bin/sh\n{HELP}{PROGRAMS[name]}\n")
    bench = Path("hostile.toml")
    bench.write_text(f'[devices.bad]\naddress = "{phone.address}"\nwork = "/data/local/tmp/mnas/bad"\n')
    set_up(
        Entry("bad", phone.address, work="/data/local/tmp/mnas/bad"), program=program, on_event=lambda _: None
    )
    begun = time.monotonic()
    ended = mnas("profile", str(model), "-d", "bad", "--bench", str(bench), *QUICK_WORDS)
    assert time.monotonic() - begun < 60
    harmless(ended)
    assert ended.code in (2, 3, 4), ended
    assert b"error: " in ended.err
    wait_until(lambda: not phone.processes())
    unharmed(phone)


def test_a_phone_whose_tools_are_hostile(home: Path) -> None:
    evil = f"\x1b[2J\x1b]0;owned\x07$(touch {CANARY})`touch {CANARY}`;touch {CANARY}\r\n"
    named = ("ro.product.model", "ro.soc.model", "ro.build.fingerprint", "ro.product.manufacturer")
    properties = dict.fromkeys(named, evil)
    with emulated_phone(latency="known", properties=properties) as phone:
        for command in (("list",), ("doctor", "--no-canary"), ("doctor", "--no-canary", "--json")):
            Path("evil.toml").write_text(f'[devices.evil]\naddress = "{phone.address}"\n')
            ended = mnas("devices", *command, "--bench", "evil.toml")
            harmless(ended)
            assert ended.code in (0, 3), ended
        assert not list(phone.folder.rglob(f"*{CANARY}*"))
        assert not (phone.root / CANARY).exists()


# --- what is left on this host


def test_what_is_left_on_this_host_is_private(phone: EmulatedPhone, home: Path) -> None:
    with closing(open_device(phone.address)) as device:
        list(device.stream([one_operator("m", "conv_2d/float32/1x4x4x4/1x4x4x4/k1x1/s1x1/same")], QUICK))
    keys = private_keys()
    assert keys, "no key was made"
    assert stat.S_IMODE((home / "home/.android").stat().st_mode) == 0o700
    assert stat.S_IMODE((home / "home/.android/adbkey").stat().st_mode) == 0o600
    assert stat.S_IMODE((home / "state").stat().st_mode) == 0o700
    made = [one for one in (home / "state").rglob("*") if one.is_file()]
    assert made
    for one in made:
        assert not any(key in one.read_text(errors="replace") for key in keys)
    assert stat.S_IMODE((phone.folder / "local/tmp/mnas").stat().st_mode) == 0o700
    for one in (phone.folder / "local/tmp/mnas").rglob("*"):
        if one.is_file() and not one.is_symlink():
            assert not any(key in one.read_text(errors="replace") for key in keys)
