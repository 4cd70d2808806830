"""First process of an emulated phone: sets up its file system and starts its daemon and its fork server.

Run as `python -m devices.emulator.inside DESCRIPTOR` by `phone.py`, in new mount and process namespaces; the
descriptor is a socket to the handle. When that socket closes, because the handle let go or was killed, this
process ends, and with it everything in the namespace.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from typing import Any

from devices.emulator import namespace, resident
from devices.emulator.daemon import Phone


def main(descriptor: int) -> int:
    """Run the phone until its handle is gone."""
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    config = json.loads(control.recv(1 << 20))
    try:
        fork_server, requests = _fork_server(config)
        namespace.build(config["rooted"], config["properties"])
        daemon = os.fork()
    except OSError as error:
        control.sendall(json.dumps({"error": str(error)}).encode() + b"\n")
        return 1
    if daemon == 0:
        try:
            _run_daemon(control, config, {1, fork_server, os.getpid()}, requests)
        finally:
            os._exit(0)
    control.close()
    while os.wait()[0] != daemon:  # everybody's orphans end up here
        pass
    return 0


def _fork_server(config: dict[str, Any]) -> tuple[int, int]:
    """Fork it, with the mounts of the host: its number, and a descriptor that takes its requests."""
    requests, ours = os.pipe()
    separated, ready = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            namespace.separate()
            os.close(ready)
            os.close(ours)
            from devices.emulator import stand_in

            stand_in.load()
            resident.ForkServer(requests, lambda caller: stand_in.run(caller, config)).serve()
        finally:
            os._exit(0)
    os.close(ready)
    os.close(requests)
    os.read(separated, 1)
    os.close(separated)
    return child, ours


def _run_daemon(control: socket.socket, config: dict[str, Any], own: set[int], requests: int) -> None:
    root_view = namespace.lose_root_view()
    phone = Phone(
        port=config["port"],
        keys=config["keys"],
        accept=config["accept"],
        path=config["path"],
        properties=config["properties"],
        own=own,
        fork_server=requests,
        root_view=root_view,
    )
    phone.boot()
    control.sendall(b'{"ready": true}\n')
    phone.obey(control)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
