"""The names under which transcripts of a model are stored."""

from pathlib import Path

ALIASES = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""Short names of the whisper server, which answers with the long ones (a test compares them)."""

ANY_MODEL = "whisper-1"
"""The model name that OpenAI-compatible servers accept for whatever model they have loaded."""


def stored_names(wanted: str) -> frozenset[str]:
    """Return the names that a server may give the model that a person wants; a folder has its own.

    Empty if any model is meant.
    """
    if wanted == ANY_MODEL:
        return frozenset()
    folder = Path(wanted).expanduser()
    named = {folder.resolve().name} if folder.is_dir() else set()
    return frozenset({wanted, ALIASES.get(wanted, wanted), *named})
