"""The folder for what can be made again: measured shapes, joined weights."""

import tempfile
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return our folder in the user's cache, as the platform has it; it may not exist yet."""
    try:
        return platformdirs.user_cache_path("stt", appauthor=False, opinion=False)
    except RuntimeError:  # a container may run as a user without a home
        return Path(tempfile.gettempdir()) / "stt"
