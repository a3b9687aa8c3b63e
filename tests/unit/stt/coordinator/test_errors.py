"""Errors as statuses, in one body for all."""

import json
from collections.abc import Iterator

import pytest

from stt.coordinator.errors import (
    ApiError,
    BadRequest,
    Forbidden,
    OutOfSpace,
    TooMany,
    Unauthorized,
    error_response,
)
from stt.coordinator.store.options import OptionLocked
from stt.errors import (
    Ambiguous,
    BadAudio,
    ClaimLost,
    ConfigError,
    DatabaseRefused,
    DatabaseUnavailable,
    KeyRejected,
    NodeRemoved,
    NotFound,
    RecordingError,
    SttError,
)
from stt.store.search import SearchTooSlow
from stt.store.search_query import BadQuery


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BadRequest("?"), 400, "bad_request"),
        (Unauthorized("?"), 401, "unauthorized"),
        (Forbidden("?"), 403, "forbidden"),
        (TooMany("?"), 429, "too_many"),
        (OutOfSpace("?"), 507, "out_of_space"),
        (NotFound("?"), 404, "not_found"),
        (BadAudio("?"), 404, "not_found"),
        (Ambiguous("?"), 409, "ambiguous"),
        (ClaimLost("?"), 409, "claim_lost"),
        (OptionLocked("?"), 409, "locked"),
        (NodeRemoved("?"), 410, "node_removed"),
        (ConfigError("?"), 422, "configuration"),
        (DatabaseRefused("?"), 422, "database_refused"),
        (RecordingError("?"), 422, "recording"),
        (BadQuery("?"), 422, "unprocessable"),
        (DatabaseUnavailable("?"), 503, "database_away"),
        (SearchTooSlow("?"), 503, "too_slow"),
        (SttError("?"), 500, "error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_has_its_status_and_code(
    error: ApiError | SttError, status: int, code: str
) -> None:
    response = error_response(error)
    assert response.status_code == status
    assert json.loads(bytes(response.body)) == {"error": {"code": code, "message": "?"}}


def subclasses(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def test_no_two_errors_of_the_api_share_a_status_or_a_code() -> None:
    kinds = [kind for kind in subclasses(ApiError) if kind.__module__ == ApiError.__module__]
    assert len({kind.status for kind in kinds}) == len(kinds)
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_a_code_may_be_more_exact_than_its_class() -> None:
    response = error_response(Forbidden("?", code="csrf"))
    assert (response.status_code, json.loads(bytes(response.body))["error"]["code"]) == (
        403,
        "csrf",
    )


def test_headers_go_with_the_errors_that_have_them() -> None:
    assert error_response(Unauthorized("?")).headers["WWW-Authenticate"] == "Bearer"
    assert error_response(DatabaseUnavailable("?")).headers["Retry-After"] == "2"
    assert error_response(TooMany("?", {"Retry-After": "7"})).headers["Retry-After"] == "7"
    assert "Retry-After" not in error_response(SearchTooSlow("?")).headers


def test_a_wrong_key_of_the_layers_below_is_no_server_error_of_its_own() -> None:
    """It is a ConfigError there; routes turn it into Unauthorized before it comes here."""
    assert error_response(KeyRejected("?")).status_code == 422
