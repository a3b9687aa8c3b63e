"""Why a message of a node is refused, in the few bytes that a close frame has."""

import pytest
from pydantic import ValidationError
from pydantic_core import from_json

from stt.coordinator.live.node_socket import _Progress, _reason

MAX_REASON_BYTES = 123


def error_of(message: str) -> ValueError:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  every one closes the socket
        _Progress.model_validate(from_json(message))
    return caught.value


def test_what_is_no_json_says_so() -> None:
    assert _reason(error_of("{")) == "a message is not JSON"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("{}", "jobs: Field required"),
        ('{"jobs": [{"chunk_ids": 7}]}', "jobs.0.chunk_ids: "),
        ('{"jobs": [{"chunk_ids": [], "seconds": "long"}]}', "jobs.0.seconds: "),
    ],
)
def test_a_wrong_field_is_named_without_its_value(message: str, reason: str) -> None:
    error = error_of(message)
    assert isinstance(error, ValidationError)
    assert _reason(error).startswith(reason)


def test_a_reason_fits_into_a_close_frame_whatever_the_node_sent() -> None:
    long = '{"jobs": [{"chunk_ids": ["' + "ä" * 5_000 + '"]}]}'
    assert len(_reason(error_of(long)).encode()) <= MAX_REASON_BYTES
