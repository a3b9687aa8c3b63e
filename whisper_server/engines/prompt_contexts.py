"""The context of a window's text: hotwords and prompt, as tokens."""

import re
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from whisper_server.engines.base import Options

_INSIDE_MARKS = re.compile(r"(?<=<)(?=\|)")
"""The middle of `<|`, which all special tokens and time stamps of Whisper begin with."""


class PlainTextTokenizer:
    """A tokenizer that takes `<|endoftext|>` and `<|0.00|>` in a text for text.

    Those of the library `tokenizers` make the special token and the time stamp of them, wherever
    they stand in a text.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def encode(self, text: str, *, add_special_tokens: bool = False) -> SimpleNamespace:
        """Return the tokens of a text as `ids`; cut within each `<|`, so that none is special."""
        parts = (
            self._tokenizer.encode(part, add_special_tokens=add_special_tokens).ids
            for part in _INSIDE_MARKS.split(text)
        )
        return SimpleNamespace(ids=[token for part in parts for token in part])


class Contexts:
    """Makes contexts with a model's tokenizer; `max_length` is that of a whole text, in tokens."""

    def __init__(self, tokenizer: Any, max_length: int) -> None:
        self._tokenizer = tokenizer
        self._room = max_length // 2 - 1
        self.tokens = lru_cache(maxsize=64)(self._tokens)

    def _tokens(self, options: Options) -> tuple[int, ...]:
        """Return hotwords and prompt in tokens, at most the half of Whisper's places for context.

        Hotwords lose their end, a prompt its start; with both, each may have half of the places.
        """
        first, last = self._encode(options.hotwords), self._encode(options.prompt)
        first = first[: max(self._room // 2, self._room - len(last))]
        last = last[max(0, len(last) - (self._room - len(first))) :]
        if not first and not last:
            return ()
        return (self._tokenizer.token_to_id("<|startofprev|>"), *first, *last)

    def knows(self, language: str) -> bool:
        """Return whether the model has a token for it; before large-v3 there is none for yue."""
        return self._tokenizer.token_to_id(f"<|{language}|>") is not None

    def fitting(self, hotwords: str | None) -> str | None:
        """Return as many as leave room for the text before in faster-whisper's long form."""
        return self._tokenizer.decode(self._encode(hotwords)[: self._room // 2]) or None

    def _encode(self, text: str | None) -> list[int]:
        text = (text or "").strip()
        return self._tokenizer.encode(f" {text}", add_special_tokens=False).ids if text else []
