"""Boards over SSH, keys and host keys as OpenSSH's client has them. Knows nothing of what runs there."""

from devices.ssh.transport import SshTransport

__all__ = ["SshTransport"]
