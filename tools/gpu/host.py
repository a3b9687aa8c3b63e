"""Our server with a model that says at once what it is given: all but the card at work.

    python -m tools.gpu.host --model FOLDER ...      the flags are those of whisper-server

Its speed is how much audio the server could read, cut, turn into spectrograms and answer for, if
decoding took no time: the most that a card can be given.
"""

import sys
from collections.abc import Sequence

from whisper_server import __main__ as command
from whisper_server.engines.base import AlignedWord, WindowInput, WindowResult
from whisper_server.engines.faster_whisper import FasterWhisperEngine

WORDS_PER_SECOND = 2.5
WORDS = ("the", "time", "has", "come", "for", "people", "who", "speak", "about", "things")


class InstantEngine(FasterWhisperEngine):
    """The real engine, whose `decode` makes up words, evenly spread."""

    decodes_on_cpu = False

    def decode(self, windows: Sequence[WindowInput]) -> list[WindowResult]:
        return [
            WindowResult("en", _words(window.seconds), window.temperature) for window in windows
        ]


def _words(seconds: float) -> tuple[AlignedWord, ...]:
    count = max(1, round(seconds * WORDS_PER_SECOND))
    length = seconds / count
    return tuple(
        AlignedWord(
            f" {WORDS[index * index % 7 % len(WORDS)]}{index}",
            (index + 1000,),
            index * length,
            (index + 1) * length,
            0.9,
        )
        for index in range(count)
    )


def main() -> int:
    """Returns the exit code."""
    from whisper_server.engines import faster_whisper

    faster_whisper.FasterWhisperEngine = InstantEngine  # type: ignore[misc]
    return command.main()


if __name__ == "__main__":
    sys.exit(main())
