"""This machine's own addresses: a proxy has no way to them."""

from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """True if the URL's host is this machine, by its loopback address or as `localhost`."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
