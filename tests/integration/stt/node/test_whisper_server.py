"""A whisper server of the node: tested, checked, and known to be gone."""

import pytest

from stt.errors import SttError
from stt.node.whisper_server import WhisperServer
from stt.settings import Settings
from tests.support.scripted_server import Answer, ScriptedServer, always


def test_a_server_of_ones_own_that_is_silent_is_gone() -> None:
    def is_gone(server: WhisperServer) -> bool:
        server.check()
        return server.is_gone

    with ScriptedServer(always()).running() as server:
        settings = Settings(server_urls=(server.url,))
        own = WhisperServer(settings, is_own=True)
        assert not any(is_gone(own) for _ in range(4))
        assert own.test(5).startswith("Transcribed a short recording")
        server.canary = Answer(500)
        with pytest.raises(SttError):
            own.test(5)
    assert [is_gone(own) for _ in range(3)] == [False, False, True]
    other = WhisperServer(settings, is_own=False)
    assert not any(is_gone(other) for _ in range(4))
