"""A board with a real aarch64 userland, under emulation: reached, set up and measured on, as a real one is.

`make test-arm64` makes the root file system and names it. What it measures says nothing of any board's speed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.measurement import ModelFile, Pass
from devices.plan import Plan
from devices.runners.litert import LitertDevice
from devices.setup.board import set_up_board
from devices.ssh import SshTransport
from devices.survey import survey
from tests.devices.sshd import running_sshd

ROOT = Path(os.environ.get("MNAS_ARM64_ROOT", "/nonexistent"))
WORK = "/var/tmp/mnas"
#: only /proc: with /sys as well, the runtime's look at the processor crashes under qemu-user
START = """
set -e
root=$1 folder=$2
shift 2
mount -t proc proc "$root/proc"
mkdir -p "$root$folder"
mount --bind "$folder" "$root$folder"
exec chroot "$root" /usr/sbin/sshd "$@"
"""

pytestmark = [
    pytest.mark.arm64,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(not (ROOT / ".ready").exists(), reason="no arm64 root; make test-arm64 makes one"),
]


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshTransport]:
    """A board without a network of its own."""
    folder = tmp_path_factory.mktemp("arm64")
    namespace = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    command = [*namespace, "sh", "-c", START, "sh", str(ROOT), str(folder)]
    environment = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    try:
        with running_sshd(folder, command=command, environment=environment) as sshd:
            transport = SshTransport("board", config=sshd.config, connect_s=120.0, patience_s=120.0)
            yield transport
            transport.run(["rm", "-rf", WORK])
            transport.close()
    finally:
        left = Path(f"{ROOT}{folder}")
        left.rmdir()  # the mount went with its namespace
        shutil.rmtree(folder)


def test_it_is_an_arm_board(board: SshTransport) -> None:
    assert board.run(["uname", "-m"]).stdout == b"aarch64\n"
    content = os.urandom(3_000_000)
    board.push(content, "/tmp/file")
    assert board.pull("/tmp/file") == content
    board.run(["rm", "/tmp/file"])
    assert survey(board, WORK)


def test_it_is_set_up_with_wheels_from_here_and_measures(board: SshTransport, tiny: ModelFile) -> None:
    told: list[str] = []
    found = set_up_board(board, WORK, told.append)
    assert found.installed
    assert found.runtime == "ai-edge-litert"
    assert any("bringing wheel" in line and "aarch64" in line for line in told), told
    assert not set_up_board(board, WORK).installed

    device = LitertDevice("ssh://board", board, python=found.python)
    assert device.facts.machine == "aarch64"
    outcomes = list(device.stream([tiny], Plan(passes=2, min_runs=3, min_time_s=0.0, deadline_s=120.0)))
    assert len(outcomes) == 2
    assert all(isinstance(outcome, Pass) for outcome in outcomes), outcomes
    device.close()
