#!/bin/sh
# Makes this machine a node of a coordinator; run again, it updates. See --help.
set -eu

usage() {
    cat <<'END'
Makes this machine a node: it transcribes for a coordinator that it reaches over HTTP.
For macOS and Linux; needs Python 3.11 or newer and no administrator.

  sh tools/install-node.sh
  sh tools/install-node.sh --server http://192.168.1.10:8000 --name "M4 MacBook Pro" --as service
  sh tools/install-node.sh --uninstall

What is not given is asked for, if there is a terminal. Run again, it updates the program, keeps
the registration and what was said of --as, --light and --whisper-url, and restarts a service.

  --server URL       the coordinator's address
  --name NAME        what this machine is called there (its host name)
  --code CODE        the join code from the coordinator's page "Nodes"; better in STT_JOIN_CODE,
                     for others on this machine can read flags
  --as HOW           service: starts at every login (systemd, launchd); script: a start script;
                     manual: tells what to type
  --whisper-url URL  a whisper server that is there already; else the node starts one of its own
  --light            without a whisper server of its own; STT_SERVER_URL names one
  --from SOURCE      a checkout, a wheel, or an address that pip can install from
                     (the checkout that this script lies in)
  --prefix DIR       where to install (~/.local/share/stt-node)
  --python PYTHON    the interpreter
  --uninstall        tells the coordinator, then removes service, script and program
  --force            with --uninstall: even if the coordinator cannot be told
  -h, --help         this text
END
}

say() { printf '%s\n' "$*"; }

fail() {
    printf 'install-node: %s\n' "$*" >&2
    exit 1
}

wrong_usage() {
    printf 'install-node: %s (see --help)\n' "$*" >&2
    exit 2
}

server='' name='' code=${STT_JOIN_CODE:-} how='' whisper_url='' light='' source='' prefix=''
python='' uninstall='' force=''

while [ $# -gt 0 ]; do
    case $1 in
        --server | --name | --code | --as | --whisper-url | --from | --prefix | --python)
            [ $# -ge 2 ] && [ -n "$2" ] || wrong_usage "$1 wants a value"
            case $1 in
                --server) server=$2 ;;
                --name) name=$2 ;;
                --code) code=$2 ;;
                --as) how=$2 ;;
                --whisper-url) whisper_url=$2 ;;
                --from) source=$2 ;;
                --prefix) prefix=$2 ;;
                --python) python=$2 ;;
            esac
            shift 2
            ;;
        --light) light=yes && shift ;;
        --uninstall) uninstall=yes && shift ;;
        --force) force=yes && shift ;;
        -h | --help) usage && exit 0 ;;
        *) wrong_usage "I do not know $1" ;;
    esac
done

case $how in '' | service | script | manual) ;; *) wrong_usage "--as is service, script or manual" ;; esac
[ -n "${HOME:-}" ] && [ -d "$HOME" ] || fail "HOME is no folder: where should the node live?"
case $(uname -s) in
    Darwin | Linux) ;;
    *) fail "this is for macOS and Linux; on Windows see tools/run_worker.bat" ;;
esac

prefix=${prefix:-${XDG_DATA_HOME:-$HOME/.local/share}/stt-node}
case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
venv=$prefix/venv
stt=$venv/bin/stt
start_script=$prefix/start-node.sh
# What lies beside this file is ours: nothing else is ever removed. It holds what the next run is not
# told again.
mark=$prefix/.made-by-install-node

