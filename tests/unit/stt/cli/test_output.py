"""Where transcripts go: told apart by the options alone, before any work."""

import inspect
from pathlib import Path

import pytest
import typer

from stt.cli.output import STDOUT, Output, OutputOptions, checked_formats, with_output
from stt.transcripts.cue_splitting import CueLimits


def resolved(output: str = STDOUT, *formats: str, several: bool = False) -> Output:
    return OutputOptions(list(formats) or None, output).resolve(several=several)


@pytest.mark.parametrize(
    ("names", "found"),
    [
        ([], ()),
        (["SRT"], ("srt",)),
        (["json", "txt", "JSON"], ("json", "txt")),
        (["all"], ("txt", "srt", "vtt", "json", "tsv")),
        (["vtt", "all"], ("vtt", "txt", "srt", "json", "tsv")),
    ],
    ids=str,
)
def test_formats_are_known_in_any_case_and_taken_once(
    names: list[str], found: tuple[str, ...]
) -> None:
    assert checked_formats(names) == found


def test_an_unknown_format_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(typer.BadParameter, match=r"Unknown format 'docx': use --format .*srt.*all"):
        checked_formats(["docx"])


class TestFileOrFolder:
    def test_one_transcript_goes_into_a_file_unless_it_is_a_folder(self, tmp_path: Path) -> None:
        assert resolved("new") == Output(file=Path("new"))
        assert resolved("new.srt") == Output(("srt",), file=Path("new.srt"))
        assert resolved("new/") == Output(folder=Path("new"))
        assert resolved(str(tmp_path)) == Output(folder=tmp_path)
        assert resolved("x" * 5_000) == Output(file=Path("x" * 5_000))

    @pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
    def test_stdout_has_other_names(self, name: str) -> None:
        assert resolved(name, "srt") == resolved(STDOUT, "srt") == Output(("srt",))

    def test_several_go_into_a_folder_that_need_not_be_there(self, tmp_path: Path) -> None:
        assert resolved("new", several=True) == Output(folder=Path("new"))
        assert resolved("v1.5/", several=True) == Output(folder=Path("v1.5"))
        assert resolved("new", "txt", "srt") == Output(("txt", "srt"), folder=Path("new"))
        assert resolved(str(tmp_path), "all").folder == tmp_path

    @pytest.mark.parametrize("output", ["all.txt", "file", STDOUT])
    def test_several_do_not_go_into_a_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "file").touch()
        with pytest.raises(typer.BadParameter, match="Several recordings need a folder"):
            resolved(output, several=True)
        with pytest.raises(typer.BadParameter, match="Several formats need a folder"):
            resolved(output, "txt", "srt")

    def test_several_texts_may_go_to_stdout_where_they_can_be_told_apart(self) -> None:
        for name in ("txt", "json"):
            options = OutputOptions([name])
            assert options.resolve(several=True, may_stream=True) == Output((name,))
        with pytest.raises(typer.BadParameter, match="Several recordings"):
            OutputOptions(["srt"]).resolve(several=True, may_stream=True)


def test_cue_limits_are_options() -> None:
    options = OutputOptions(max_line_width=32, max_lines=1, max_cue_seconds=0)
    assert options.resolve(several=False).limits == CueLimits(32, 1, 0)


def test_the_folder_is_made_or_the_reason_said(tmp_path: Path) -> None:
    Output(folder=tmp_path / "a" / "b").prepare()
    Output(file=tmp_path / "c" / "talk.txt").prepare()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "c"}
    (tmp_path / "file").touch()
    with pytest.raises(typer.BadParameter, match="cannot be made"):
        Output(folder=tmp_path / "file").prepare()
    Output().prepare()


def test_a_command_gets_the_options_in_place_of_its_parameter() -> None:
    got = []

    @with_output
    def command(name: str, output: OutputOptions, last: int = 3) -> None:
        got.append((name, output, last))

    names = list(inspect.signature(command).parameters)
    assert names[:3] == ["name", "format_names", "output"]
    assert names[-1] == "last"
    defaults = {
        name: one.default
        for name, one in inspect.signature(command).parameters.items()
        if one.default is not one.empty
    }
    command(name="talk", **defaults | {"beside": True})
    assert got == [("talk", OutputOptions(beside=True), 3)]
