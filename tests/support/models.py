"""Real weights for tests: names for `--model`."""

import os
from functools import cache
from pathlib import Path

from tests.support.mongo_process import missing
from whisper_server.model_packages import PACKAGES, installed_folder, is_installed


def sample_model() -> str:
    """Return the small English model, or the folder in STT_TEST_WHISPER_MODEL."""
    if folder := os.environ.get("STT_TEST_WHISPER_MODEL"):
        return folder
    _require("tiny.en", "make .venv/.stt-dev")
    return "tiny.en"


def sample_folder() -> Path:
    """Return the folder of the small English model."""
    name = sample_model()
    return installed_folder(name) or Path(name)


@cache
def base_model() -> str:
    """Return the multilingual model, for tests marked `words`.

    It is a folder: servers of tests have caches of their own, and would join its parts each time.
    """
    _require("base", "make .venv/.stt-all")
    return str(installed_folder("base"))


def _require(name: str, command: str) -> None:
    if not is_installed(name):
        missing(f"the model {name}: {PACKAGES[name].install}, in a checkout {command}")
