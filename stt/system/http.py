"""HTTP sessions with coordinators, whisper servers and node pages, and why their requests fail."""

import requests

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
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    return str(getattr(cause, "strerror", None) or str(cause) or type(cause).__name__)
