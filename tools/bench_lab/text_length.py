"""Let a model with random weights end its text where the sound of the window ends.

One channel of the encoder carries how much sound a frame has, untouched by the layers. One head of
the last cross-attention looks at all frames alike, and so reads how much of the window is sound. It
speaks against the end of the text, for which each row at the end of a segment speaks the more the
later it is: where the two are level, the text ends.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

BANDS = 16
"""Of the spectrogram, whose distance from 0, the value of padding, tells sound."""
GAIN = 4.0
SPEECH_LEVEL = 0.45
"""How far the bands are from 0 on average where somebody speaks."""
STEADINESS = 3.0
"""The constant part of the encoder's output, in multiples of what its layers add: so the last norm,
which divides by the length of all, divides all frames by about the same."""
END_WEIGHT = 0.5
"""How strongly a window full of sound speaks against the end, in lengths of a position's row."""


@dataclass(frozen=True)
class TextEnd:
    """Where a text may end: after each `segment` of its `text_length` tokens, and in the end.

    `direction` is the embedding of the end of the text. Rows of the position table are of
    `row_length`; `first_row` has the first token of the text.
    """

    direction: npt.NDArray[np.float32]
    row_length: float
    first_row: int
    segment: int
    text_length: int


def follow_sound(spec: Any, head_width: int, end: TextEnd) -> None:
    """Change the weights of a `WhisperSpec`; `head_width` is that of an attention's head."""
    encoder, decoder = spec.encoder, spec.decoder
    width = len(encoder.conv1.bias)
    constant = STEADINESS * np.sqrt(len(encoder.layer) * width)
    speech = constant / 2
    _carry_sound(encoder, speech)
    encoder.position_encodings.encodings[:, 1] += constant
    encoder.position_encodings.encodings[:, 2] -= constant
    squares = 2 * constant**2 + speech**2 + (constant / STEADINESS) ** 2
    heard = speech / np.sqrt(squares / width)

    attention = decoder.layer[-1].attention
    attention.linear[0].weight[:head_width] = 0  # all frames alike
    attention.linear[1].weight[width] = np.eye(1, width)
    attention.linear[2].weight[:, :head_width] = 0
    attention.linear[2].weight[:, 0] = -END_WEIGHT * end.row_length / heard * end.direction

    rows, unit = decoder.position_encodings.encodings, end.row_length * end.direction
    for length in range(end.segment, end.text_length, end.segment):
        share = (length + end.segment / 2) / end.text_length  # the nearest end of a segment
        rows[end.first_row + length] += (1 + END_WEIGHT * share) * unit
    rows[end.first_row + end.text_length :] += (1 + END_WEIGHT) * unit


def _carry_sound(encoder: Any, speech: float) -> None:
    """Let the encoder's channel 0 be the sound of a frame: about `speech`, or 0 in padding."""
    mels = encoder.conv1.weight.shape[1]
    encoder.conv1.weight[: 2 * BANDS] = 0
    for index, band in enumerate(np.linspace(0, mels - 1, BANDS).astype(int)):
        encoder.conv1.weight[2 * index, band, 1] = GAIN  # gelu(x) + gelu(-x) is about |x|
        encoder.conv1.weight[2 * index + 1, band, 1] = -GAIN
    encoder.conv2.weight[0] = 0
    encoder.conv2.weight[0, : 2 * BANDS, 1] = speech / (BANDS * GAIN * SPEECH_LEVEL)
    encoder.position_encodings.encodings[:, 0] = 0
    for layer in encoder.layer:
        layer.self_attention.linear[1].weight[0] = 0
        layer.ffn.linear_1.weight[0] = 0
