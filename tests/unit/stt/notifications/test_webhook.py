"""Webhooks, sent to a real HTTP server."""

import base64
import hashlib
import hmac
import time
from typing import Any

import pytest

from stt.domain.notification import DeliveryFailure
from stt.notification_settings import secret_bytes
from stt.notifications import webhook
from stt.notifications.webhook import Webhook, signature
from tests.support.notifications import notification
from tests.support.raw_server import RawServer
from tests.support.webhook_receiver import HANG, Call, WebhookReceiver

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def deliver(destination: str, secret: str | None = None, **about: Any) -> DeliveryFailure | None:
    return Webhook.of(destination, secret).deliver(notification(**about), lambda: True)


def only_call(receiver: WebhookReceiver) -> Call:
    [call] = receiver.calls
    return call


def test_the_signature_is_that_of_standard_webhooks() -> None:
    """The reference vector of the specification's libraries."""
    signed = signature(
        secret_bytes(SECRET),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_can_verify_what_it_gets() -> None:
    with WebhookReceiver().running() as receiver:
        assert deliver(receiver.url, SECRET) is None
    call = only_call(receiver)
    assert call.path == "/hook/s3cret-path"
    assert call.json["type"] == "recording.done"
    assert call.headers["webhook-id"] == "evt_1"
    assert abs(int(call.headers["webhook-timestamp"]) - call.at) < 60
    content = f"evt_1.{call.headers['webhook-timestamp']}.".encode() + call.body
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    assert call.headers["webhook-signature"] == f"v1,{expected}"


def test_without_a_secret_nothing_is_signed() -> None:
    with WebhookReceiver().running() as receiver:
        assert deliver(receiver.url) is None
    assert "webhook-signature" not in only_call(receiver).headers


@pytest.mark.parametrize("status", [201, 204])
def test_any_success_is_one(status: int) -> None:
    with WebhookReceiver(status).running() as receiver:
        assert deliver(receiver.url) is None


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_other_answers_are_failures(status: int) -> None:
    with WebhookReceiver(status).running() as receiver:
        assert deliver(receiver.url) == DeliveryFailure(f"HTTP {status}")


def test_a_receiver_says_when_to_come_back_and_when_never() -> None:
    with WebhookReceiver(503, headers={"Retry-After": "120"}).running() as receiver:
        assert deliver(receiver.url) == DeliveryFailure("HTTP 503", 120.0)
    with WebhookReceiver(410).running() as receiver:
        assert deliver(receiver.url) == DeliveryFailure("HTTP 410", is_final=True)


def test_a_redirect_is_not_followed() -> None:
    """It would lead the request, and its signature, wherever the receiver likes."""
    with WebhookReceiver().running() as other:
        headers = {"Location": other.url}
        with WebhookReceiver(307, headers=headers).running() as receiver:
            assert deliver(receiver.url) == DeliveryFailure("HTTP 307")
    assert other.calls == []


def test_a_receiver_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_TOTAL_SECONDS", 0.5)
    with WebhookReceiver(HANG).running() as receiver:
        assert deliver(receiver.url) == DeliveryFailure("no answer in time")


def test_a_receiver_that_drips_its_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "_TOTAL_SECONDS", 0.5)
    answer = [b"HTTP/1.1 200 OK\r\nX-Slow: ", *[b"x"] * 1_000]
    with RawServer(answer, pause_seconds=0.1).running() as server:
        began = time.monotonic()
        failure = deliver(f"{server.url}/hook")
    assert failure == DeliveryFailure("no answer in time")
    assert time.monotonic() - began < 30


def test_a_receiver_that_is_away_is_a_failure_that_repeats_no_secret() -> None:
    with WebhookReceiver().running() as receiver:
        url = receiver.url
    failure = deliver(url.replace("http://", "http://me:hunter2@"))
    assert failure is not None
    assert not any(secret in failure.reason for secret in ("s3cret-path", "hunter2", "me:"))


def test_its_name_and_key_hold_no_secret() -> None:
    hook = Webhook.of("https://me:hunter2@hooks.example:444/s3cret?token=t0ken", SECRET)
    assert hook.name == "hooks.example:444"
    for shown in (hook.name, hook.key, repr(hook)):
        assert not any(secret in shown for secret in ("hunter2", "s3cret", "t0ken", SECRET[6:]))
    assert hook.key != Webhook.of("https://hooks.example:444/other").key


def test_a_password_in_the_url_is_sent_as_one() -> None:
    with WebhookReceiver().running() as receiver:
        assert deliver(receiver.url.replace("http://", "http://:tk_1@")) is None
    expected = base64.b64encode(b":tk_1").decode()
    assert only_call(receiver).headers["authorization"] == f"Basic {expected}"


def test_ntfy_gets_its_own_json_at_the_root() -> None:
    with WebhookReceiver().running() as receiver:
        url = receiver.url.replace("/hook/s3cret-path", "/talks")
        about = {"name": "Gespräch.mp3", "url": "https://stt.example/recordings/1"}
        assert deliver(f"ntfy+{url}", **about) is None
    call = only_call(receiver)
    assert call.path == "/"
    assert call.json == {
        "topic": "talks",
        "title": "Done: Gespräch.mp3",
        "message": "Gespräch.mp3 (1 min) is transcribed.",
        "tags": ["white_check_mark"],
        "priority": 3,
        "click": "https://stt.example/recordings/1",
    }


def test_slack_reads_no_mention_in_a_name() -> None:
    with WebhookReceiver().running() as receiver:
        assert deliver(f"slack+{receiver.url}", name="<!channel> & co.mp3") is None
    text = only_call(receiver).json["text"]
    assert text.startswith("Done: &lt;!channel&gt; &amp; co.mp3\n")
