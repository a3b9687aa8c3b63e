"""Errors of the libraries that engines wrap, as errors of this package."""

import logging
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from whisper_server.engines.download import download
from whisper_server.errors import EngineFailed, ModelUnavailable, OutOfMemory

_OUT_OF_MEMORY = (
    "out of memory", "outofmemory", "insufficient memory", "alloc_failed", "bad_alloc",
    "bad allocation", "unable to allocate", "attempting to allocate",
)  # fmt: skip
"""Parts of the messages of CUDA, cuBLAS, Metal, mlx and C++, in lower case."""

logger = logging.getLogger(__name__)


def engine_failure(error: Exception, library: str) -> EngineFailed:
    """Return the error of this package for a library's error.

    The frames behind it hold a batch on the device: they are cleared here.
    """
    traceback.clear_frames(error.__traceback__)
    message = str(error).lower()
    if isinstance(error, MemoryError) or any(sign in message for sign in _OUT_OF_MEMORY):
        return OutOfMemory(f"the device is out of memory: {first_line(error)}")
    return EngineFailed(f"{library} failed: {first_line(error)}")


def fetch_model(
    name: str,
    repository: str,
    files: list[str],
    is_complete: Callable[[Path], bool],
    cache: Path | None,
    installed: Callable[[], Path | None] = lambda: None,
    ways: Sequence[str] = (),
) -> Path:
    """Return the folder of a model: out of the hub's cache, `installed`, or fetched from the hub.

    `ways` lead to a model without the hub, for the error. Raises ModelUnavailable.
    """
    from huggingface_hub import snapshot_download  # half a second of work

    def fetch(*, from_cache: bool, bar: type[Any] | None = None) -> Path:
        folder = snapshot_download(
            repository,
            cache_dir=cache,
            allow_patterns=files,
            local_files_only=from_cache,
            tqdm_class=bar,
        )
        if not is_complete(Path(folder)):
            raise FileNotFoundError(f"it lacks files of {', '.join(files)}")
        return Path(folder)

    # Not to be in the cache has no common base among the errors of the hub's client.
    with suppress(Exception):
        return fetch(from_cache=True)
    if folder := installed():
        return folder
    logger.info("Fetching model %s from the Hugging Face hub", repository)
    try:
        with download.of(repository) as bar:
            return fetch(from_cache=False, bar=bar)
    except Exception as error:
        reason, _, _ = first_line(error).partition(". ")
        out = "; ".join([*ways, "give a folder with --model FOLDER"])
        raise ModelUnavailable(
            f"Model '{name}' is not on this machine and cannot be fetched from the Hugging Face "
            f"hub as {repository} ({reason}). {out[0].upper()}{out[1:]}; or check the network and "
            f"the name: 'whisper-server download {name}' fetches it."
        ) from error


def first_line(error: Exception) -> str:
    """Return the first line of an error's message without its full stop, else its class."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
