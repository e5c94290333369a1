#!/usr/bin/env bash
# Asks a master everything that its OpenAPI document describes, right and wrong, for so many seconds (600), and checks
# what it answers; exit status 1 where something is wrong.
#   tests/schemathesis.sh [SECONDS [further options of schemathesis run …]]
# Needs a built master (cargo build --workspace --bins), python3 with venv, and curl.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600}
shift || true

venv=$PWD/target/api-venv
wanted=(schemathesis==4.32.5 openapi-spec-validator==0.9.0)
if [ "$("$venv/bin/pip" freeze 2>/dev/null | grep -cxF "$(printf '%s\n' "${wanted[@]}")")" != ${#wanted[@]} ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet "${wanted[@]}"
fi

dir=$(mktemp -d)
master=
finish() {
    [ -z "$master" ] || { kill "$master" && wait "$master" || true; }
    rm -rf "$dir"
}
trap finish EXIT
# The configuration on which the API is compared with Buildbot's, with workers in the master.
sed -E 's/worker\.Worker\{"(w[12])", "pass"/worker.LocalWorker{"\1"/g; s/max_builds = 2/max_builds = 9/' tests/compare/api/master.lua >"$dir/master.lua"
NO_COLOR=1 target/debug/lunabot start "$dir" 2>"$dir/log" &
master=$!
base=
for _ in $(seq 600); do
    base=$(sed -nE 's|.*the pages are at (http://[^ "]*[^/ "]).*|\1|p' "$dir/log" | sed 's/localhost/127.0.0.1/')
    [ -z "$base" ] || break
    kill -0 "$master" || { cat "$dir/log" >&2; exit 1; }
    sleep 0.1
done

# Some history: builds good and bad, a rebuild, a request that is cancelled.
change() { curl -fsS "$base/change_hook/base" "$@" >/dev/null; }
control() { # PATH METHOD PARAMS
    curl -fsS "$base/api/v2/$1" -H 'content-type: application/json' \
        -d "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"$2\", \"params\": $3}" >/dev/null
}
quiet() {
    for _ in $(seq 600); do
        curl -fsS "$base/api/v2/buildrequests?complete=false" | grep -q '"total": *0' && return
        sleep 0.1
    done
    echo "builds do not end" >&2
    exit 1
}
change -d author=bob -d comments=elsewhere -d repository=http://r/x
change -d author=ann -d revision=r1 -d branch=main -d 'files=["a.txt"]' -d 'properties={"p": [1]}'
for builder in alpha 'beta/x y' zeta; do
    control forceschedulers/force force "{\"builderNames\": [\"$builder\"], \"reason\": \"because\"}"
    quiet
done
control builds/1 rebuild '{}'
quiet

curl -fsS "$base/api/openapi.json" >"$dir/openapi.json"
"$venv/bin/openapi-spec-validator" "$dir/openapi.json"
# Left out is what Buildbot's clients know otherwise: methods that are not there are answered 400 (09.051), and what the
# document cannot say is refused: conditions and orders on fields that are not among those asked for (09.069), and
# dialects that are not switched on.
status=0
(cd "$dir" && "$venv/bin/schemathesis" run openapi.json --url "$base" --max-time "$seconds" --workers 2 --no-color \
    --continue-on-failure --generation-database none --exclude-checks unsupported_method,positive_data_acceptance "$@") || status=$?
kill -0 "$master" || { echo "the master has ended" >&2; status=1; }
if grep -E ' (ERROR|panic)' "$dir/log" >&2; then status=1; fi
exit $status
