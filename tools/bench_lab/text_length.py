"""Let a model with random weights end its text where the sound of the window ends, evenly spread.

One channel of the encoder carries how much sound a frame has, untouched by the layers. One head of
the last cross-attention looks at all frames alike, and so reads how much of the window is sound. It
speaks against the end of the text, for which each row at the end of a segment speaks the more the
later it is: where the two are level, the text ends.

The second head, which words are aligned by, looks at the frame at which a token would be spoken if
all took as long: else words would lie anywhere, and a server that decodes sound without words again
would do so for random reasons. Rows and frames carry their time as phases of several periods.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BANDS = 16
"""Of the spectrogram, whose distance from 0, the value of padding, tells sound."""
GAIN = 4.0
SPEECH_LEVEL = 0.42
"""How far the bands are from 0 on average where somebody speaks."""
STEADINESS = 3.0
"""The constant part of the encoder's output, in multiples of what its layers add: so the last norm,
which divides by the length of all, divides all frames by about the same."""
PERIODS = (3000.0, 1600.0, 860.0, 460.0, 250.0, 130.0, 70.0, 40.0)
"""Frames of the encoder in which the phases of a time come round."""
PHASES = 2 * len(PERIODS)
FIRST_PHASE = 3
"""The channel of the encoder with the first phase, after the sound and the constant part."""
ROW_PHASE = 4.0
"""In a row, in multiples of what the decoder's layers add to a channel."""
SHARPNESS = 2.5
"""What each period adds to the score of the frame that a row looks at."""
END_WEIGHT = 0.5
"""How strongly a window full of sound speaks against the end, in lengths of a position's row."""


@dataclass(frozen=True)
class TextEnd:
    """Where a text may end: after each `segment` of its `text_length` tokens, and in the end.

    `direction` is the embedding of the end of the text. Rows of the position table are of
    `row_length`, to which the layers add `noise`; `first_row` has the first token of the text. A
    token takes `frames_per_token` of the encoder's frames.
    """

    direction: npt.NDArray[np.float32]
    row_length: float
    noise: float
    first_row: int
    frames_per_token: float
    segment: int
    text_length: int


def follow_sound(spec: Any, head_width: int, end: TextEnd) -> None:
    """Change the weights of a `WhisperSpec`; `head_width` is that of an attention's head."""
    encoder, decoder = spec.encoder, spec.decoder
    width = len(encoder.conv1.bias)
    constant = STEADINESS * np.sqrt(len(encoder.layer) * width)
    speech = constant / 2
    phase = constant / 4
    _keep_free(encoder, [0, *range(FIRST_PHASE, FIRST_PHASE + PHASES)])
    _carry_sound(encoder, speech)
    encoder.position_encodings.encodings[:, 1] += constant
    encoder.position_encodings.encodings[:, 2] -= constant
    frames = encoder.position_encodings.encodings
    frames[:, FIRST_PHASE : FIRST_PHASE + PHASES] = phase * _phases(np.arange(len(frames)))
    squares = (2 + len(PERIODS) / 16 + 1 / STEADINESS**2) * constant**2 + speech**2
    deviation = np.sqrt(squares / width)
    heard = speech / deviation

    rows, attention = decoder.position_encodings.encodings, decoder.layer[-1].attention
    rows[:] = _clear(rows)
    (unit,) = _clear(end.row_length * end.direction[None])
    attention.linear[0].weight[:head_width] = 0  # all frames alike
    attention.linear[1].weight[width] = np.eye(1, width)
    attention.linear[2].weight[:, :head_width] = 0
    attention.linear[2].weight[:, 0] = -END_WEIGHT / heard * unit

    for length in range(end.segment, end.text_length, end.segment):
        share = length / end.text_length
        rows[end.first_row + length] += (1 + END_WEIGHT * share) * unit
    rows[end.first_row + end.text_length :] += (1 + END_WEIGHT) * unit
    _align(decoder, end, head_width, phase / deviation)


def _align(decoder: Any, end: TextEnd, head_width: int, frame_phase: float) -> None:
    """Let the second head look at the frame of a row's time; `frame_phase`: as it is heard."""
    rows, attention = decoder.position_encodings.encodings, decoder.layer[-1].attention
    width = rows.shape[1]
    # An aligned text begins one row later, behind <|notimestamps|>, and has no time stamps.
    times = (np.arange(len(rows)) - end.first_row - 1) * end.frames_per_token
    per_row = ROW_PHASE * end.noise / np.sqrt(width)
    rows[:, :PHASES] = per_row * _phases(times)
    row_phase = per_row * np.sqrt(width) / end.row_length
    own = slice(head_width, 2 * head_width)
    attention.linear[0].weight[own] = 0
    attention.linear[0].weight[head_width : head_width + PHASES, :PHASES] = np.eye(PHASES) * (
        SHARPNESS * np.sqrt(head_width) / (row_phase * frame_phase)
    )
    attention.linear[1].weight[own] = np.eye(head_width, width, FIRST_PHASE)
    attention.linear[1].weight[head_width + PHASES : 2 * head_width] = 0
    attention.linear[2].weight[:, own] = 0


def _clear(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Without the channels of the phases; as long as before in the direction that they had."""
    rest = rows.copy()
    rest[:, :PHASES] = 0
    rest *= np.sum(rows**2, axis=1, keepdims=True) / np.sum(rest**2, axis=1, keepdims=True)
    return rest


def _phases(times: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Of each time, in frames: shape (times, PHASES)."""
    angles = 2 * np.pi * times[:, None] / np.array(PERIODS)
    return np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def _keep_free(encoder: Any, channels: Sequence[int]) -> None:
    """Let no layer of the encoder write to some of its channels."""
    encoder.conv2.weight[channels] = 0
    encoder.position_encodings.encodings[:, channels] = 0
    for layer in encoder.layer:
        layer.self_attention.linear[1].weight[channels] = 0
        layer.ffn.linear_1.weight[channels] = 0


def _carry_sound(encoder: Any, speech: float) -> None:
    """Let the encoder's channel 0 be the sound of a frame: about `speech`, or 0 in padding."""
    mels = encoder.conv1.weight.shape[1]
    encoder.conv1.weight[: 2 * BANDS] = 0
    for index, band in enumerate(np.linspace(0, mels - 1, BANDS).astype(int)):
        encoder.conv1.weight[2 * index, band, 1] = GAIN  # gelu(x) + gelu(-x) is about |x|
        encoder.conv1.weight[2 * index + 1, band, 1] = -GAIN
    encoder.conv2.weight[0, : 2 * BANDS, 1] = speech / (BANDS * GAIN * SPEECH_LEVEL)
