"""The coordinator's edge: requests to one, and what its answers mean as errors of ours.

2xx  its JSON           401 KeyRejected      404 NotFound           409 claim_lost ClaimLost
204  None               410 NodeRemoved      413, 422 DatabaseRefused
403, 3xx, or no coordinator's answer: ConfigError
429, 5xx, or none at all: DatabaseUnavailable, for to whoever asks it is the queue that is away

Once a coordinator has answered, what answers otherwise is something in between (a tunnel whose
other end is away, a hotel's portal): then all of that but a 401 and a 403 is DatabaseUnavailable.
"""

import contextlib
import http.cookiejar
from collections.abc import Iterator, Mapping
from typing import Any

import requests
from pydantic import BaseModel
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from stt.errors import (
    ClaimLost,
    ConfigError,
    DatabaseRefused,
    DatabaseUnavailable,
    KeyRejected,
    NodeRemoved,
    NotFound,
    SttError,
)
from stt.system.net import is_loopback

_CONNECT_SECONDS = 5.0
_CONNECTIONS = 64
_MAX_MESSAGE = 300


class CoordinatorClient:
    """Asks one coordinator. Safe between threads; keeps its connections.

    `url` is where its `/health` answers, without that; `key` may be None for what needs none.
    """

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        self._is_known = False  # a coordinator has answered there
        self.is_answered = False
        """Whether a coordinator answered the latest request, be it with a refusal."""
        self._session = requests.Session()
        # A cookie would be state that all threads share, and there is none to keep.
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._session.trust_env = not is_loopback(self.url)
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: BaseModel | Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        timeout_seconds: float = 20.0,
    ) -> Any:
        """The JSON of the answer, None for one without. Raises as the top of this file says."""
        json = body.model_dump(mode="json", by_alias=True) if isinstance(body, BaseModel) else body
        with self._noting_whether_answered():
            response = self._send(method, path, timeout_seconds, json=json, params=query)
            if response.status_code == 204:
                return None
            try:
                told = response.json()
            except requests.JSONDecodeError as error:
                # A portal or a proxy in between, more often than not for a while.
                raise DatabaseUnavailable(
                    f"{self.url} does not answer like a coordinator"
                ) from error
            self._is_known = True
            return told

    def audio(self, path: str, timeout_seconds: float = 60.0) -> bytes:
        """The bytes at a path. Raises as the top of this file says."""
        with self._noting_whether_answered():
            return self._send("GET", path, timeout_seconds).content

    def close(self) -> None:
        self._session.close()

    @contextlib.contextmanager
    def _noting_whether_answered(self) -> Iterator[None]:
        try:
            yield
        except DatabaseUnavailable:
            self.is_answered = False
            raise
        except SttError:
            self.is_answered = True
            raise
        self.is_answered = True

    def _send(
        self, method: str, path: str, timeout_seconds: float, **what: Any
    ) -> requests.Response:
        timeout = (min(_CONNECT_SECONDS, timeout_seconds), timeout_seconds)
        try:
            response = self._session.request(
                method, self.url + path, timeout=timeout, allow_redirects=False, **what
            )
        except (requests.RequestException, HTTPError) as error:
            raise DatabaseUnavailable(
                f"The coordinator at {self.url} does not answer ({_cause(error)})"
            ) from error
        self._check(response)
        return response

    def _check(self, response: requests.Response) -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        code, said = _said(response)
        message = f"The coordinator at {self.url} answered {status}: {said}"
        if status == 401:
            raise KeyRejected(f"The coordinator at {self.url} refuses the key: {said}")
        if status == 410 and code is not None:
            raise NodeRemoved(said)
        if status == 409 and code == "claim_lost":
            raise ClaimLost(said)
        if status == 404 and code is not None:
            raise NotFound(said)
        if status in (413, 422):
            raise DatabaseRefused(said)
        if status == 429 or status >= 500:
            raise DatabaseUnavailable(message)
        if 300 <= status < 400:
            target = response.headers.get("Location", "elsewhere")[:_MAX_MESSAGE]
            message = f"{self.url} redirects to {target}: use the address behind that"
        # A firewall's 403 may be for results alone: who waited for its end would lose them all.
        if code is None and status != 403 and self._is_known:
            raise DatabaseUnavailable(message)
        if status == 403 or code is None:
            raise ConfigError(message)
        raise SttError(said)


def _said(response: requests.Response) -> tuple[str | None, str]:
    """The code and the sentence of a coordinator's error; no code if it is none."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        error = response.json()["error"]
        return str(error["code"]), str(error["message"])[:_MAX_MESSAGE]
    return None, response.text[:100].strip() or response.reason or "nothing more"


def _cause(error: Exception) -> str:
    """The innermost reason, without the object addresses that urllib3 prints."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    cause: BaseException = error
    while (inner := cause.__cause__ or cause.__context__) is not None:
        cause = inner
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return str(text)[:_MAX_MESSAGE]
