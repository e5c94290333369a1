#!/usr/bin/env bash
# Fuzzes the worker protocols and the queries of /api/v2: each target for so many seconds (600), beginning with recorded
# connections and with queries of every form.
#   tests/fuzz/run.sh [SECONDS [TARGET …]]
# Needs a nightly compiler and `cargo install cargo-fuzz`. What is found lies in tests/fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-600}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(banana jelly pb msgpack caller job query)
python3 seeds.py ../../crates/lunabot-proto/tests/vectors corpus
for target in "${targets[@]}"; do
    cargo +nightly fuzz run --fuzz-dir . "$target" -- -max_total_time="$seconds" -max_len=65536 -rss_limit_mb=1024 -timeout=10
done
