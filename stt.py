"""`uv run stt.py --limit 100`: the `stt` command from a checkout.

The folder `stt/` beside this file wins over the file when Python looks for `stt`.
"""

from stt.cli.app import main

if __name__ == "__main__":
    main()
