#!/usr/bin/env python3
"""Put a Whisper in CTranslate2 form into the form that mlx-whisper loads.

    python tools/convert_to_mlx.py "$(whisper-server download tiny.en)" tiny.en-mlx
    whisper-server --backend mlx --model tiny.en-mlx

Needs mlx: `pip install mlx` on a Mac with Apple silicon, `pip install "mlx[cpu]"` on Linux.
"""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":  # run as a script: its own folder is on the path, and not the project's
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

try:
    from tools.mlx_form.ct2_weights import NotCTranslate2
    from tools.mlx_form.mlx_export import export_to_mlx
except ImportError as error:
    sys.exit(f"{error}. Install mlx: pip install mlx (on Linux: pip install 'mlx[cpu]')")


def main() -> None:
    """Convert, and print how to use it."""
    parser = argparse.ArgumentParser(description="CTranslate2 Whisper folder -> mlx folder")
    parser.add_argument("folder", type=Path, help="the model in CTranslate2 form")
    parser.add_argument("output", type=Path, help="folder to write")
    parser.add_argument("--dtype", choices=("float16", "float32"), default="float16")
    arguments = parser.parse_args()
    try:
        export_to_mlx(arguments.folder, arguments.output, arguments.dtype)
    except NotCTranslate2 as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{arguments.output} cannot be written: {error.strerror}")
    print(f"{arguments.output}: whisper-server --backend mlx --model {arguments.output}")


if __name__ == "__main__":
    main()
