"""A background thread that removes the audio of recordings that were finished long ago."""

import logging
import threading

from stt.coordinator.context import Coordinator
from stt.errors import SttError
from stt.store.recording_names import full_path
from stt.store.retention import remove_audio

logger = logging.getLogger(__name__)

_EVERY_SECONDS = 3_600.0


def start_audio_retention(coordinator: Coordinator) -> None:
    """Start the thread if STT_KEEP_AUDIO is set; it ends with `coordinator.closing`.

    Any number of coordinators may run one.
    """
    if coordinator.settings.keep_audio is not None:
        run = threading.Thread(
            target=_run,
            args=(coordinator, coordinator.settings.keep_audio),
            name="audio retention",
            daemon=True,
        )
        run.start()


def _run(coordinator: Coordinator, keep_seconds: float) -> None:
    wait_seconds = 0.0
    while not coordinator.closing.wait(wait_seconds):
        wait_seconds = min(_EVERY_SECONDS, keep_seconds)
        try:
            for removed in remove_audio(coordinator.database, keep_seconds):
                logger.info("audio of %s removed", full_path(removed.recording))
                if coordinator.closing.is_set():
                    return
        except SttError as error:
            if not coordinator.closing.is_set():
                logger.warning("audio is not removed: %s", error)
        except Exception:  # the next round must come
            logger.exception("audio retention")
