"""Characters of foreign names and messages that do not show, or that disguise those that do.

Controls move a cursor or end a line. Overrides and isolates of the writing direction make
`gpj.exe` of `exe.jpg`. Characters without a glyph make two names look like one. They are replaced
wherever text is shown or becomes a file's name, and kept where it is stored. Text that is written
from right to left needs none of them. The pages do the same: `visible` in web/markup.js.
"""

import re
import unicodedata

# Unicode's property Default_Ignorable_Code_Point (DerivedCoreProperties.txt) without the variation
# selectors, which choose between glyphs, and without the joiners; and the annotation marks.
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff"
_CONTROL = re.compile(f"[{_CONTROLS}]")
_JOINERS = "\u200c\u200d"
_HIDDEN = re.compile(f"[{_CONTROLS}{_IGNORABLE}{_JOINERS}]")
_VIRAMA = 9  # its combining class
_EMOJI_STYLE = "\ufe0f"
_MAX_QUOTED = 100


def without_controls(text: str, by: str = "\N{REPLACEMENT CHARACTER}") -> str:
    """Return the text on one line, as it can be stored: with `by` in place of each control."""
    return _CONTROL.sub(by, text)


def visible(text: str, by: str = "\N{REPLACEMENT CHARACTER}") -> str:
    """Return the text as it is to be shown: with `by` in place of what does not show.

    Joiners stay where they belong: in scripts of the Near East and India (RFC 5892, appendix A)
    and between emoji.
    """
    return _HIDDEN.sub(lambda found: found[0] if _joins(text, found.start()) else by, text)


def quoted(text: str) -> str:
    """Return a wrong value in quotes, as messages show it: at most 100 characters of it."""
    return repr(text if len(text) <= _MAX_QUOTED else f"{text[: _MAX_QUOTED - 1]}…")


def is_visible(text: str) -> bool:
    """Return whether `visible` would change nothing."""
    return visible(text, "") == text


def _joins(text: str, position: int) -> bool:
    """Return whether there is a joiner at this position that has something to join."""
    if position == 0 or text[position] not in _JOINERS:
        return False
    before = text[position - 1]
    return (
        unicodedata.combining(before) == _VIRAMA
        or unicodedata.bidirectional(before) in ("AL", "R")
        or unicodedata.category(before) in ("So", "Sk")
        or before == _EMOJI_STYLE
    )
