"""A table that fits the terminal: its first column, a name, gets what the others leave."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.table import Table
from rich.text import Text

_MIN_NAME_WIDTH = 12
_MIN_NOTE_WIDTH = 12
_GAP = 2


class FittingTable:
    """Rows of texts under headings; `>` before a heading aligns its column to the right.

    Names that are too long are shortened in the middle. Where no room is left for them, columns of
    `optional` are left out, the first of them first. A last column without a heading is a note,
    which may take several lines.
    """

    def __init__(self, *headings: str, optional: Sequence[str] = ()) -> None:
        self._headings = headings
        self._optional = optional
        self._rows: list[list[Text]] = []

    @property
    def row_count(self) -> int:
        return len(self._rows)

    def add_row(self, *cells: str | Text) -> None:
        self._rows.append([Text(cell) if isinstance(cell, str) else cell for cell in cells])

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        numbers = list(range(len(self._headings)))
        for name in ("", *self._optional):
            numbers = [n for n in numbers if not name or self._headings[n].strip(">") != name]
            widths = [self._width(number) for number in numbers]
            left = options.max_width - sum(widths[1:]) - _GAP * (len(numbers) - 1)
            if left >= min(widths[0], _MIN_NAME_WIDTH):
                break
        yield self._table(numbers, max(left, _MIN_NAME_WIDTH))

    def _width(self, number: int) -> int:
        heading = self._headings[number].removeprefix(">")
        width = max((cell_len(row[number].plain) for row in self._rows), default=0)
        return max(cell_len(heading), width if heading else min(width, _MIN_NOTE_WIDTH))

    def _table(self, numbers: Sequence[int], name_width: int) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for number in numbers:
            heading = self._headings[number]
            table.add_column(
                heading.removeprefix(">"),
                justify="right" if heading.startswith(">") else "left",
                no_wrap=bool(heading),
                overflow="fold",
            )
        for row in self._rows:
            name = Text(shortened(row[0].plain, name_width), style=row[0].style)
            table.add_row(name, *(row[number] for number in numbers[1:]))
        return table


def shortened(text: str, width: int) -> str:
    """Return text that takes `width` cells at most, with `…` in place of its middle."""
    if cell_len(text) <= width:
        return text
    head, tail = "", ""
    for start, end in zip(text, reversed(text), strict=True):
        if cell_len(head + start + tail) >= width:
            break
        head += start
        if cell_len(head + end + tail) >= width:
            break
        tail = end + tail
    return f"{head}…{tail}"
