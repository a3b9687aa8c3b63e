"""Loading the model."""

import pytest
import requests

from tests.support.pace import until
from tests.support.whisper_stand_in import StandInEngine, error_of, running
from whisper_server.errors import ModelUnavailable


def test_while_the_model_loads_only_health_is_well() -> None:
    with running(loaded=False) as server:
        assert requests.get(server.url + "/health", timeout=60).json()["status"] == "ok"
        for response in (requests.get(server.url + "/ready", timeout=60), server.post()):
            assert (response.status_code, error_of(response)["code"]) == (503, "model_loading")
            assert int(response.headers["Retry-After"]) >= 1
        server.engine.go.set()
        server.engine.may_load.set()
        until(lambda: requests.get(server.url + "/ready", timeout=60).ok)
        assert server.post().ok


@pytest.mark.parametrize("failure", [ModelUnavailable("no such model"), KeyError("surprise")])
def test_a_model_that_cannot_be_loaded_ends_the_server(failure: Exception) -> None:
    with running(StandInEngine(load_failure=failure), loaded=False) as server:
        server.engine.may_load.set()
        assert server.load_failed.wait(60)
        assert server.service.failure is not None
        assert requests.get(server.url + "/ready", timeout=60).status_code == 503
