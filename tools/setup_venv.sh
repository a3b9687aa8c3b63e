#!/bin/sh
# Makes $VENV with the locked dependencies and these extras: setup_venv.sh server embedded dev
# uv if it is there, else venv and pip; both install the versions of uv.lock and check their hashes.
set -eu

PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
UV=${UV:-}
# Its metadata asks for torch, 2 GB that it only needs to convert models: tests do without.
MLX_WHISPER=mlx-whisper==0.4.3

fail() {
    echo "setup: $1" >&2
    exit 1
}

is_new_enough() {
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# On a Mac with Apple silicon the extra "mlx" brings it; elsewhere only tests have a use for it.
tests_mlx() {
    case " $* " in *" dev "*) ;; *) return 1 ;; esac
    case "$(uname -s) $(uname -m)" in "Linux x86_64" | "Linux aarch64") ;; *) return 1 ;; esac
}

# uv finds, or fetches, an interpreter of its own where the default one will not do.
if [ -n "$UV" ] && [ "$PYTHON" = python3 ] && ! is_new_enough; then
    PYTHON=">=3.11"
elif ! command -v "$PYTHON" >/dev/null 2>&1; then
    fail "$PYTHON is not there: install Python 3.11 or newer, or name one: PYTHON=python3.12 make test"
elif ! is_new_enough; then
    fail "$PYTHON is $("$PYTHON" -V 2>&1), and stt needs 3.11 or newer: PYTHON=python3.12 make test"
fi

if [ -n "$UV" ]; then
    echo "Setting up $VENV with uv ..."
    extras=""
    for extra in "$@"; do extras="$extras --extra $extra"; done
    # shellcheck disable=SC2086  # the flags are meant to be split
    UV_PROJECT_ENVIRONMENT="$VENV" "$UV" sync --frozen --quiet --inexact --python "$PYTHON" $extras
    if tests_mlx "$@"; then
        "$UV" pip install --quiet --no-deps --python "$VENV/bin/python" "$MLX_WHISPER"
    fi
    exit
fi

if ! "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null; then
    fail "$PYTHON lacks the venv module: install it (Debian, Ubuntu: apt install python3-venv)"
fi
echo "Setting up $VENV with pip, which takes a minute ..."
[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
extras=$(echo "$*" | tr ' ' ',')
pip() { "$VENV/bin/python" -m pip "$@" --quiet --disable-pip-version-check; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What it would install, then that with its hashes, then the project.
pip install --dry-run --ignore-installed --report "$work/report" \
    --constraint requirements.lock --editable ".[$extras]"
"$VENV/bin/python" tools/locked_hashes.py uv.lock "$work/report" >"$work/requirements"
pip install --require-hashes --no-deps --requirement "$work/requirements"
pip install --no-deps --editable .
if tests_mlx "$@"; then
    pip install --no-deps "$MLX_WHISPER"
fi
