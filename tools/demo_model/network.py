"""Whisper's network in plain PyTorch, under transformers' parameter names, with two additions.

It differs from Whisper only while it learns:

* The token embedding has rows for the tokens in use and a single row for all others, whose logit
  gets log(their number) added. The probabilities are exactly those of the full softmax, at a
  hundredth of its cost. ``embedding_table`` writes the row out for each of them.
* The rows of the timestamps are a linear map of the encoder's own position sinusoids, so that
  what is learned about one moment holds for all of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from .tokens import FIRST_TIMESTAMP, TIMESTAMPS, VOCABULARY_SIZE, ReducedVocabulary


@dataclass(frozen=True)
class Shape:
    """The measures of the network. ``positions`` are encoder frames of 20 ms."""

    width: int = 128
    heads: int = 4
    inner: int = 512
    encoder_layers: int = 4
    decoder_layers: int = 2
    mels: int = 80
    positions: int = 1500
    text_positions: int = 448


def sinusoids(length: int, width: int) -> Tensor:
    """Whisper's fixed encoder positions, (length, width)."""
    rates = torch.exp(-math.log(10_000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(length)[:, None] * rates[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Attention(nn.Module):  # type: ignore[misc]
    """Multi-head attention of ``x`` to ``memory`` (to itself where there is none)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj = nn.Linear(shape.width, shape.width)
        self.k_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.width)
        self.out_proj = nn.Linear(shape.width, shape.width)

    def _split(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        return x.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

    def forward(self, x: Tensor, memory: Tensor | None = None, causal: bool = False) -> Tensor:
        """What attention gathers for each position of ``x``."""
        source = x if memory is None else memory
        query, key, value = self.q_proj(x), self.k_proj(source), self.v_proj(source)
        gathered = functional.scaled_dot_product_attention(
            self._split(query), self._split(key), self._split(value), is_causal=causal
        )
        return cast(Tensor, self.out_proj(gathered.transpose(1, 2).flatten(2)))

    def with_scores(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the logits of attention (batch, heads, length, memory)."""
        query, key = self._split(self.q_proj(x)), self._split(self.k_proj(memory))
        scores = query @ key.transpose(2, 3) * query.shape[-1] ** -0.5
        gathered = scores.softmax(-1) @ self._split(self.v_proj(memory))
        return self.out_proj(gathered.transpose(1, 2).flatten(2)), scores


class _FeedForward(nn.Module):  # type: ignore[misc]
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.width, shape.inner)
        self.fc2 = nn.Linear(shape.inner, shape.width)
        self.final_layer_norm = nn.LayerNorm(shape.width)

    def feed(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.fc2(functional.gelu(self.fc1(self.final_layer_norm(x)))))


class EncoderLayer(_FeedForward):
    """Self-attention, then a feed-forward part, each normalised before and added after."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.self_attn = Attention(shape)
        self.self_attn_layer_norm = nn.LayerNorm(shape.width)

    def forward(self, x: Tensor) -> Tensor:
        """The next layer's input, same shape."""
        return self.feed(x + self.self_attn(self.self_attn_layer_norm(x)))


class DecoderLayer(EncoderLayer):
    """The same with causal self-attention, and attention to the sound in between."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape)
        self.encoder_attn = Attention(shape)
        self.encoder_attn_layer_norm = nn.LayerNorm(shape.width)

    def decode(self, x: Tensor, sound: Tensor) -> tuple[Tensor, Tensor]:
        """The next layer's input, and the logits of attention to the sound."""
        x = x + self.self_attn(self.self_attn_layer_norm(x), causal=True)
        heard, scores = self.encoder_attn.with_scores(self.encoder_attn_layer_norm(x), sound)
        return self.feed(x + heard), scores


class Encoder(nn.Module):  # type: ignore[misc]
    """Log-mel frames (batch, mels, 2 x frames) to (batch, frames, width)."""

    positions: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(shape.mels, shape.width, 3, padding=1)
        self.conv2 = nn.Conv1d(shape.width, shape.width, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(EncoderLayer(shape) for _ in range(shape.encoder_layers))
        self.layer_norm = nn.LayerNorm(shape.width)
        with torch.no_grad():  # else the positions drown the sound for the first minutes
            self.conv1.weight.mul_(2.0)
            self.conv2.weight.mul_(3.0)
        self.register_buffer("positions", sinusoids(shape.positions, shape.width), False)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What is heard, and its state half way up the layers."""
        x = functional.gelu(self.conv1(features))
        x = functional.gelu(self.conv2(x)).transpose(1, 2)
        x = x + self.positions[: x.shape[1]]
        middle = x
        for index, layer in enumerate(self.layers, 1):
            x = layer(x)
            if 2 * index == len(self.layers):
                middle = x
        return self.layer_norm(x), middle


class Decoder(nn.Module):  # type: ignore[misc]
    """Tokens and encoded sound to the state that predicts each next token."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_positions = nn.Parameter(0.01 * torch.randn(shape.text_positions, shape.width))
        self.layers = nn.ModuleList(DecoderLayer(shape) for _ in range(shape.decoder_layers))
        self.layer_norm = nn.LayerNorm(shape.width)

    def forward(self, embedded: Tensor, sound: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The states, and of each layer the logits of attention to the sound."""
        x = embedded + self.embed_positions[: embedded.shape[1]]
        attention = []
        for layer in self.layers:
            x, scores = cast(DecoderLayer, layer).decode(x, sound)
            attention.append(scores)
        return self.layer_norm(x), attention


@dataclass(frozen=True)
class Output:
    """``logits`` (batch, tokens, reduced vocabulary); ``attention`` logits of each decoder layer;
    ``frames``: per encoder frame the logits of silence, each word, and "a word begins here"."""

    logits: Tensor
    attention: list[Tensor]
    frames: Tensor
    phonemes: Tensor  # per encoder frame, from half way up the encoder


class TinyWhisper(nn.Module):  # type: ignore[misc]
    """Encoder, decoder, embedding, and a helper on the encoder that is thrown away later."""

    timestamp_positions: Tensor
    unused_bias: Tensor

    def __init__(
        self, vocabulary: ReducedVocabulary, words: int, phonemes: int, shape: Shape
    ) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.shape = shape
        self.encoder = Encoder(shape)
        self.decoder = Decoder(shape)
        self.embedding = nn.Parameter(0.035 * torch.randn(vocabulary.unused + 1, shape.width))
        self.timestamp_map = nn.Parameter(0.05 * torch.eye(shape.width))
        self.frame_head = nn.Linear(shape.width, words + 2)
        self.phoneme_head = nn.Sequential(
            nn.LayerNorm(shape.width), nn.Linear(shape.width, phonemes)
        )
        self.register_buffer("timestamp_positions", sinusoids(TIMESTAMPS, shape.width), False)
        bias = torch.zeros(vocabulary.size)
        bias[vocabulary.unused] = math.log(vocabulary.unused_count)
        self.register_buffer("unused_bias", bias, False)
        for index, layer in enumerate(self.encoder.layers):
            _look_nearby(cast(EncoderLayer, layer).self_attn, reach=4.0 * (index + 1))

    def embeddings(self) -> Tensor:
        """The embedding in reduced numbers, (reduced vocabulary, width)."""
        return torch.cat([self.embedding, self.timestamp_positions @ self.timestamp_map])

    def embedding_table(self) -> Tensor:
        """The embedding of all of Whisper's ids, (51865, width)."""
        reduced = self.embeddings().detach()
        table = reduced[self.vocabulary.unused].repeat(VOCABULARY_SIZE, 1)
        table[list(self.vocabulary.used_ids)] = reduced[: self.vocabulary.unused]
        table[FIRST_TIMESTAMP:] = reduced[self.vocabulary.first_timestamp :]
        return table

    def decode(self, tokens: Tensor, sound: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits and attention for ``tokens`` (in reduced numbers) over encoded sound."""
        table = self.embeddings()
        states, attention = self.decoder(table[tokens], sound)
        return states @ table.T + self.unused_bias, attention

    def forward(self, features: Tensor, tokens: Tensor) -> Output:
        """Everything that the losses need; ``tokens`` may hold several scripts for each sound."""
        sound, middle = self.encoder(features)
        scripts = len(tokens) // len(sound)
        logits, attention = self.decode(tokens, sound.repeat_interleave(scripts, 0))
        return Output(logits, attention, self.frame_head(sound), self.phoneme_head(middle))


def _look_nearby(attention: Attention, reach: float) -> None:
    """Start each head of an encoder layer off looking at its own place some frames away.

    A query that equals its key, turned by an offset in the plane of each pair of sinusoids, is
    largest at exactly that offset. Learning to look around from nothing takes a transformer
    most of an hour; this hands it over.
    """
    width = attention.q_proj.in_features
    size = width // attention.heads
    half = width // 2
    rates = torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half))
    planes = torch.arange(0, half, 2)[: size // 2]  # 1 to some 60 frames to a radian
    offsets = torch.linspace(-reach, reach, attention.heads)
    with torch.no_grad():
        attention.q_proj.weight.mul_(0.3)
        attention.k_proj.weight.mul_(0.3)
        for head, offset in enumerate(offsets):
            for index, plane in enumerate(planes):
                row = head * size + 2 * index
                angle = rates[plane] * offset
                attention.k_proj.weight[row, plane] += 1.0
                attention.k_proj.weight[row + 1, half + plane] += 1.0
                attention.q_proj.weight[row, plane] += angle.cos()
                attention.q_proj.weight[row, half + plane] += angle.sin()
                attention.q_proj.weight[row + 1, half + plane] += angle.cos()
                attention.q_proj.weight[row + 1, plane] -= angle.sin()
