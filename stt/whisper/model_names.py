"""The names of models: on this machine, in transcripts, and in what servers refuse."""

import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from stt.domain.chunk import SPEAKERS
from stt.errors import WrongFlag

ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""Short names of the whisper server, which answers with the long ones (a test compares them)."""

SIZES = (
    "tiny", "tiny.en", "base", "base.en", "small", "small.en", "medium", "medium.en",
    "large-v1", "large-v2", "large-v3", "large-v3-turbo",
    "distil-small.en", "distil-medium.en", "distil-large-v2", "distil-large-v3",
    "distil-large-v3.5",
)  # fmt: skip
"""Models that the whisper server knows by a short name (a test compares the two lists)."""

_HUB_ID = re.compile(r"(?!\.)[\w.-]+/[\w.-]+")

ANY_MODEL = "whisper-1"
"""The model name that OpenAI-compatible servers accept for whatever model they have loaded."""


def described(name: str) -> str:
    """Return how messages call what a recording wants of a server: a model, or speakers."""
    return name if name == SPEAKERS else f"model {name}"


def stored_names(wanted: str) -> frozenset[str]:
    """Return the names that a server may give the model that a person wants; a folder has its own.

    Empty if any model is meant.
    """
    if wanted == ANY_MODEL:
        return frozenset()
    folder = Path(wanted).expanduser()
    named = {folder.resolve().name} if folder.is_dir() else set()
    return frozenset({wanted, ALIASES.get(wanted, wanted), *named})


def check_local_model(wanted: str) -> None:
    """Raise WrongFlag for what a whisper server of this machine could not take for a model."""
    is_known = wanted in SIZES or wanted in ALIASES or _HUB_ID.fullmatch(wanted)
    if is_known or (wanted and Path(wanted).expanduser().is_dir()):
        return
    near = get_close_matches(wanted, (*SIZES, *ALIASES), n=3)
    raise WrongFlag(
        f"--model (STT_MODEL): no model {wanted!r}."
        + (f" Did you mean {' or '.join(near)}?" if near else "")
        + f" It is the path of a folder, an id like Systran/faster-whisper-base, or one of"
        f" {', '.join(SIZES)}."
    )


def is_about_model(status: int, error: Mapping[str, Any], model: str) -> bool:
    """Return whether the server refused the request for its model, which it may say in 3 ways."""
    if error.get("param") == "model" or error.get("code") == "model_not_found":
        return True
    return status == 404 and model in str(error.get("message"))
