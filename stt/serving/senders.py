"""Find out whether a page of another site sent a request.

Browsers say so in two headers that no page can set: `Sec-Fetch-Site`
(https://www.w3.org/TR/fetch-metadata/), which they leave out over plain HTTP unless the server is
on their own machine, and `Origin` (https://fetch.spec.whatwg.org/#origin-header), which is on
everything but GET and HEAD of a page's own server, or without CORS.
"""

from collections.abc import Mapping
from enum import Enum

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods whose requests change nothing, so that links and images may send them."""


class Sender(Enum):
    """What sent a request: UNKNOWN is a program, a typed address, or a browser that does not say.

    An image, frame or script of another site is UNKNOWN as well over plain HTTP to another machine.
    """

    OWN_PAGE = "own page"
    OTHER_PAGE = "other page"
    UNKNOWN = "unknown"


def sender_of(headers: Mapping[str, str], own_url: str | None = None) -> Sender:
    """Return what sent a request with these headers, whose names are in lower case.

    `own_url` is the server's public address, for a proxy that sends on another Host.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site == "same-origin":
        return Sender.OWN_PAGE
    if site is not None and site != "none":
        return Sender.OTHER_PAGE
    if origin is None:
        return Sender.UNKNOWN
    host = origin.partition("://")[2]
    is_own = host != "" and (host == headers.get("host") or origin == own_url)
    return Sender.OWN_PAGE if is_own else Sender.OTHER_PAGE


def is_followed_link(headers: Mapping[str, str], method: str) -> bool:
    """Return whether a browser says that it opens this address in a window of its own.

    The page that led there sees nothing of the answer.
    """
    return (
        method in SAFE_METHODS
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
