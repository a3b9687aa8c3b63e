#!/bin/sh
# A coordinator on this machine, from a fresh checkout: sets up .venv, says where it is, starts it.
#
#   sh tools/run_master.sh               for this machine alone
#   sh tools/run_master.sh --lan         for the whole network
#   sh tools/run_master.sh --port 9000   any flag of `stt coordinator`
#
# Settings come from the environment and from .env: MONGO_URL (else an embedded database),
# STT_COORDINATOR_KEY (else a key is made and shown once), STT_COORDINATOR_PORT.
set -eu
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
export VENV
PYTHON=${PYTHON:-python3} UV=${UV-$(command -v uv || true)} sh tools/setup_venv.sh coordinator embedded

port=${STT_COORDINATOR_PORT:-8000}
host=''
previous=''
for flag in "$@"; do
    case $flag in --port=*) port=${flag#*=} ;; --host=*) host=${flag#*=} ;; esac
    case $previous in --port) port=$flag ;; --host) host=$flag ;; esac
    previous=$flag
done
if [ "${1:-}" = --lan ]; then
    shift
    host=0.0.0.0
    set -- --host 0.0.0.0 "$@"
fi

# The address that others in the network see; nothing is sent to find it.
lan_address() {
    "$VENV/bin/python" -c 'import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
    try:
        probe.connect(("192.0.2.1", 9))
        print(probe.getsockname()[0])
    except OSError:
        pass'
}

echo "Pages: http://127.0.0.1:$port"
if [ "${host:-${STT_COORDINATOR_HOST:-127.0.0.1}}" = 0.0.0.0 ]; then
    address=$(lan_address)
    if [ -n "$address" ]; then
        echo "From other machines: http://$address:$port"
        echo "A node joins with: sh tools/run_worker.sh http://$address:$port"
    fi
else
    echo "Other machines cannot reach it: for them, --lan (see docs/guides/networks-and-sizing.md)"
fi
exec "$VENV/bin/stt" coordinator "$@"
