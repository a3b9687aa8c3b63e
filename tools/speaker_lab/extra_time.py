"""How much longer a transcription takes with speakers than without, from the same server."""

import time
from collections.abc import Iterator
from pathlib import Path

import requests

from stt.media.audio import Samples, encode_flac
from tools.chaos_lab.folders import Folders
from tools.chaos_lab.processes import http_server

_CALL_SECONDS = 3_600.0


def measure(
    samples: Samples, folder: Path, model: str, pairs: int
) -> Iterator[tuple[float, float]]:
    """Yield the seconds without speakers and with them, pair after pair.

    Which of the two comes first changes from pair to pair. Raises RuntimeError if the server does
    not start, and requests.RequestException if it does not transcribe.
    """
    folders = Folders(folder)
    folders.make()
    audio = encode_flac(samples)
    arguments = ["--model", model, "--speakers", "true"]
    server = http_server(
        "whisper", "whisper_server", arguments, folders.logs, {"HF_HUB_OFFLINE": "1"}
    )
    try:
        server.start()
        server.wait()
        url = f"http://127.0.0.1:{server.port}/v1/audio/transcriptions"
        _call(url, audio, with_speakers=True)  # loads what is loaded once
        for number in range(pairs):
            order = (False, True) if number % 2 else (True, False)
            taken = {with_speakers: _call(url, audio, with_speakers) for with_speakers in order}
            yield taken[False], taken[True]
    finally:
        server.close()


def _call(url: str, audio: bytes, with_speakers: bool) -> float:
    form = {"response_format": "verbose_json", "speakers": str(with_speakers).lower()}
    with requests.Session() as session:
        session.trust_env = False
        began = time.monotonic()
        answer = session.post(url, data=form, files={"file": audio}, timeout=_CALL_SECONDS)
        answer.raise_for_status()
        return time.monotonic() - began
