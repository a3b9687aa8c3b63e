"""The process of a local whisper server."""

from pathlib import Path

import pytest

from stt.errors import ConfigError
from stt.local.whisper_server import local_server


def test_a_model_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with (
        pytest.raises(
            ConfigError, match=r"local whisper server did not start: .*no-such"
        ) as raised,
        local_server(str(tmp_path / "no-such")),
    ):
        pass
    assert "\n" not in str(raised.value)
