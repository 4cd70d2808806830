from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.local import LocalTransport
from tests.devices.processes import running
from tests.devices.transport_contract import TransportContract


class TestLocalTransport(TransportContract):
    @pytest.fixture
    def transport(self) -> Iterator[LocalTransport]:
        before = running()
        transport = LocalTransport()
        yield transport
        transport.close()
        assert running() <= before

    @pytest.fixture
    def directory(self, tmp_path: Path) -> str:
        return str(tmp_path)

    def test_a_file_that_cannot_be_run_is_126(self, transport: LocalTransport, directory: str) -> None:
        transport.push(b"not a program", f"{directory}/text")
        assert transport.run([f"{directory}/text"]).exit_code == 126
