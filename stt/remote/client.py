"""HTTP requests to a coordinator, and what its answers mean as errors of this package.

2xx  its JSON           401 KeyRejected      404 NotFound           409 claim_lost ClaimLost
503 audio_store AudioStoreUnavailable        409 audio_not_allowed AudioNotAllowed
204  None               410 NodeRemoved      413, 422 DatabaseRefused
403, 3xx, or an answer that no coordinator gives: ConfigError
429, 5xx, or no answer at all: DatabaseUnavailable, since to the caller the queue is away

After the first answer of a coordinator, an answer that no coordinator gives comes from something
in between (a tunnel without its other end, a captive portal): except 401 and 403 it then means
DatabaseUnavailable.
"""

import contextlib
import http.cookiejar
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import requests
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python
from urllib3.exceptions import HTTPError

from stt import errors
from stt.system.http import Answer, UnreadableAnswer, fetch, http_session, reason_of

M = TypeVar("M")

_CONNECT_SECONDS = 5.0
_MAX_WAITS = 4
"""How many times as long as one wait for the coordinator a whole answer may take: as long as a
lease, where a wait takes a quarter of one."""
_MAX_MESSAGE_LENGTH = 300


class CoordinatorClient:
    """Sends requests to one coordinator. Safe between threads; keeps its connections.

    `url` is the address in front of its `/health`; `key` may be None for requests without one.
    """

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        self.key = key
        self._has_answered = False
        self.is_reached = False
        """Whether a coordinator answered the latest request, even if with a refusal."""
        self._session = http_session(self.url, key)
        # All threads would share a cookie; the coordinator sets none that a node needs.
        self._session.cookies.set_policy(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, Any] | None = None,
        timeout_seconds: float = 20.0,
    ) -> Any:
        """Return the answer's JSON, None if it has no body. Raises as the module's head says."""
        json = to_jsonable_python(body, by_alias=True)
        with self._noting_reachability():
            response = self._send(method, path, timeout_seconds, json=json, params=query)
            if response.status == 204:
                return None
            try:
                answer = response.json()
            except ValueError as error:
                # A portal or a proxy in between, and most often only for a while.
                raise errors.DatabaseUnavailable(
                    f"{self.url} does not answer like a coordinator"
                ) from error
            self._has_answered = True
            return answer

    def audio(self, path: str, timeout_seconds: float = 60.0) -> bytes:
        """Return the bytes at a path. Raises as the module's head says."""
        with self._noting_reachability():
            return self._send("GET", path, timeout_seconds).body

    def close(self) -> None:
        self._session.close()

    def removal(self) -> errors.NodeRemoved:
        """Return the error of a node that the coordinator has removed, with what to do."""
        return errors.NodeRemoved(
            f"This node was removed from {self.url}. To join again: `stt node unregister`, then"
            " `stt node register`."
        )

    @contextlib.contextmanager
    def _noting_reachability(self) -> Iterator[None]:
        is_reached = True
        try:
            yield
        except errors.DatabaseUnavailable:
            is_reached = False
            raise
        finally:
            self.is_reached = is_reached

    def _send(self, method: str, path: str, timeout_seconds: float, **arguments: Any) -> Answer:
        try:
            answer = fetch(
                self._session,
                method,
                self.url + path,
                timeout=(min(_CONNECT_SECONDS, timeout_seconds), timeout_seconds),
                total_seconds=timeout_seconds * _MAX_WAITS,
                **arguments,
            )
        except UnreadableAnswer as error:
            raise errors.DatabaseUnavailable(
                f"{self.url} does not answer like a coordinator: {error}"
            ) from error
        except (requests.RequestException, HTTPError) as error:
            raise errors.DatabaseUnavailable(
                f"The coordinator at {self.url} does not answer ({reason_of(error)})"
            ) from error
        self._check(answer)
        return answer

    def _check(self, response: Answer) -> None:
        status = response.status
        if 200 <= status < 300:
            return
        code, reason = _error_of(response)
        message = f"The coordinator at {self.url} answered {status}: {reason}"
        if status == 401:
            what = "key" if self.key else "request"
            raise errors.KeyRejected(f"The coordinator at {self.url} refuses the {what}: {reason}")
        if status == 410 and code is not None:
            raise errors.NodeRemoved(reason)
        if status == 409 and code == "claim_lost":
            raise errors.ClaimLost(reason)
        if status == 409 and code == "audio_not_allowed":
            raise errors.AudioNotAllowed(reason)
        if status == 503 and code == "audio_store":
            raise errors.AudioStoreUnavailable(message)
        if status == 404 and code is not None:
            raise errors.NotFound(reason)
        if status in (413, 422):
            raise errors.DatabaseRefused(reason)
        if status == 429 or status >= 500:
            raise errors.DatabaseUnavailable(message)
        if 300 <= status < 400:
            target = response.headers.get("Location", "elsewhere")[:_MAX_MESSAGE_LENGTH]
            message = f"{self.url} redirects to {target}: use the address behind that"
        # A firewall may refuse results alone (403): to wait for its end would lose all of them.
        if code is None and status != 403 and self._has_answered:
            raise errors.DatabaseUnavailable(message)
        if status == 403 or code is None:
            raise errors.ConfigError(message)
        raise errors.SttError(reason)


def read_answer(form: TypeAdapter[M], answer: Any) -> M:
    """Return the answer as a message. Raises DatabaseUnavailable if it is of another form.

    Such an answer comes from something in between.
    """
    try:
        return form.validate_python(answer)
    except ValidationError as error:
        raise errors.DatabaseUnavailable("The coordinator's answer cannot be read") from error


def _error_of(response: Answer) -> tuple[str | None, str]:
    """Return the code and the message of an error; no code if no coordinator sent it."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        error = response.json()["error"]
        return str(error["code"]), str(error["message"])[:_MAX_MESSAGE_LENGTH]
    return None, response.text[:100].strip() or response.reason or "nothing more"
