"""Tables at the widths of real terminals, with the names of real files."""

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from stt.cli.fitting_table import FittingTable, shortened


def lines(table: FittingTable, width: int) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def recordings(name: str) -> FittingTable:
    table = FittingTable("Recording", ">Length", ">Done", ">Failed", "Id", "", optional=("Id",))
    table.add_row("short.mp3", "0:30", "100 %", "", "6903ce2e3006e94c81d59b3f", "")
    table.add_row(name, "1:00:00", "33 %", Text("2"), "6903ce2e3006e94c81d59b40", "being ingested")
    return table


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("letter", ["x", "語"])
def test_a_long_name_is_shortened_and_the_state_is_whole(width: int, letter: str) -> None:
    heading, first, long, *_ = shown = lines(recordings(letter * 240 + ".mp3"), width)
    assert all(cell_len(line) <= width for line in shown)
    assert heading.startswith("Recording")
    assert first.startswith("short.mp3")
    assert long.startswith(letter)
    assert "mp3 " in long
    assert {"…" in long, "1:00:00" in long, "33 %" in long} == {True}
    assert ("6903ce2e3006e94c81d59b40" in long) == (width >= 80)


def test_in_a_pipe_nothing_is_left_out() -> None:
    name = "x" * 240
    assert f"{name}  1:00:00" in lines(recordings(name), 1_000)[2]


def test_a_text_is_shortened_in_its_middle() -> None:
    assert shortened("interview-part-2.mp3", 11) == "inter…2.mp3"
    assert shortened("short", 5) == "short"
    assert cell_len(shortened("語" * 100, 10)) <= 10
