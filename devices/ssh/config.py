"""Which hosts a connection passes and as whom, out of OpenSSH's client configuration. Connects to nothing."""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paramiko.config import SSHConfig
from paramiko.ssh_exception import ConfigParseError, CouldNotCanonicalize

from devices.errors import BadSettings

DEFAULT_PORT = 22
SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
SYSTEM_KNOWN_HOSTS = Path("/etc/ssh/ssh_known_hosts")
#: OpenSSH's own limit of files that include each other
INCLUDE_DEPTH = 16
HOPS_AT_MOST = 8
DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
_HOST = re.compile(r"[A-Za-z0-9_.:%-]+")
_USER = re.compile(r"[^\s@:/-][^\s@:/]*")


@dataclass(frozen=True, slots=True)
class Hop:
    """One host to log in to.

    Attributes:
        name: what it was called, perhaps an alias.
        identity_files: private keys named for it, in order; those that are not there included.
        default_keys: whether no key was named, so that those are the usual ones.
        identities_only: whether keys of the agent that were not named must stay unused.
        known_hosts: files of host keys, the first of which is the user's.
        host_key_alias: the name to look its host key up by, None: its host name and port.
    """

    name: str
    hostname: str
    port: int
    user: str
    identity_files: tuple[Path, ...]
    default_keys: bool
    identities_only: bool
    known_hosts: tuple[Path, ...]
    host_key_alias: str | None = None

    def __str__(self) -> str:
        host = f"[{self.hostname}]" if ":" in self.hostname else self.hostname
        return f"{self.user}@{host}" + (f":{self.port}" if self.port != DEFAULT_PORT else "")


def route(
    host: str,
    user: str | None = None,
    port: int | None = None,
    config: Path | None = None,
    known_hosts: Path | None = None,
) -> tuple[Hop, ...]:
    """The hosts to log in to one through the other; the last one is the wanted one.

    Args:
        host: a host name, address or alias of the configuration.
        user: stronger than the configuration.
        port: stronger than the configuration.
        config: another file than `~/.ssh/config`; the system's is then not read either.
        known_hosts: the only file with host keys; the configuration's or OpenSSH's usual ones by default.

    Raises:
        BadSettings: the name cannot be one, or the configuration cannot be read or followed.
    """
    return _route(_read(config), host, user=user, port=port, known_hosts=known_hosts, through=())


def _route(
    settings: SSHConfig,
    host: str,
    *,
    user: str | None,
    port: int | None,
    known_hosts: Path | None,
    through: tuple[str, ...],
) -> tuple[Hop, ...]:
    if not _HOST.fullmatch(host) or host.startswith("-"):
        raise BadSettings(f"not a host: {host!r}; give a name, an address or an alias of ~/.ssh/config")
    if user is not None and not (_USER.fullmatch(user) and user.isprintable()):
        raise BadSettings(f"not a user's name: {user!r} (for {host})")
    if host in through or len(through) >= HOPS_AT_MOST:
        raise BadSettings(f"ProxyJump goes in a circle: {' -> '.join((*through, host))}")
    try:
        found = settings.lookup(host)
    except (ConfigParseError, CouldNotCanonicalize, ValueError, KeyError, OSError) as error:
        raise BadSettings(f"the SSH configuration cannot be followed for {host}: {error}") from error
    if found.get("proxycommand") and not found.get("proxyjump"):
        raise BadSettings(
            f"the SSH configuration reaches {host} by a ProxyCommand, which is not supported; "
            "say it with ProxyJump"
        )
    named = tuple(Path(name).expanduser() for name in found.get("identityfile", ()))
    hop = Hop(
        name=host,
        hostname=str(found["hostname"]),
        port=_port(port if port is not None else found.get("port", DEFAULT_PORT), host),
        user=user or found.get("user") or getpass.getuser(),
        identity_files=named or tuple(Path.home() / ".ssh" / name for name in DEFAULT_KEYS),
        default_keys=not named,
        identities_only=found.get("identitiesonly", "no").lower() == "yes",
        known_hosts=(known_hosts,) if known_hosts else _known_hosts(found.get("userknownhostsfile")),
        host_key_alias=found.get("hostkeyalias"),
    )
    return (*_jumps(settings, found.get("proxyjump"), host, known_hosts, through), hop)


def _jumps(
    settings: SSHConfig, jump: str | None, host: str, known_hosts: Path | None, through: tuple[str, ...]
) -> Iterator[Hop]:
    """What `ProxyJump user@first:port,second` says. Only the first one may itself need a jump."""
    if not jump or jump.lower() == "none":
        return
    for i, text in enumerate(jump.split(",")):
        match = re.fullmatch(
            r"(?:ssh://)?(?:([^@\s]+)@)?(?:\[([^]\s]+)\]|([^@:\s]+))(?::(\d+))?/?", text.strip()
        )
        if match is None:
            raise BadSettings(f"ProxyJump {jump!r} of {host} cannot be read: {text.strip()!r}")
        port = int(match[4]) if match[4] else None
        hops = _route(
            settings,
            match[2] or match[3],
            user=match[1],
            port=port,
            known_hosts=known_hosts,
            through=(*through, host),
        )
        yield from hops if i == 0 else hops[-1:]


def _port(text: str | int, host: str) -> int:
    try:
        port = int(text)
    except ValueError:
        port = 0
    if not 0 < port < 1 << 16:
        raise BadSettings(f"not a port: {text!r} (for {host}); it is a number from 1 to 65535")
    return port


def _known_hosts(files: str | None) -> tuple[Path, ...]:
    usual = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
    mine = [Path(name).expanduser() for name in (files or usual).split() if name.lower() != "none"]
    return (*mine, SYSTEM_KNOWN_HOSTS)


def _read(config: Path | None) -> SSHConfig:
    files = (config,) if config is not None else (Path.home() / ".ssh" / "config", SYSTEM_CONFIG)
    if config is not None and not config.is_file():
        raise BadSettings(f"there is no SSH configuration {config}")
    parsed = SSHConfig()
    for file in files:
        lines = list(_lines(file, INCLUDE_DEPTH))
        try:
            # each file begins outside of any host's section
            parsed.parse(["Host *\n", *lines])
        except (ConfigParseError, ValueError, IndexError) as error:
            raise BadSettings(f"the SSH configuration {file} cannot be read: {error}") from error
    return parsed


def _lines(file: Path, depth: int) -> Iterator[str]:
    """The lines of a file and of those it includes, which paramiko would pass over."""
    section = "Host *"
    try:
        text = file.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return  # OpenSSH does without, too
    for line in text.splitlines():
        word, _, rest = re.sub(r"^\s*(\w+)\s*=?\s*", r"\1 ", line).partition(" ")
        if word.lower() in ("host", "match"):
            section = line
        if word.lower() != "include":
            yield f"{line}\n"
            continue
        if depth == 0:
            raise BadSettings(f"the SSH configuration {file} includes itself: {line.strip()}")
        for name in rest.split():
            pattern = Path(name.strip('"')).expanduser()
            base = Path("/") if pattern.is_absolute() else Path.home() / ".ssh"
            for included in sorted(
                base.glob(str(pattern.relative_to("/") if base == Path("/") else pattern))
            ):
                yield from _lines(included, depth - 1)
        yield f"{section}\n"
