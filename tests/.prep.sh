#!/usr/bin/env bash
# Installs what the tests need (on Debian, as root or with sudo), then runs all of them.
#   tests/run.sh [arguments of cargo nextest run / cargo test]
set -euo pipefail
cd "$(dirname "$0")/.."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

packages=()
need() { command -v "$1" >/dev/null 2>&1 || packages+=("$2"); }
need git git
need svnserve subversion
need hg mercurial
need brz brz
need luarocks luarocks
need lua5.4 lua5.4
[ -e /usr/include/lua5.4/lua.h ] || packages+=(liblua5.4-dev)
need patch patch
need cc gcc
need sqlite3 sqlite3
need openssl openssl
need unshare util-linux
need chromium chromium
need chromedriver chromium-driver
need python3 python3
python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3-venv)
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || packages+=(postgresql)
if [ ${#packages[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || { echo "please install: ${packages[*]}" >&2; exit 1; }
    echo "installing ${packages[*]}"
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# Buildbot's own worker and client, which the tests connect, and its master, which our worker connects to.
venv=target/worker-venv
wanted=(buildbot-worker==4.3.0 buildbot==4.3.0 buildbot-www==4.3.0
    buildbot-waterfall-view==4.3.0 buildbot-console-view==4.3.0 buildbot-grid-view==4.3.0
    buildbot-wsgi-dashboards==4.3.0 Markdown==3.11.3)
if [ "$("$venv/bin/pip" freeze 2>/dev/null | grep -cxF "$(printf '%s\n' "${wanted[@]}")")" != ${#wanted[@]} ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet "${wanted[@]}"
fi

# Workers of releases that are still about, each with what it needs, in a place of its own.
left_out=()
old_worker() { # VERSION [REQUIREMENT …]
    local version=$1 venv=target/old-workers/$1 log
    shift
    local wanted=("buildbot-worker==$version" Twisted==26.10.0 "$@")
    [ "$("$venv/bin/pip" freeze 2>/dev/null | grep -cxF "$(printf '%s\n' "${wanted[@]}")")" != ${#wanted[@]} ] || return 0
    if log=$({ python3 -m venv "$venv" && "$venv/bin/pip" install --quiet "${wanted[@]}" && "$venv/bin/buildbot-worker" --version; } 2>&1); then
        return 0
    fi
    echo "SKIPPED: the tests of buildbot-worker $version, which cannot be installed with $(python3 --version): ${log##*$'\n'}" >&2
    left_out+=(--skip "row_16_019_worker_${version//./_}")
}
old_worker 3.11.9 autobahn==26.10.2 msgpack==1.2.4
old_worker 2.10.5 future==1.0.0
old_worker 1.8.2 future==1.0.0
old_worker 0.9.14 future==1.0.0
if [ ${#left_out[@]} -gt 0 ]; then
    case " $* " in *" -- "*) set -- "$@" "${left_out[@]}" ;; *) set -- "$@" -- "${left_out[@]}" ;; esac
fi

# A language server, which reads what `lunabot lua-stubs` writes.
server=emmylua_ls
server_version=0.25.1
if [ "$("target/tools/bin/$server" --version 2>/dev/null)" != "$server $server_version" ]; then
    cargo install --quiet --locked --debug --root target/tools "$server@$server_version"
fi

