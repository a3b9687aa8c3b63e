"""Decide by its Host header whether a request may be from a name that was rebound.

In DNS rebinding (https://crypto.stanford.edu/dns/) another site lets its own name point to this
machine, so that its page is of the server's own origin. That takes a name: `localhost` and
addresses always lead to where they say.
"""

import re
import socket
from collections.abc import Iterable

from stt.system.net import is_address, is_loopback_host

_HOST = re.compile(r"(\[[^\[\]]+\]|[^:\[\]]+)(:\d{1,5})?")


class AllowedHosts:
    """The hosts under which a server is reached; `is_allowed` takes a Host header.

    A server that listens on loopback allows `localhost` and addresses of loopback, any other one
    also all addresses (ports are forwarded from one to the other) and this machine's own name.
    `names` are allowed as well: `*.example.org` is each name below, `*` everything.
    """

    def __init__(self, listens_on: str, names: Iterable[str] = ()) -> None:
        self.is_on_loopback = is_loopback_host(listens_on)
        self._names = {name.lower() for name in names}
        if not self.is_on_loopback:
            own = socket.gethostname().lower()
            label = own.partition(".")[0]
            self._names |= {own, label, f"{label}.local"}

    def is_allowed(self, header: str | None) -> bool:
        """Return whether a request with this Host header is answered.

        One without the header, of HTTP/1.0, is from no browser.
        """
        if header is None or "*" in self._names:
            return True
        match = _HOST.fullmatch(header)
        if match is None:
            return False
        host = match[1].strip("[]").lower().removesuffix(".")
        if is_loopback_host(host) or (not self.is_on_loopback and is_address(host)):
            return True
        parents = (f"*.{host[at + 1 :]}" for at, sign in enumerate(host) if sign == ".")
        return host in self._names or any(parent in self._names for parent in parents)
