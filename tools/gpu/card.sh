#!/usr/bin/env bash
# The benchmark on a machine with a card: Linux, Python 3.12, CUDA 13, PyTorch, transformers and
# onnxruntime, no network. In the checkout, with the files of build/gpu/pack brought there, part by part:
#
#   tools/gpu/card.sh take build/gpu/pack/part-1     keep a part; once for each
#   tools/gpu/card.sh install                        install all parts
#   tools/gpu/card.sh models                         write models with random weights, in parallel
#   tools/gpu/card.sh check                          compare the card with the CPU
#   tools/gpu/card.sh measure FOLDER [OPTION ...]    measure; JSON and tables go to FOLDER
#
# A step that was done is done no more. DEVICE=cpu leaves the card out and takes tiny models.
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-python3}
WORK=${WORK:-build/gpu}
DEVICE=${DEVICE:-cuda}
if [ "$DEVICE" = cuda ]; then SIZES=${SIZES:-large-v3-turbo large-v3}; else SIZES=${SIZES:-dry}; fi

fail() {
    echo "card.sh: $1" >&2
    exit 1
}

use() {
    export PYTHONPATH="$PWD/$WORK/site:$PWD" HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
    export CUDA_CACHE_PATH="$PWD/$WORK/cuda-cache" # what the driver translates, for all processes
    export LD_LIBRARY_PATH="$PWD/$WORK/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
}

take() {
    local sum
    sum=$(dirname "$1")/sum
    for file in "$1" "$sum"; do [ -f "$file" ] || fail "there is no file $file"; done
    mkdir -p "$WORK/parts"
    cp "$1" "$WORK/parts/"
    cp "$sum" "$WORK/parts/sum"
    echo "kept: $(cd "$WORK/parts" && echo part-*)"
}

install() {
    if [ ! -e "$WORK/site/.whole" ]; then
        mkdir -p "$WORK/wheels"
        # shellcheck disable=SC2012  # the names are ours: part-1, part-2, ...
        (cd "$WORK/parts" && ls part-* | sort -t- -k2n | xargs cat >wheels.tar && sha256sum --check sum) ||
            fail "a part is missing or broken: take each of them"
        tar -xf "$WORK/parts/wheels.tar" -C "$WORK/wheels"
        "$PYTHON" -m pip install --quiet --no-deps --no-index --no-compile --upgrade \
            --disable-pip-version-check --root-user-action=ignore \
            --target "$WORK/site" "$WORK"/wheels/*.whl
        name_checkout
        touch "$WORK/site/.whole"
    fi
    [ "$DEVICE" = cpu ] || link_cublas
}

# stt reads its version from the metadata of an installation; here it runs from the checkout.
name_checkout() {
    mkdir -p "$WORK/site/stt_fleet-0.dist-info"
    printf 'Metadata-Version: 2.1\nName: stt-fleet\nVersion: 0\n' >"$WORK/site/stt_fleet-0.dist-info/METADATA"
}

# CTranslate2 opens libcublas.so.12 by its name; PyTorch for CUDA 13 brings libcublas.so.13.
link_cublas() {
    local found
    found=$("$PYTHON" -c 'import sys; print("\n".join(p for p in sys.path if p.endswith("-packages")))' |
        while read -r folder; do find "$folder/nvidia" -name 'libcublas.so.1[23]' 2>/dev/null; done
        find /usr/local/cuda*/ -name 'libcublas.so.1[23]' 2>/dev/null || true)
    found=$(echo "$found" | head -n 1)
    [ -n "$found" ] || fail "there is no libcublas.so.12 or .13 in PyTorch's packages or /usr/local"
    mkdir -p "$WORK/lib"
    ln -sf "$found" "$WORK/lib/libcublas.so.12"
    # What cuBLAS and CTranslate2 open themselves: cublasLt, the runtime, NCCL.
    find "$(dirname "$found")" "$(dirname "$found")/../../nccl/lib" -maxdepth 1 -name 'lib*.so.*' \
        -exec ln -sf -t "$WORK/lib" {} + 2>/dev/null || true
    ls -l "$WORK/lib/libcublas.so.12"
}

models() {
    use
    local quantization=float16 jobs=() tokenizer=$WORK/wheels/tokenizer.json
    [ -e "$tokenizer" ] || tokenizer=
    [ "$DEVICE" = cuda ] || quantization=float32
    for size in $SIZES; do
        [ -e "$WORK/models/$size/preprocessor_config.json" ] && continue
        "$PYTHON" -m tools.gpu.plan "$size" "$WORK/models/$size" "$quantization" ${tokenizer:+"$tokenizer"} &
        jobs+=($!)
    done
    for job in "${jobs[@]}"; do wait "$job" || fail "a model was not written"; done
}

check() {
    use
    "$PYTHON" -m tools.gpu.card_check "$DEVICE" "$WORK/models/${SIZES%% *}"
}

measure() {
    use
    local folder=$1
    shift
    # shellcheck disable=SC2086  # the sizes are meant to be split
    "$PYTHON" -m tools.gpu.measure --device "$DEVICE" --models "$WORK/models" --out "$folder" \
        --sizes $SIZES "$@"
}

command=${1:-}
[ $# -gt 0 ] && shift
case "$command" in
take | measure) [ $# -gt 0 ] || fail "$command what? See the head of $0" ;;
install | models | check) ;;
*) fail "take, install, models, check or measure: see the head of $0" ;;
esac
"$command" "$@"
