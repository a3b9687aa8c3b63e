"""Whether the whisper servers that are set answer, before there is work for them."""

import logging
import threading

from stt.errors import ServerBusy, ServerUnavailable
from stt.settings import Settings

logger = logging.getLogger(__name__)


def warn_of_absent_servers(settings: Settings) -> list[threading.Thread]:
    """Begin to ask each server that is set, and log a warning about one that does not answer.

    Return the threads, which end within seconds. The work begins all the same: the server may come.
    """
    threads = [
        threading.Thread(target=_warn, args=(url, settings), name="first check", daemon=True)
        for url in settings.server_urls
    ]
    for thread in threads:
        thread.start()
    return threads


def _warn(url: str, settings: Settings) -> None:
    # Import it here: it imports HTTP libraries, and the command need not wait for that.
    from stt.whisper.client import WhisperClient
    from stt.whisper.pool import FIRST_CHECK_SECONDS

    try:
        WhisperClient(url, None, None).ready(FIRST_CHECK_SECONDS)
    except ServerBusy:
        pass
    except ServerUnavailable as error:
        minutes = settings.server_unreachable_minutes
        logger.warning(
            "%s; it is waited for, %g min at most (--server-unreachable-minutes)",
            error,
            minutes,
            extra={"server": url},
        )
