"""The list of models."""

import requests

from tests.support.whisper_stand_in import Running, error_of


def test_the_loaded_model_comes_first_in_the_list(open_server: Running) -> None:
    body = requests.get(open_server.url + "/v1/models", timeout=60).json()
    assert body["object"] == "list"
    assert (body["data"][0]["id"], body["data"][0]["loaded"]) == ("base", True)
    assert {"tiny.en", "large-v3-turbo"} <= {model["id"] for model in body["data"][1:]}
    one = requests.get(open_server.url + "/v1/models/whisper-1", timeout=60)
    assert one.json() == body["data"][0]
    other = requests.get(open_server.url + "/v1/models/some/other", timeout=60)
    assert (other.status_code, error_of(other)["code"]) == (404, "model_not_found")
