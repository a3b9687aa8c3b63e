"""The application: unknown paths, and errors as statuses."""

import pytest
import requests

from tests.support.pace import until
from tests.support.whisper_stand_in import TRANSCRIPTIONS, Running, StandInEngine, error_of, running
from whisper_server.errors import EngineFailed


def test_unknown_paths_and_methods_keep_the_shape(open_server: Running) -> None:
    nowhere = requests.get(open_server.url + "/v2/nothing", timeout=60)
    assert (nowhere.status_code, error_of(nowhere)["code"]) == (404, "not_found")
    wrong = requests.get(open_server.url + TRANSCRIPTIONS, timeout=60)
    assert (wrong.status_code, error_of(wrong)["code"]) == (405, "method_not_allowed")
    assert wrong.headers["Allow"] == "POST"
    for path, allowed in (("/jobs", "GET, POST"), ("/jobs/x", "DELETE, GET")):
        wrong = requests.put(open_server.url + path, timeout=60)
        assert (wrong.status_code, wrong.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize("failure", [EngineFailed("CUDA out of memory"), KeyError("/secret/path")])
def test_a_fault_inside_tells_the_log_not_the_client(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    with running(StandInEngine(failure=failure)) as server:
        response = server.post()
        assert (response.status_code, error_of(response)["type"]) == (500, "server_error")
        assert "secret" not in response.text
        assert "CUDA" not in response.text
        until(lambda: str(failure) in caplog.text)
        server.engine.failure = None
        assert server.post().ok
