#!/usr/bin/env python3
"""Put the demo model, or another CTranslate2 Whisper, into the form that mlx-whisper loads.

    python tools/convert_demo_to_mlx.py demo-mlx
    whisper-server --backend mlx --model demo-mlx

Needs mlx: `pip install mlx` on a Mac with Apple silicon, `pip install "mlx[cpu]"` on Linux.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    from tools.demo_model.ct2_weights import NotCTranslate2
    from tools.demo_model.mlx_export import export_to_mlx
except ImportError as error:
    sys.exit(f"{error}. Install mlx: pip install mlx (on Linux: pip install 'mlx[cpu]')")
from whisper_server.model_names import DEMO_FOLDER


def main() -> None:
    """Parse, convert, say where it is."""
    parser = argparse.ArgumentParser(description="CTranslate2 Whisper folder -> mlx folder")
    parser.add_argument("output", type=Path, help="folder to write")
    parser.add_argument(
        "--model", type=Path, default=DEMO_FOLDER, metavar="FOLDER", help="to convert (the demo)"
    )
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16")
    arguments = parser.parse_args()
    try:
        export_to_mlx(arguments.model, arguments.output, arguments.dtype)
    except NotCTranslate2 as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{arguments.output} cannot be written: {error.strerror}")
    print(f"{arguments.output}: whisper-server --backend mlx --model {arguments.output}")


if __name__ == "__main__":
    main()
