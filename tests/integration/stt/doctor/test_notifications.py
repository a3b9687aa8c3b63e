"""Where notifications go, as `stt doctor` shows it."""

import pytest

from stt.doctor.database import database_findings
from stt.doctor.notifications import webhook_findings
from stt.local.place import DatabasePlace
from stt.settings import load_settings
from stt.store.database import Database

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(
    ("url", "secret", "state", "text"),
    [
        ("https://hooks.example.org/s3cret", SECRET, "ok", "hooks.example.org is notified"),
        ("https://hooks.example.org/s3cret", None, "warning", "not signed"),
        ("ntfy+https://ntfy.sh/s3cret", None, "ok", "ntfy.sh is notified"),
        ("http://hooks.example.org/s3cret", SECRET, "warning", "without TLS"),
        ("http://127.0.0.1:9/s3cret", SECRET, "ok", "127.0.0.1:9 is notified"),
    ],
)
def test_webhooks_are_described_and_not_called(
    url: str, secret: str | None, state: str, text: str
) -> None:
    [found] = webhook_findings(load_settings(on_done=url, on_done_secret=secret))
    assert found.state == state
    assert text in found.message
    assert "s3cret" not in f"{found.message}{found.advice}"


def test_without_webhooks_nothing_is_said() -> None:
    assert list(webhook_findings(load_settings())) == []


@pytest.mark.parametrize(
    ("destination", "document", "expected"),
    [
        (
            {"since": True},
            {"ended_at": True, "outcome": "given up", "errors": [{"message": "HTTP 404"}]},
            "1 to hooks.example given up in 7 days: HTTP 404",
        ),
        ({}, {"ended_at": None}, "1 wait for hooks.example, and no process delivers them"),
        (
            {"since": True},
            {"ended_at": None, "errors": [{"message": "HTTP 500"}]},
            "1 wait for hooks.example: HTTP 500",
        ),
        ({"since": True}, {"ended_at": None}, None),
    ],
)
def test_what_was_not_delivered_is_a_warning(
    database: Database,
    mongo_url: str,
    destination: dict[str, object],
    document: dict[str, object],
    expected: str | None,
) -> None:
    now = database.server_time()

    def timed(fields: dict[str, object]) -> dict[str, object]:
        return {name: now if value is True else value for name, value in fields.items()}

    database.destinations.insert_one(
        {"_id": "webhook:1", "name": "hooks.example", **timed(destination)}
    )
    database.notifications.insert_one({"destination": "webhook:1", **timed(document)})
    place = DatabasePlace("here", mongo_url)
    findings = database_findings(place, database.chunks.database.name, 60.0)
    found = [one.message for one in findings if one.check == "notifications"]
    assert found == ([expected] if expected else [])
