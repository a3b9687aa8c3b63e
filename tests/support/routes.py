"""All addresses that an application answers."""

from collections.abc import Iterator
from typing import Any

from starlette.routing import Mount


def addresses(routes: list[Any]) -> Iterator[tuple[str, str]]:
    """Return every method and path as declared, "WS" for WebSockets; of mounted files a guess."""
    for route in routes:
        if included := getattr(route, "original_router", None):
            yield from addresses(included.routes)
        elif isinstance(route, Mount):
            yield "GET", f"{route.path}/anything"
        else:
            for method in sorted(getattr(route, "methods", None) or {"WS"}):
                yield method, route.path
