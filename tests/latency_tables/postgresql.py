"""A PostgreSQL server of the tests' own: on the loopback, in a temporary folder, empty for each test."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

#: Debian keeps the server's programs out of PATH
DEBIAN = Path("/usr/lib/postgresql")
USER, PASSWORD = "lab", "p&w d!5"
#: nothing is to survive the tests, so nothing is written through to the disk
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "autovacuum": "off",
}
TRIES = 3


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int

    def url(self, database: str, user: str = USER, password: str = "p%26w%20d!5") -> str:
        return f"postgresql://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def run(self, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run statements as the server's owner, each on its own; the rows of the last."""
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database, autocommit=True
        ) as connection:
            for statement in statements:
                found = connection.execute(statement)
            return found.fetchall() if found.description else []


def programs() -> Path | None:
    """The folder with `initdb` and `postgres`; None where there is no server."""
    if there := shutil.which("initdb"):
        return Path(there).resolve().parent
    found = [one.parent for one in DEBIAN.glob("*/bin/initdb")]
    return max(found, key=lambda one: float(one.parent.name), default=None)


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server with its data in `folder`; it ends with the block, or with this process."""
    bin_ = programs()
    assert bin_ is not None
    # it refuses to run as root; and it is not to outlive tests that are killed
    run = ["setpriv", "--pdeathsig", "INT"]
    if os.geteuid() == 0:
        run = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", *run[1:]]
        shutil.chown(folder, "postgres", "postgres")
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    data = folder / "data"
    who = [f"--username={USER}", f"--pwfile={password}", "--auth=scram-sha-256"]
    made = subprocess.run(
        [*run, bin_ / "initdb", "--no-sync", "--encoding=UTF8", "--locale=C", *who, f"--pgdata={data}"],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert made.returncode == 0, made.stderr
    for _ in range(TRIES):  # another process may take the port between the look and the start
        server = Server(_free_port())
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [*run, bin_ / "postgres", "-D", data, "-p", str(server.port), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
            )
        try:
            if _answers(server, process):
                yield server
                return
        finally:
            process.send_signal(signal.SIGINT)  # it says farewell to its clients
            process.wait(30)
    pytest.fail(f"PostgreSQL does not start: {(folder / 'log').read_text()}")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _answers(server: Server, process: subprocess.Popen[bytes]) -> bool:
    import psycopg

    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            server.run("SELECT 1")
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return True
    return False


#: of the one database, which is emptied after each test: making one takes longer than most tests
DATABASE = "tests"
EMPTY = """
DO $$ DECLARE name text; BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid();
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_|^information_schema$' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
    CREATE SCHEMA public;
END $$
"""


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """The server of all tests."""
    if programs() is None:
        pytest.skip("PostgreSQL's server is not installed (Debian's package postgresql)")
    with tempfile.TemporaryDirectory(prefix="mnas-postgresql-") as folder, serving(Path(folder)) as server:
        server.run(f"CREATE DATABASE {DATABASE}")
        yield server


@pytest.fixture
def postgresql_url(postgresql: Server) -> Iterator[str]:
    """The URL of an empty database, its password in it."""
    yield postgresql.url(DATABASE)
    postgresql.run(EMPTY, database=DATABASE)
