"""Headers of every response."""

import re

from tests.support.coordinator_app import CoordinatorThread


def test_every_answer_tells_the_browser_to_run_nothing_foreign(
    fresh_coordinator: CoordinatorThread,
) -> None:
    async def broken() -> None:
        raise RuntimeError

    fresh_coordinator.app.add_api_route("/broken", broken)
    with fresh_coordinator.person() as person, fresh_coordinator.anonymous() as anonymous:
        answers = {
            200: person.get("/api/session"),
            204: person.post("/logout"),
            401: anonymous.get("/api/session"),
            404: person.get("/nothing"),
            405: person.delete("/health"),
            413: anonymous.post("/login", data=b"x" * 70_000),
            422: person.patch("/api/options", json=[]),
            500: person.get("/broken"),
        }
    for status, answer in answers.items():
        assert answer.status_code == status
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert re.fullmatch("[0-9a-f]{16}", answer.headers["X-Request-ID"])
        if status >= 400:
            assert set(answer.json()["error"]) == {"code", "message"}
        else:
            assert "error" not in answer.text
