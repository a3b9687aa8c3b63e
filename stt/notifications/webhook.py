"""Webhooks: an event in one HTTP request, signed as Standard Webhooks has it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError

import stt
from stt.domain.notification import DeliveryFailure, Notification
from stt.notification_settings import Form, secret_bytes, split_form
from stt.notifications.message import message_of
from stt.system.http import fetch, http_session, reason_of

_CONNECT_SECONDS = 5.0
_TOTAL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Webhook:
    """A URL that takes events in one form. `secret`: what requests are signed with, if anything."""

    form: Form
    url: str = field(repr=False)
    secret: bytes | None = field(default=None, repr=False)
    rests: bool = True

    @classmethod
    def of(cls, destination: str, secret: str | None = None) -> "Webhook":
        form, url = split_form(destination)
        return cls(form, url, secret_bytes(secret) if secret else None)

    @property
    def key(self) -> str:
        """A hash: the path of a URL is often its password."""
        return "webhook:" + hashlib.sha256(f"{self.form}+{self.url}".encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        return f"{host}:{parts.port}" if parts.port else host

    def deliver(
        self, notification: Notification, hold: Callable[[], bool]
    ) -> DeliveryFailure | None:
        """Make the request; return why it failed, None if its answer is a 2xx.

        It takes ten seconds at most, whatever the server does, and follows no redirect. `hold` is
        not called.
        """
        url, body = self._request(notification)
        content = json.dumps(body).encode() if body is not None else notification.body.encode()
        try:
            with http_session(url) as session:
                answer = fetch(
                    session,
                    "POST",
                    url,
                    timeout=(_CONNECT_SECONDS, _TOTAL_SECONDS),
                    total_seconds=_TOTAL_SECONDS,
                    reads_body=False,
                    data=content,
                    headers=self._headers(notification.event_id, content),
                )
        except (requests.RequestException, HTTPError) as error:
            return DeliveryFailure(self._without_secrets(reason_of(error)))
        if HTTPStatus(200) <= answer.status < HTTPStatus(300):
            return None
        return DeliveryFailure(
            f"HTTP {answer.status}",
            _retry_after(answer.headers),
            is_final=answer.status == HTTPStatus.GONE,
        )

    def _request(self, notification: Notification) -> tuple[str, Mapping[str, Any] | None]:
        """Return the URL to call, and the body if it is not the event itself."""
        if self.form == "ntfy":
            return _ntfy(self.url, notification)
        if self.form == "slack":
            return self.url, _slack(notification)
        return self.url, None

    def _headers(self, event_id: str, content: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"stt/{stt.__version__}",
            "webhook-id": event_id,
            "webhook-timestamp": str(int(time.time())),
        }
        if self.secret is not None:
            timestamp = headers["webhook-timestamp"]
            headers["webhook-signature"] = signature(self.secret, event_id, timestamp, content)
        return headers

    def _without_secrets(self, reason: str) -> str:
        """Return the reason, unless it repeats a part of the URL that may be a password."""
        parts = urlsplit(self.url)
        secrets = (parts.path.strip("/"), parts.query, parts.password or "")
        if any(secret and secret in reason for secret in secrets):
            return "the request could not be made"
        return reason


def signature(secret: bytes, event_id: str, timestamp: str, content: bytes) -> str:
    """Return the value of the header `webhook-signature`."""
    signed = f"{event_id}.{timestamp}.".encode() + content
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _ntfy(url: str, notification: Notification) -> tuple[str, Mapping[str, Any]]:
    """Return what publishes to a topic: JSON to the server's root, for headers hold no UTF-8."""
    message, parts = message_of(notification.body), urlsplit(url)
    body: dict[str, Any] = {
        "topic": parts.path.strip("/"),
        "title": message.title,
        "message": message.text,
        "tags": ["warning" if message.is_failure else "white_check_mark"],
        "priority": 4 if message.is_failure else 3,
    }
    if message.url:
        body["click"] = message.url
    return urlunsplit(parts._replace(path="/")), body


def _slack(notification: Notification) -> Mapping[str, Any]:
    """Return the text; what Slack reads as a mention or a link is escaped."""
    message = message_of(notification.body)
    text = f"{message.title}\n{message.text}"
    for sign, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, escaped)
    return {"text": f"{text}\n{message.url}" if message.url else text}


def _retry_after(headers: Mapping[str, str]) -> float:
    with suppress(ValueError):
        return float(int(headers.get("Retry-After", "0")))
    return 0.0
