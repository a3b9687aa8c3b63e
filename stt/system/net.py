"""Check URLs and hosts."""

import ipaddress
from urllib.parse import urlsplit

_PRIVATE_ENDINGS = (".local", ".lan", ".home", ".internal", ".home.arpa", ".localdomain", ".ts.net")
_TAILSCALE = ipaddress.ip_network("100.64.0.0/10")


def is_loopback(url: str) -> bool:
    """Return whether the URL's host is this machine; a proxy cannot reach such addresses."""
    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Return whether this name or address always leads to this machine.

    `*.localhost` does by RFC 6761: no one can register a name there.
    """
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return is_address(host) and ipaddress.ip_address(host).is_loopback


def is_address(host: str) -> bool:
    """Return whether it is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_http_url(url: str) -> bool:
    """Return whether it is an http or https URL with a host and, if any, a valid port."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number
        return False


def is_unprotected(url: str) -> bool:
    """Return whether keys and recordings would cross a public network without TLS."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if parts.scheme == "https" or host == "localhost":
        return False
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return "." in host and not host.endswith(_PRIVATE_ENDINGS)
    is_in_tailnet = address.version == 4 and address in _TAILSCALE
    return not (address.is_private or address.is_loopback or is_in_tailnet)
