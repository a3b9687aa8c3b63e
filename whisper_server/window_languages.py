"""The languages of a recording's windows: encoded windows in, windows of one language out."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from whisper_server.audio_windows import Window
from whisper_server.engines.base import EncodedWindow
from whisper_server.language_path import LanguagePath


@dataclass(frozen=True)
class DecidedWindow:
    """A window whose language is known; `sound` if it is encoded already.

    `probs`: the mean probability of each language, where the language was found.
    """

    window: Window
    language: str | None
    sound: Any = None
    probs: Mapping[str, float] = field(default_factory=dict)


class WindowLanguages:
    """Windows on their way from the encoder to the decoder, in their order; not thread-safe."""

    def __init__(self) -> None:
        self._path = LanguagePath()
        self._expected = 0
        self._encoded: dict[int, tuple[Window, EncodedWindow]] = {}
        self._undecided: deque[tuple[Window, EncodedWindow]] = deque()
        self._added = 0

    @property
    def waiting(self) -> int:
        """How many windows are being encoded or have no language yet."""
        return self._expected - self._added + len(self._undecided)

    def expect(self) -> int:
        """Return the number of the next window, which is to be encoded."""
        self._expected += 1
        return self._expected - 1

    def add(self, number: int, window: Window, encoded: EncodedWindow) -> None:
        self._encoded[number] = window, encoded
        while entry := self._encoded.pop(self._added, None):
            self._added += 1
            self._path.add(entry[1].slices, entry[0].seconds)
            self._undecided.append(entry)

    def take(self, *, is_last: bool) -> Iterator[list[DecidedWindow]]:
        """Yield each window whose languages are known, cut where the language changes.

        `is_last`: no other windows will be expected.
        """
        while True:
            at_end = is_last and self._added == self._expected
            stretches = self._path.take(is_last=at_end)
            if stretches is None:
                return
            window, encoded = self._undecided.popleft()
            parts = window.split([stretch.start for stretch in stretches[1:]])
            yield [
                DecidedWindow(
                    part,
                    stretch.language,
                    encoded.sound if len(parts) == 1 else None,
                    stretch.mean_of(encoded.slices),
                )
                for part, stretch in zip(parts, stretches, strict=True)
            ]

    def clear(self) -> None:
        self._path = LanguagePath()
        self._encoded.clear()
        self._undecided.clear()