recall() {
    [ -r "$mark" ] || return 0
    while IFS= read -r line; do
        case $line in
            how=*) how=${how:-${line#how=}} ;;
            light=*) light=${light:-${line#light=}} ;;
            whisper_url=*) whisper_url=${whisper_url:-${line#whisper_url=}} ;;
            *) ;;
        esac
    done <"$mark"
}

remember() {
    printf 'how=%s\nlight=%s\nwhisper_url=%s\n' "$how" "$light" "$whisper_url" >"$mark" ||
        fail "$mark cannot be written"
}

ask() { # QUESTION DEFAULT: the answer goes to $answer
    if [ -n "$2" ]; then printf '%s [%s]: ' "$1" "$2"; else printf '%s: ' "$1"; fi
    IFS= read -r answer || answer=''
    answer=${answer:-$2}
}

can_ask() { [ -t 0 ] && [ -t 1 ]; }

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    if [ -n "$python" ]; then
        is_new_enough "$python" || fail "$python is not Python 3.11 or newer"
        return
    fi
    for python in python3 python3.13 python3.12 python3.11; do
        if is_new_enough "$python"; then return; fi
    done
    found=$(python3 -V 2>/dev/null) || found='none at all'
    fail "stt needs Python 3.11 or newer, and here is $found:
  macOS: brew install python@3.12    Debian, Ubuntu: apt install python3 python3-venv
  or name one: --python /path/to/python3.12"
}

# What pip is told to install, from what --from says.
find_source() {
    if [ -z "$source" ]; then
        source=$(cd "$(dirname "$0")/.." 2>/dev/null && pwd) || source=''
        [ -f "$source/pyproject.toml" ] && [ -d "$source/stt" ] ||
            fail "this script lies in no checkout of stt: say --from CHECKOUT, WHEEL or ADDRESS"
    fi
    extras=node
    if [ -z "$light$whisper_url" ]; then
        extras=node,server
        # The interpreter's word: one that runs in Rosetta cannot use the GPU.
        case $("$python" -c 'import platform; print(platform.system(), platform.machine())') in
            'Darwin arm64') extras=node,server,mlx ;;
            Darwin*)
                if [ "$(sysctl -n hw.optional.arm64 2>/dev/null)" = 1 ]; then
                    say "Note: $python is made for Intel, so the GPU of this Mac stays unused."
                fi
                ;;
        esac
    fi
    lock=''
    case $source in
        *://* | git+*) package="stt-fleet[$extras] @ $source" ;;
        *)
            [ -e "$source" ] || fail "--from $source: there is nothing"
            source=$(cd "$(dirname "$source")" && pwd)/$(basename "$source")
            package="${source}[$extras]"
            [ ! -f "$source/requirements.lock" ] || lock=$source/requirements.lock
            ;;
    esac
}

install_program() {
    if [ -e "$venv" ] && [ ! -e "$mark" ]; then
        fail "$venv is there, and not by this script: move it away, or choose another --prefix"
    fi
    say "Installing stt ($extras) into $venv, which takes a minute ..."
    if [ ! -x "$venv/bin/python" ] || ! is_new_enough "$venv/bin/python"; then
        "$python" -c 'import venv, ensurepip' 2>/dev/null ||
            fail "$python lacks the venv module (Debian, Ubuntu: apt install python3-venv)"
        if ! { mkdir -p "$prefix" && : >"$mark"; }; then fail "$prefix cannot be written to"; fi
        "$python" -m venv --clear "$venv" || fail "no virtual environment could be made in $venv"
    fi
    # A wheel of the same version is else taken for installed already.
    if [ -x "$stt" ]; then
        case $source in *.whl | *://* | git+*) pip_install --force-reinstall --no-deps ;; esac
    fi
    pip_install --upgrade-strategy only-if-needed
    "$stt" --version >/dev/null || fail "the program was installed and does not run, see above"
}

# Without pip's cache, in the environment to reach the pip that pip calls: all that is made in HOME
# is what --uninstall removes.
pip_install() {
    PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip install --quiet \
        ${lock:+--constraint "$lock"} "$@" "$package" ||
        fail "pip could not install it, see above; run this again to go on"
}

