"""Check URLs."""

import ipaddress
from urllib.parse import urlsplit

_PRIVATE_ENDINGS = (".local", ".lan", ".home", ".internal", ".home.arpa", ".localdomain", ".ts.net")
_TAILSCALE = ipaddress.ip_network("100.64.0.0/10")


def is_loopback(url: str) -> bool:
    """Return whether the URL's host is this machine; a proxy cannot reach such addresses."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


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
