"""`mnas table` where tables are in a lab's database: every command takes a URL, none prints its password."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from latency_tables.ops import OpSpec
from latency_tables.storage import lock
from latency_tables.storage.copying import copy
from latency_tables.store import LatencyTable
from latency_tables.tflite import single, write
from tests.command_line import Ended, running
from tests.mnas.tables import OPTIONS, architecture

pytestmark = pytest.mark.usefixtures("quick")

Run = Callable[..., Ended]

#: what a password of the tests ends with, as it is and as URLs have it
SECRETS = ("d!5", "d%215")

run = running("table")


@pytest.fixture
def url(built: Path, postgresql_url: str) -> str:
    """A copy of the small table on the server."""
    copy(str(built), postgresql_url)
    return postgresql_url


def secretless(ended: Ended) -> Ended:
    assert not any(secret in ended.out + ended.err for secret in SECRETS)
    assert "Traceback" not in ended.err
    return ended


def test_a_table_is_built_on_a_server(run: Run, url: str) -> None:
    ended = secretless(run("build", *OPTIONS, "--passes", "2", "--max-passes", "2", "-o", url, "--json"))
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert document["table"].startswith("postgresql://lab:***@127.0.0.1:")
    with LatencyTable.open(url) as table:
        assert {index for _, index in table.measured()} == {0, 1}
        assert table.ready


def test_the_log_of_a_build_on_a_server_has_no_password(
    run: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    arguments = [
        "build",
        *OPTIONS,
        "--passes",
        "1",
        "--max-passes",
        "1",
        f"--output={url}",
        "--log",
        str(log),
    ]
    monkeypatch.setattr(sys, "argv", ["mnas", "table", *arguments])
    secretless(run(*arguments))
    with lock.builder(url):
        assert secretless(run(*arguments)).code == 2
    text = log.read_text()
    assert text.count("'--output=postgresql://lab:***@127.0.0.1:") == 2
    assert "is at work on postgresql://lab:***@" in text
    assert not any(secret in text for secret in SECRETS)


def test_several_devices_tables_are_refused_without_the_password(run: Run) -> None:
    address = "postgresql://lab:p%26w%20d%215@127.0.0.1:1/x"
    ended = secretless(run("build", *OPTIONS, "-d", "one", "-d", "other", "-o", address))
    assert (ended.code, ended.out) == (2, "")
    assert "postgresql://lab:***@127.0.0.1:1/x is a database, and each of 2 devices" in " ".join(
        ended.err.split()
    )


def test_unequal_tables_are_compared_without_the_password(run: Run, url: str, tmp_path: Path) -> None:
    model = tmp_path / "net.tflite"
    model.write_bytes(write(single(OpSpec.parse("logistic/float32/1x77/1x77"))))
    more = f"{url}?schema=more"
    assert run("merge", url, "-o", more, url).code == 0
    assert secretless(run("extend", more, str(model), "--passes", "1")).code == 0
    for first, second in ((url, more), (more, url)):
        ended = secretless(run("diff", first, second))
        assert ended.code == 4
        assert "lacks 1 operator(s) of the other, the first is logistic/" in " ".join(ended.err.split())
        assert "postgresql://lab:***@127.0.0.1:" in ended.err


def test_what_is_to_be_done_says_that_the_password_was_left_out(run: Run, url: str, tmp_path: Path) -> None:
    model = tmp_path / "net.tflite"
    model.write_bytes(write(single(OpSpec.parse("logistic/float32/1x78/1x78"))))
    with LatencyTable.open(url) as table:
        table.mark_stale("it is slower")
    for command in (["status", url], ["predict", url, architecture()], ["predict", url, str(model)]):
        told = " ".join(secretless(run(*command)).err.split())
        assert "mnas table anchor 'postgresql://lab:***@127.0.0.1:" in told
        assert "(for *** put the password)" in told
    assert "mnas table extend 'postgresql://lab:***@127.0.0.1:" in told


def test_a_second_job_is_refused_by_the_firsts_name(run: Run, url: str) -> None:
    with lock.builder(url):
        ended = secretless(run("build", *OPTIONS, "-o", url))
    assert ended.code == 2
    assert "is at work on postgresql://lab:***@" in ended.err.replace("\n", " ")


@pytest.mark.parametrize(
    ("command", "rest"),
    [("show", ["--json"]), ("status", ["--json"]), ("predict", [architecture(), "--json"])],
)
def test_what_reads_a_table_reads_one_on_a_server(
    run: Run, url: str, built: Path, command: str, rest: list[str]
) -> None:
    from_url = secretless(run(command, url, *rest))
    from_file = run(command, str(built), *rest)
    assert from_url.code == from_file.code == 0
    found, wanted = json.loads(from_url.out), json.loads(from_file.out)
    assert found["table"].startswith("postgresql://lab:***@127.0.0.1:")
    for document in (found, wanted):
        for name in ("table", "anchored_days_ago"):
            document.pop(name, None)
    assert found == wanted


def test_held_out_networks_are_measured_for_a_table_on_a_server(run: Run, url: str, tmp_path: Path) -> None:
    ended = secretless(
        run("validate", url, "--networks", "2", "--passes", "1", "-o", str(tmp_path / "report"))
    )
    assert ended.code == 0, ended.err


def test_a_table_on_a_server_is_calibrated_again_and_extended(run: Run, url: str, tmp_path: Path) -> None:
    anchored = secretless(run("anchor", url, "--passes", "1", "--json"))
    assert anchored.code == 0, anchored.err
    model = tmp_path / "net.tflite"
    model.write_bytes(write(single(OpSpec.parse("logistic/float32/1x77/1x77"))))
    extended = secretless(run("extend", url, str(model), "--passes", "1", "--json"))
    assert extended.code == 0, extended.err
    for ended in (anchored, extended):
        assert json.loads(ended.out)["table"].startswith("postgresql://lab:***@")
    with LatencyTable.open(url) as table:
        assert table.reanchored_at
        assert "logistic/float32/1x77/1x77" in table.figures()


def test_tables_on_servers_are_exchanged(run: Run, url: str, built: Path, tmp_path: Path) -> None:
    figures, joined, imported = tmp_path / "figures.csv", f"{url}?schema=joined", f"{url}?schema=imported"
    for command in (
        ("export", url, "-o", str(figures)),
        ("merge", url, str(built), "-o", joined),
        ("diff", url, joined),
        ("import", str(figures), "-o", imported),
    ):
        ended = secretless(run(*command))
        assert ended.code == 0, ended.err
    with LatencyTable.open(joined) as first, LatencyTable.open(imported) as second:
        assert first.ready
        assert set(second.figures()) == set(first.figures())
        assert {one.method for one in second.figures().values()} == {"imported"}


@pytest.mark.parametrize("command", ["show", "status", "validate"])
@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("postgresql://lab:p%26w%20d%215@127.0.0.1:1/x", "Connection refused"),
        ("mysql://lab:p%26w%20d%215@127.0.0.1/x", "PostgreSQL databases"),
        ("postgresql://lab:p%26w%20d%215@127.0.0.1:port/x", "is no database URL"),
    ],
)
def test_what_is_no_table_of_a_server_is_refused(run: Run, command: str, address: str, message: str) -> None:
    ended = secretless(run(command, address))
    assert (ended.code, ended.out) == (2, "")
    assert message in " ".join(ended.err.split())
