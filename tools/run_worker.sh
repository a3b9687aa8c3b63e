#!/bin/sh
# A node on this machine, from a fresh checkout: sets up .venv, registers, starts.
# To keep it running after a login: tools/install-node.sh.
#
#   sh tools/run_worker.sh http://192.168.1.10:8000                   asks for the join code
#   sh tools/run_worker.sh http://192.168.1.10:8000 "Friend's PC"     under a name
#   sh tools/run_worker.sh                                            again, once it is registered
#   sh tools/run_worker.sh --server-url http://gpu-box:8081           any flag of `stt node start`
#
# The join code comes from the coordinator's page "Nodes"; STT_JOIN_CODE saves the question.
set -eu
cd "$(dirname "$0")/.."

VENV=${VENV:-.venv}
export VENV
extras='node server'
case "$(uname -s) $(uname -m)" in 'Darwin arm64') extras='node server mlx' ;; esac
# shellcheck disable=SC2086  # the extras are meant to be split
PYTHON=${PYTHON:-python3} UV=${UV-$(command -v uv || true)} sh tools/setup_venv.sh $extras

case ${1:-} in
    http://* | https://*)
        server=$1 name=$(uname -n)
        shift
        case ${1:-} in '' | -*) ;; *) name=$1 && shift ;; esac
        folder=$("$VENV/bin/python" -c 'from stt.settings import load_settings as load
print(load().config_dir)')
        if [ -e "$folder/node.json" ]; then
            echo "This machine is registered already ($folder/node.json)."
        else
            "$VENV/bin/stt" node register --server "$server" --name "$name"
        fi
        ;;
esac
exec "$VENV/bin/stt" node start "$@"