config_dir() { "$venv/bin/python" -c 'from stt.settings import load_settings as load
print(load().config_dir)'; }

register() {
    if [ -e "$config/node.json" ]; then
        say "This machine is registered already ($config/node.json)."
        return
    fi
    if [ -z "$server" ]; then
        can_ask || fail "which coordinator? Say --server URL"
        ask "The coordinator's address" ''
        server=$answer
    fi
    if [ -z "$name" ]; then
        name=$(scutil --get ComputerName 2>/dev/null || uname -n)
        if can_ask; then
            ask "A name for this machine" "$name"
            name=$answer
        fi
    fi
    [ -n "$code" ] || can_ask || fail "which join code? Set STT_JOIN_CODE; the coordinator's page \
\"Nodes\" makes one"
    # `stt` asks for a code that is not there, and does not show it.
    if [ -n "$code" ]; then export STT_JOIN_CODE="$code"; fi
    "$stt" node register --server "$server" --name "$name" ||
        fail "stt is installed, but not registered: mend what it says above and run this again"
    unset STT_JOIN_CODE
}

quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

write_script() {
    if ! {
        printf '#!/bin/sh\n# Starts the node; Ctrl-C ends it. Written by install-node.sh.\n'
        # shellcheck disable=SC2016  # what is in quotes is for the script that is written
        printf 'export STT_CONFIG_DIR=%s\ncd "$STT_CONFIG_DIR" || exit\n' "$(quoted "$config")"
        printf 'exec %s node start --no-browser' "$(quoted "$stt")"
        [ -z "$whisper_url" ] || printf ' --server-url %s' "$(quoted "$whisper_url")"
        printf ' "$@"\n'
    } >"$start_script" || ! chmod 755 "$start_script"; then
        fail "$start_script cannot be written"
    fi
    say "Start the node with: $start_script"
}

set_up_start() {
    if [ -z "$how" ]; then
        how=manual
        if can_ask; then
            ask "How is the node started: service, script or manual" service
            how=$answer
        fi
    fi
    case $how in
        service)
            set -- install
            [ -z "$whisper_url" ] || set -- install -- --server-url "$whisper_url"
            if "$stt" node service "$@"; then
                say "Its log: $stt node service logs --follow"
            else
                say "So a script it is."
                how=script
                write_script
            fi
            ;;
        script) write_script ;;
        *)
            say "Start the node with:"
            if [ -n "$whisper_url" ]; then
                say "  $stt node start --server-url $whisper_url"
            else
                say "  $stt node start"
            fi
            ;;
    esac
}

# The coordinator is told first: it gives what the node holds to others at once.
leave() {
    config=$(config_dir) || fail "a setting is wrong, see above"
    if [ -e "$config/node.json" ] && ! "$stt" node unregister; then
        [ -n "$force" ] || fail "nothing is removed yet; --force goes on without the coordinator"
        "$stt" node unregister --force || say "Going on all the same."
    fi
    status=0
    refusal=$("$stt" node service uninstall 2>&1) || status=$?
    # 3: this machine keeps no services, so there is none.
    case $status in 0 | 3) ;; *) [ -n "$force" ] || fail "$refusal" ;; esac
    rm -f "$config/node.lock" "$config/node.state.json"
    [ ! -d "$config" ] || rmdir "$config" 2>/dev/null ||
        say "Left alone: $config, which holds files of yours"
}

uninstall_all() {
    if [ ! -e "$mark" ]; then
        say "There is no node of this script in $prefix."
        return
    fi
    if [ -x "$stt" ]; then
        leave
    elif [ -z "$force" ]; then
        fail "$stt is not there to tell the coordinator: install anew first, or --force"
    fi
    rm -rf "$venv"
    rm -f "$start_script" "$mark"
    rmdir "$prefix" 2>/dev/null || say "Left alone: $prefix, which holds files of yours"
    say "Uninstalled. Models that were downloaded stay in the cache of the Hugging Face hub."
}

if [ -n "$uninstall" ]; then
    uninstall_all
    exit
fi
recall
find_python
find_source
install_program
config=$(config_dir) || fail "a setting is wrong, see above"
register
set_up_start
remember
