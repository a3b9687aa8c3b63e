"""The address that a server listens on."""

import errno
import os
import socket

from stt.errors import ConfigError


class CannotListen(ConfigError):
    """The address cannot be had, or the port is taken; says what to do."""


def listening_socket(host: str, port: int) -> socket.socket:
    """Bind before all else, so that a taken port is one clear line. Raise CannotListen."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise CannotListen(f"Cannot listen on {host}: {reason}.") from error
    try:
        is_dual = family == socket.AF_INET6 and socket.has_dualstack_ipv6()  # :: takes IPv4 as well
        return socket.create_server(address, family=family, backlog=2048, dualstack_ipv6=is_dual)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotListen(
                f"Port {port} on {host} is in use by another program: stop that one, or choose"
                " another port with --port (0 takes a free one)."
            ) from error
        reason = os.strerror(error.errno or 0)
        raise CannotListen(f"Cannot listen on {host}:{port}: {reason}.") from error


def url_of(sock: socket.socket) -> str:
    """Return the URL of a server at this socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
