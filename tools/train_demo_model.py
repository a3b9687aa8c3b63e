#!/usr/bin/env python3
"""Make the demo model: a small Whisper that hears what espeak-ng says.

Everything comes from espeak-ng: the script synthesizes hours of speech from a few hundred words,
teaches a network of Whisper's own shape to write them down, and saves it as a CTranslate2 folder
that faster-whisper loads as it loads any other Whisper.

Needs, beside what the project itself needs:

    apt install libespeak-ng1 espeak-ng-data
    pip install "torch==2.13.*" transformers ctranslate2 faster-whisper av numpy safetensors
    pip download --no-deps mlx-whisper    # or openai-whisper: Whisper's token table is in there

    python tools/train_demo_model.py --minutes 90 --output whisper_server/models/demo
    python tools/train_demo_model.py --evaluate-only whisper_server/models/demo --vad-filter
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.demo_model.tokens import ReducedVocabulary, find_ranks, load_ranks
from tools.demo_model.vocabulary import WORDS


def _log(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train a small Whisper on synthesized speech, export it, measure it.",
    )
    parser.add_argument("--minutes", type=float, default=90, help="time to train for (90)")
    parser.add_argument("--hours", type=float, default=8, help="speech to synthesize, in hours (8)")
    parser.add_argument("--seed", type=int, default=1, help="of speech and weights (1)")
    parser.add_argument("--threads", type=int, default=2, help="processor cores to use (2)")
    parser.add_argument(
        "--output", type=Path, default=Path("demo-model"), help="folder of the model (demo-model)"
    )
    parser.add_argument(
        "--work",
        type=Path,
        default=Path("demo-model-work"),
        help="folder for the speech, the checkpoint to go on from, and the float16 weights",
    )
    parser.add_argument(
        "--token-table",
        type=Path,
        metavar="FILE",
        help="multilingual.tiktoken of a Whisper package",
    )
    parser.add_argument("--export-only", action="store_true", help="export the last checkpoint")
    parser.add_argument(
        "--evaluate-only", type=Path, metavar="MODEL", help="measure this model folder, train none"
    )
    parser.add_argument(
        "--recordings", type=int, default=150, help="short recordings in each held-out set (150)"
    )
    parser.add_argument("--beam-size", type=int, default=5, help="beam size when measuring (5)")
    parser.add_argument("--vad-filter", action="store_true", help="measure with the VAD filter on")
    parser.add_argument("--no-word-times", action="store_true", help="measure without word times")
    return parser.parse_args()


def _make(arguments: argparse.Namespace) -> None:
    import torch

    from tools.demo_model.corpus import Windows, record_stock
    from tools.demo_model.export import export, load_checkpoint, save_float_weights
    from tools.demo_model.network import Shape, TinyWhisper
    from tools.demo_model.training import train

    table = arguments.token_table or find_ranks()
    if table is None:
        sys.exit("Whisper's token table is missing: install mlx-whisper or name --token-table")
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    ranks = load_ranks(table)
    vocabulary = ReducedVocabulary.of(WORDS, ranks)
    arguments.work.mkdir(parents=True, exist_ok=True)
    kept = arguments.work / f"speech-{arguments.hours:g}h-seed{arguments.seed}.pickle"
    if kept.exists():
        stock = pickle.loads(kept.read_bytes())
    else:
        stock = record_stock(arguments.hours, arguments.seed, arguments.threads, _log)
        kept.write_bytes(pickle.dumps(stock))
    windows = Windows(stock, vocabulary, arguments.seed)
    model = TinyWhisper(vocabulary, len(WORDS), windows.phonemes, Shape())
    checkpoint = arguments.work / "checkpoint.pt"
    if arguments.export_only:
        load_checkpoint(model, checkpoint)
    else:
        model = train(model, windows, arguments.minutes, checkpoint, _log, arguments.threads)
    export(model, WORDS, ranks, arguments.output)
    save_float_weights(model, arguments.work / "weights.safetensors")
    _log(f"exported to {arguments.output}; float16 weights in {arguments.work}")


def _measure(folder: Path, arguments: argparse.Namespace) -> None:
    from tools.demo_model.evaluation import report

    for line in report(
        folder,
        arguments.recordings,
        beam_size=arguments.beam_size,
        vad_filter=arguments.vad_filter,
        word_timestamps=not arguments.no_word_times,
        condition_on_previous_text=False,
    ):
        print(line, flush=True)


def main() -> None:
    """Train, export and measure, or what the options ask for."""
    arguments = _arguments()
    if arguments.evaluate_only is None:
        _make(arguments)
    _measure(arguments.evaluate_only or arguments.output, arguments)


if __name__ == "__main__":
    main()
