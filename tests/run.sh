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
wanted=(buildbot-worker==4.3.0 buildbot==4.3.0 buildbot-www==4.3.0)
if [ "$("$venv/bin/pip" freeze 2>/dev/null | grep -cxF "$(printf '%s\n' "${wanted[@]}")")" != ${#wanted[@]} ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet "${wanted[@]}"
fi

# The tests start the real programs.
cargo build --workspace --bins
if cargo nextest --version >/dev/null 2>&1; then
    exec cargo nextest run --workspace "$@"
else
    exec cargo test --workspace "$@"
fi
