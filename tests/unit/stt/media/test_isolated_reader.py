"""What a file does to its decoder is an error of that file, and of nothing else."""

import io
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from stt.errors import BadAudio
from stt.media import decoder_pool
from stt.media.decoder_pool import DecoderPool
from stt.media.isolated_reader import IsolatedReader, has_sound
from stt.media.reader import AudioReader, NothingDecoded
from stt.media.samples import Samples
from stt.media.tracks import NoAudioTrack, NoSuchTrack
from tests.support.damage import FORMS, tones
from tests.support.decoders import dying_decoders
from tests.support.dying_decoder import deadly
from tests.support.recordings import babble, write_wav
from tests.support.uploads import film_without_sound, wav_that_claims

SECOND = 16_000


def blocks_of(file: io.BytesIO) -> Iterator[Samples]:
    with IsolatedReader(file) as reader:
        yield from reader.blocks()


def read(file: io.BytesIO) -> Samples:
    return np.concatenate(list(blocks_of(file)))


@pytest.mark.parametrize("container", FORMS)
def test_it_reads_what_the_reader_reads(container: str) -> None:
    data = tones(container)
    with AudioReader(io.BytesIO(data)) as reader:
        there = np.concatenate(list(reader.blocks()))
    np.testing.assert_array_equal(read(io.BytesIO(data)), there)
    with IsolatedReader(io.BytesIO(data)) as isolated:
        facts = (isolated.track, isolated.track_count, isolated.channels, isolated.header.format)
        assert facts == (1, 1, 1, reader.header.format)
        assert sum(isolated.packet_seconds()) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("seconds", [1, 300])
def test_a_file_on_a_disk_is_read_and_stays_open(seconds: int, tmp_path: Path) -> None:
    said = babble(seconds)
    with write_wav(tmp_path / "talk.wav", said).open("rb") as file:
        with IsolatedReader(file) as reader:
            np.testing.assert_array_equal(np.concatenate(list(reader.blocks())), said)
        assert file.seek(0) == 0


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"no audio at all " * 99, BadAudio),
        (film_without_sound().getvalue(), NoAudioTrack),
        (wav_that_claims(data=b""), NothingDecoded),
    ],
)
def test_errors_have_their_kinds(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        read(io.BytesIO(data))
    assert type(caught.value) is error


def test_a_track_that_is_not_there_has_its_kind_too() -> None:
    with pytest.raises(NoSuchTrack, match="no track 3: it has one audio track"):
        IsolatedReader(io.BytesIO(tones("wav")), 3)


def test_losses_are_warnings() -> None:
    data = tones("flac", seconds=10.0)
    with IsolatedReader(io.BytesIO(data[: len(data) // 2])) as reader:
        list(reader.blocks())
        assert [line.partition(":")[0] for line in reader.warnings] == ["truncated"]


def test_a_second_of_sound_is_found() -> None:
    assert has_sound(io.BytesIO(tones("mp4")))
    assert not has_sound(io.BytesIO(b"no audio at all " * 99))


class TestADecoderThatEnds:
    @pytest.fixture(autouse=True)
    def pool(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[DecoderPool]:
        with dying_decoders(monkeypatch) as pool:
            yield pool

    @pytest.mark.parametrize("blocks", [0, 3])
    @pytest.mark.parametrize(
        ("kind", "line"),
        [
            ("SIGSEGV", "it crashes the decoder (SIGSEGV)"),
            ("SIGABRT", "it crashes the decoder (SIGABRT)"),
            ("SIGKILL", "the decoder was killed, as when memory runs out"),
            ("time", "it takes too much time for the little sound that comes of it"),
            ("memory", "it takes more memory than a decoder may have"),
            ("exit", "the decoder failed over it (exit code 3)"),
            ("nonsense", "the decoder was killed, as when memory runs out"),
        ],
    )
    def test_it_is_an_error_of_the_file(self, kind: str, line: str, blocks: int) -> None:
        data = tones("wav", seconds=8.0) + deadly(kind, blocks)
        found: list[Samples] = []
        with pytest.raises(BadAudio, match="^" + re.escape(line) + "$"):
            found.extend(blocks_of(io.BytesIO(data)))
        assert bool(found) == bool(blocks)

    def test_the_next_file_is_read(self) -> None:
        for _ in range(3):
            with pytest.raises(BadAudio):
                read(io.BytesIO(tones("wav") + deadly("SIGSEGV")))
            assert len(read(io.BytesIO(tones("wav")))) == 2 * SECOND

    def test_others_that_are_being_read_are_not_disturbed(self) -> None:
        with IsolatedReader(io.BytesIO(tones("wav", seconds=8.0))) as sound:
            blocks = sound.blocks()
            next(blocks)
            with pytest.raises(BadAudio):
                read(io.BytesIO(tones("wav") + deadly("SIGSEGV")))
            assert sum(map(len, blocks)) > 6 * SECOND

    def test_one_that_does_not_answer_is_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decoder_pool, "ANSWER_SECONDS", 0.6)
        with pytest.raises(BadAudio, match=r"nothing came of it in 0.01 minutes"):
            read(io.BytesIO(tones("wav") + deadly("SIGSTOP")))

    def test_a_file_that_ends_it_has_no_sound(self) -> None:
        assert not has_sound(io.BytesIO(tones("wav") + deadly("SIGSEGV")))


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{}'\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\na=control:{}\n"
        "m=audio 0 RTP/AVP 0\n",
        "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'"
        " mediaPresentationDuration='PT9S' profiles='urn:mpeg:dash:profile:isoff-on-demand:2011'>"
        "<Period><AdaptationSet mimeType='audio/mp4'><Representation id='1' bandwidth='1'>"
        "<BaseURL>{}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "[InternetShortcut]\nURL={}\n",
        "[playlist]\nFile1={}\nNumberOfEntries=1\n",
    ],
    ids=["m3u8", "concat", "sdp", "dash", "shortcut", "pls"],
)
@pytest.mark.parametrize("kind", ["path", "file", "http"])
def test_no_file_and_no_address_is_opened_that_a_file_names(
    text: str, kind: str, tmp_path: Path
) -> None:
    other = write_wav(tmp_path / "other.wav", babble(2))
    with socket.create_server(("127.0.0.1", 0)) as server:
        targets = {
            "path": str(other),
            "file": f"file:{other}",
            "http": f"http://127.0.0.1:{server.getsockname()[1]}/other.wav",
        }
        with pytest.raises(BadAudio):
            read(io.BytesIO(text.format(targets[kind]).encode()))
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
