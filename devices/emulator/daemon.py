"""The phone itself: who may connect, what services there are, what faults do. Runs inside its namespaces."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from devices.emulator import canned, namespace, processes, protocol, resident, shell, sync
from devices.emulator.connection import Closed, Connection, Stream
from devices.emulator.faults import Fault, Schedule
from devices.emulator.link import Weather, Wire

FEATURES = "shell_v2,cmd,fixed_push_mkdir"
HOT_C = 95.0
#: least length of what `corrupt` takes for file content in the input of a shell
TRANSFER_BYTES = 1024
_LOGGED = 100_000


class Phone:
    """The emulated phone.

    Args:
        port: where it listens, on loopback.
        keys: the text of the `.pub` files of hosts that may come in; None lets everybody in.
        accept: whether whoever holds the phone accepts every key at once.
        path: where its programs are.
        properties: what `getprop` prints.
        own: the phone's own processes, which nobody sees.
        fork_server: a descriptor that takes numbers of processes to run `benchmark_model` for.
        root_view: a descriptor of the view in which /sys can be written.
    """

    def __init__(
        self,
        *,
        port: int,
        keys: list[str] | None,
        accept: bool,
        path: str,
        properties: Mapping[str, str],
        own: set[int],
        fork_server: int,
        root_view: int,
    ) -> None:
        self._port = port
        self._keys = None if keys is None else [protocol.key_of(key) for key in keys]
        self._accepts = accept
        self._path = path
        told = {**canned.PROPERTIES, **properties}
        names = ("ro.product.name", "ro.product.model", "ro.product.device")
        described = "".join(f"{name}={told[name]};" for name in names)
        self._banner = f"device::{described}features={FEATURES}".encode()
        self._own = own
        self._fork_server = fork_server
        self._root_view = root_view
        self._lock = threading.RLock()
        self._connections: set[Connection] = set()
        self._prompts: list[tuple[str, Callable[[], None]]] = []
        self._log: deque[str] = deque(maxlen=_LOGGED)
        self._weather = Weather()
        self._schedule = Schedule(self._happen)
        self._corrupt = 0
        self._revoked = False
        self._listener: socket.socket | None = None
        self._absent_until = 0.0
        self._boot = 0
        self._requests = namespace.OWN / "requests"
        os.mkfifo(self._requests)

    # --- boot, and the cable

    def boot(self) -> None:
        """Switch it on; returns when it can be reached."""
        up = threading.Event()
        threading.Thread(target=self._run_boot, args=(self._boot, up), daemon=True).start()
        up.wait()

    def reboot(self, seconds: float) -> None:
        """End everything that runs; the phone can be reached again after so long."""
        with self._lock:
            self._boot += 1
            self._detach(seconds)
            processes.end_all(self._own)
            canned.reset_sysfs(namespace.OWN / "sys")
            (namespace.OWN / "wakefulness").write_text("Awake\n")
            namespace.renew_boot_id()
            arguments = (self._boot, threading.Event())
            threading.Thread(target=self._run_boot, args=arguments, daemon=True).start()

    def unplug(self, seconds: float) -> None:
        """Break all connections; nothing answers at the port for so long."""
        with self._lock:
            self._detach(seconds)

    def plug_in(self) -> None:
        """Let it be reached again."""
        self._absent_until = 0.0

    def _detach(self, seconds: float) -> None:
        self._absent_until = max(self._absent_until, time.monotonic() + seconds)
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for connection in self._connections:
            connection.abort()
        self._connections.clear()
        self._prompts.clear()

    def _run_boot(self, boot: int, up: threading.Event) -> None:
        # what the services start inherits this thread's clock
        namespace.restart_uptime()
        threading.Thread(target=self._take_requests, args=(boot,), daemon=True).start()
        while self._boot == boot and time.monotonic() < self._absent_until:
            time.sleep(0.01)
        if boot:
            processes.end_all(self._own)  # what a service was just about to start when the phone went down
        while self._boot == boot:
            if (listener := self._listen(boot)) is not None:
                up.set()
                self._accept(listener)
            else:
                time.sleep(0.01)

    def _listen(self, boot: int) -> socket.socket | None:
        with self._lock:
            if self._boot != boot or time.monotonic() < self._absent_until:
                return None
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listener.bind(("127.0.0.1", self._port))
            listener.listen(64)
            self._listener = listener
            return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                if self._listener is not listener:
                    return
                time.sleep(0.01)  # no descriptor is left: it may find one again
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wire = Wire(sock, self._weather, self._schedule)
            connection = Connection(wire, self, self._banner, self._serve)
            with self._lock:
                if self._listener is not listener:
                    sock.close()
                    return
                self._connections.add(connection)
            threading.Thread(target=self._run_connection, args=(connection,), daemon=True).start()

    def _run_connection(self, connection: Connection) -> None:
        connection.run()
        with self._lock:
            self._connections.discard(connection)

    # --- keys (see `connection.Gatekeeper`)

    @property
    def asks(self) -> bool:
        """Whether a host must show a key."""
        return self._keys is not None or self._revoked

    def knows(self, token: bytes, signature: bytes) -> bool:
        """Whether a key that may come in signed this."""
        keys = [] if self._revoked else self._keys or []
        return any(protocol.signed_by(key, token, signature) for key in keys)

    def prompt(self, key: str, granted: Callable[[], None]) -> None:
        """Somebody new is at the door."""
        self._log.append(f"prompt:{key}")
        with self._lock:
            self._prompts.append((key, granted))
        if self._accepts and not self._revoked:
            self.accept()

    def accept(self) -> int:
        """Whoever holds the phone accepts the keys that wait; returns how many did."""
        with self._lock:
            prompts, self._prompts = self._prompts, []
            for key, _ in prompts:
                with contextlib.suppress(ValueError):
                    self._keys = [*(self._keys or []), protocol.key_of(key)]
        for _, granted in prompts:
            granted()
        return len(prompts)

    # --- services

    def _serve(self, stream: Stream, service: str) -> None:
        self._log.append(service)
        name = service.partition(":")[0]
        try:
            if name == "sync":
                stream.accept()
                sync.serve(stream, self._transferred)
            elif name.partition(",")[0] in ("shell", "exec"):
                stream.accept()
                shell.serve(stream, shell.Request.parse(service), self._path, self._received)
            else:
                stream.refuse()
            stream.close()
        except (Closed, OSError):
            pass
        finally:
            stream.hang_up()

    def _transferred(self, data: bytes) -> bytes:
        with self._lock:
            if not self._corrupt or not data:
                return data
            self._corrupt -= 1
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 0x10]) + data[middle + 1 :]

    def _received(self, data: bytes) -> bytes:
        return self._transferred(data) if len(data) >= TRANSFER_BYTES else data

    # --- requests of the phone's programs

    def _take_requests(self, boot: int) -> None:
        with self._requests.open("r+b", buffering=0) as requests:
            pending = b""
            while self._boot == boot:
                *lines, pending = (pending + os.read(requests.fileno(), 4096)).split(b"\n")
                for line in lines:
                    self._take_request(line)

    def _take_request(self, line: bytes) -> None:
        name, _, number = line.partition(b" ")
        if not number.isdigit():
            return
        if name == b"benchmark_model":
            os.write(self._fork_server, number + b"\n")
        elif name == b"su":
            view = self._root_view
            arguments = (int(number), lambda: namespace.take_root_view(view))
            threading.Thread(target=resident.run_as_root, args=arguments, daemon=True).start()
        elif name == b"reboot":
            threading.Thread(target=self.reboot, args=(1.0,), daemon=True).start()

    # --- faults

    def heat(self, celsius: float) -> None:
        """The processor has this temperature, and the rest follows."""
        now = canned.Temperatures.heated(celsius)
        canned.write_temperatures(namespace.OWN, now)
        canned.write_zones(namespace.OWN / "sys", now)

    def cool(self) -> None:
        """As warm as it was at first."""
        self.heat(canned.Temperatures().processor)

    def _happen(self, fault: Fault) -> None:
        self._log.append(f"fault:{fault.kind}")
        seconds = fault.seconds
        if fault.kind == "unplug":
            self.unplug(seconds)
        elif fault.kind == "freeze":
            self._weather.freeze(seconds)
        elif fault.kind == "reboot":
            self.reboot(seconds)
        elif fault.kind == "key_revoked":
            self._revoked = True
            self.unplug(0.0)
            _later(seconds, self._restore_keys)
        elif fault.kind == "disk_full":
            namespace.set_data_bytes(namespace.data_used_bytes())
            _later(seconds, lambda: namespace.set_data_bytes(namespace.DATA_BYTES))
        elif fault.kind == "slow_link":
            self._weather.slow(seconds)
        elif fault.kind == "corrupt":
            self._corrupt += 1
        elif fault.kind == "heat":
            self.heat(HOT_C)
            _later(seconds, self.cool)
        else:
            (namespace.OWN / fault.kind).touch()

    def _restore_keys(self) -> None:
        self._revoked = False
        self.unplug(0.0)

    # --- what the host's handle asks for

    def control(self, wanted: str, given: Mapping[str, Any]) -> object:
        """Answer one request of the handle."""
        answers: dict[str, Callable[..., object]] = {
            "accept": self.accept,
            "carried": self._schedule.carried,
            "cool": self.cool,
            "fired": self._schedule.fired,
            "freeze": self._weather.freeze,
            "heat": self.heat,
            "inject": lambda **fault: self._schedule.add(Fault(**fault)),
            "log": lambda: list(self._log),
            "plug_in": self.plug_in,
            "processes": lambda: processes.running(self._own),
            "reboot": self.reboot,
            "unplug": self.unplug,
        }
        return answers[wanted](**given)

    def obey(self, control: socket.socket) -> None:
        """Answer the handle, one JSON line for one, until it is gone."""
        with control.makefile("rw", encoding="utf-8") as lines:
            for line in lines:
                request = json.loads(line)
                answer = self.control(request["do"], request["with"])
                lines.write(json.dumps(answer) + "\n")
                lines.flush()


def _later(seconds: float, act: Callable[[], object]) -> None:
    if seconds < threading.TIMEOUT_MAX:
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        timer.start()
