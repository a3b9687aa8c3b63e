"""`python -m stt`."""

from stt.cli.app import main

if __name__ == "__main__":
    main()
