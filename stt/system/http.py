"""HTTP sessions with coordinators, whisper servers and node pages, and why their requests fail."""

import requests

from stt.errors import SttError
from stt.system.net import is_loopback


def http_session(url: str, key: str | None = None) -> requests.Session:
    """Return a session for requests to the server at `url`, with `key` as a Bearer token."""
    session = requests.Session()
    # A proxy cannot reach this machine's loopback addresses.
    session.trust_env = not is_loopback(url)
    if key:
        session.headers["Authorization"] = f"Bearer {key}"
    return session


def reason_of(error: Exception) -> str:
    """Return the innermost reason of a failed request, without the addresses of objects."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    cause: BaseException = error
    seen = {cause}  # an exception that was raised twice may be a cause of itself
    while not getattr(cause, "strerror", None):
        inner = cause.__cause__ or cause.__context__
        # An error of ours is one that was being handled when the request was made.
        if inner is None or inner in seen or isinstance(inner, SttError):
            break
        seen.add(inner)
        cause = inner
    return str(getattr(cause, "strerror", None) or str(cause) or type(cause).__name__)
