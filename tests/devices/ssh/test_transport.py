from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.ssh import SshTransport
from tests.devices.sshd import Sshd
from tests.devices.transport_contract import TransportContract


class TestSshTransport(TransportContract):
    @pytest.fixture
    def transport(self, sshd: Sshd) -> Iterator[SshTransport]:
        transport = SshTransport("board", config=sshd.config)
        yield transport
        transport.close()

    @pytest.fixture
    def directory(self, tmp_path: Path) -> str:
        return str(tmp_path)
