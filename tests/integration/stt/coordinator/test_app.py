"""Errors of every kind as answers: unknown addresses and methods, wrong values, faults inside."""

import json
import re

import pytest

from tests.support.coordinator_app import CoordinatorThread, KeyedSession


def test_an_unknown_address_says_so(person: KeyedSession) -> None:
    answer = person.get("/nothing/at/all")
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"code": "not_found", "message": "There is nothing at this address."}
    }


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/health", "GET, HEAD"),
        ("PUT", "/api/options", "GET, PATCH"),
        ("POST", "/api/recordings/6903ce2e3006e94c81d59b3f", "DELETE, GET, PATCH"),
    ],
)
def test_a_wrong_method_names_those_of_all_routes_of_the_address(
    person: KeyedSession, method: str, path: str, allowed: str
) -> None:
    answer = person.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    assert answer.json()["error"]["code"] == "method_not_allowed"


def test_a_wrong_value_is_named_and_never_repeated(person: KeyedSession) -> None:
    answer = person.get("/tasks?limit=a-secret-value&cursor=also-secret")
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid"
    assert "limit: " in answer.json()["error"]["message"]
    assert "cursor: " in answer.json()["error"]["message"]
    assert "secret" not in answer.text


def test_of_many_faults_the_first_are_named(person: KeyedSession) -> None:
    body = json.dumps({"worker_id": [], "chunk_id": "x" * 10_000, "claim_id": 5, "transcript": 7})
    message = person.post("/tasks/complete", data=body).json()["error"]["message"]
    assert message.count(";") <= 4
    assert len(message) <= 1_000


def test_a_fault_inside_tells_its_request_and_nothing_else(
    fresh_coordinator: CoordinatorThread, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise RuntimeError("/secret/path")

    fresh_coordinator.app.add_api_route("/broken", broken)
    with fresh_coordinator.person() as person:
        answer = person.get("/broken")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    request_id = answer.headers["X-Request-ID"]
    assert re.search(f"at request {request_id}", answer.json()["error"]["message"])
    assert "secret" not in answer.text
