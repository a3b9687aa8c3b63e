import pytest
import requests

from stt.errors import DatabaseUnavailable
from stt.system.http import http_session, reason_of
from tests.support.mongo_process import free_port


def failed_request() -> Exception:
    url = f"http://127.0.0.1:{free_port()}"
    with http_session(url) as session, pytest.raises(requests.RequestException) as failure:
        session.get(url)
    return failure.value


def test_the_reason_is_the_system_s_own_word() -> None:
    assert reason_of(failed_request()) == "Connection refused"
    assert reason_of(requests.ReadTimeout("HTTPConnectionPool(...)")) == "no answer in time"


def test_a_reason_is_not_that_of_an_error_that_was_handled_meanwhile() -> None:
    error, earlier = requests.ConnectionError("cut off"), DatabaseUnavailable("an hour ago")
    error.__context__, earlier.__cause__ = earlier, OSError(1, "something else")
    assert reason_of(error) == "cut off"


def test_an_error_that_causes_itself_has_a_reason() -> None:
    outer, inner = requests.ConnectionError("outer"), ValueError("inner")
    outer.__context__, inner.__cause__ = inner, outer
    assert reason_of(outer) == "inner"
