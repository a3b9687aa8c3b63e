"""Statuses, codes and headers of the errors that clients see."""

from collections.abc import Iterator

import pytest

from whisper_server.errors import (
    ApiError,
    ClientGone,
    EngineFailed,
    ForeignHost,
    ForeignPage,
    InvalidAudio,
    InvalidRequest,
    ModelUnavailable,
    OutOfMemory,
    RequestTimeout,
    ServerFault,
    ShuttingDown,
    StartError,
    TooLarge,
    TooManyWrongKeys,
    Unavailable,
    UnknownJob,
    UnknownModel,
    UploadStalled,
    WhisperServerError,
    WrongKey,
)


@pytest.mark.parametrize(
    ("error", "status", "kind", "code"),
    [
        (InvalidRequest("?"), 400, "invalid_request_error", "invalid_value"),
        (InvalidAudio("?"), 400, "invalid_request_error", "invalid_audio"),
        (WrongKey("?"), 401, "invalid_request_error", "invalid_api_key"),
        (ForeignPage(), 403, "invalid_request_error", "foreign_page"),
        (ForeignHost("?"), 421, "invalid_request_error", "foreign_host"),
        (UnknownModel("?"), 404, "invalid_request_error", "model_not_found"),
        (UnknownJob("?"), 404, "invalid_request_error", "job_not_found"),
        (UploadStalled("?"), 408, "invalid_request_error", "upload_stalled"),
        (TooLarge("?"), 413, "invalid_request_error", "file_too_large"),
        (TooManyWrongKeys(2), 429, "invalid_request_error", "too_many_wrong_keys"),
        (ClientGone("?"), 499, "invalid_request_error", None),
        (ServerFault(), 500, "server_error", "server_error"),
        (Unavailable("?", 7), 503, "server_error", "unavailable"),
        (ShuttingDown(), 503, "server_error", "shutting_down"),
        (RequestTimeout("?"), 504, "server_error", "timeout"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_has_its_status_type_and_code(
    error: ApiError, status: int, kind: str, code: str | None
) -> None:
    assert (error.status, error.type, error.code) == (status, kind, code)


def test_a_more_exact_code_and_the_parameter_can_be_given() -> None:
    error = InvalidRequest("no file", param="file", code="missing_file")
    assert (error.param, error.code, str(error)) == ("file", "missing_file", "no file")


def test_errors_that_pass_say_when_to_try_again() -> None:
    assert Unavailable("full", 12, code="queue_full").headers == {"Retry-After": "12"}
    assert int(ShuttingDown().headers["Retry-After"]) > 0
    assert WrongKey("?").headers == {"WWW-Authenticate": "Bearer"}
    assert InvalidRequest("?").headers == {}


def test_a_host_is_repeated_as_far_as_it_is_a_name() -> None:
    message = str(ForeignHost("evil\r\n\u202e.example" + "x" * 500))
    assert "'evil.example" in message
    assert "'gpu-box'" in str(ForeignHost("gpu-box:8081"))  # as ALLOWED_HOSTS takes it
    assert message.isprintable()
    assert len(message) < 300


def subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def test_the_message_of_a_fault_inside_says_nothing_of_it() -> None:
    assert str(ServerFault()) == "The server failed; its log says why."


def test_what_keeps_the_server_from_starting_ends_it_with_3() -> None:
    assert issubclass(ModelUnavailable, StartError)
    assert ModelUnavailable("?").exit_code == 3


def test_memory_that_ran_out_is_an_engine_that_failed_and_no_answer_by_itself() -> None:
    assert issubclass(OutOfMemory, EngineFailed)
    kinds = set(subclasses(WhisperServerError))
    assert {
        kind for kind in kinds if issubclass(kind, ApiError) and issubclass(kind, EngineFailed)
    } == set()
