#!/usr/bin/env bash
# Collects what fuzzing led to: of corpus/TARGET the few inputs, 4 KiB each at most, that together reach
# every branch that all of them reach. They go to ../tests/hostile/collected, which each test run replays
# and later fuzzing begins with: collect.sh [TARGET ...]
set -euo pipefail
cd "$(dirname "$0")"
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs -a fuzz_targets/*.rs)
host=$(rustc -vV | sed -n 's/^host: //p')
kept=../tests/hostile/collected
mkdir -p "$kept" logs
for target in "${targets[@]}"; do
  all=$(mktemp -d) few=$(mktemp -d) most=4096
  # A database has that many bytes before its first record.
  [ "$target" != lmdb ] || most=32768
  # Inputs that give way to smaller ones while the target is fuzzed go between two looks.
  for from in "corpus/$target" "collected/$target"; do
    [ ! -d "$from" ] || cp -r "$from/." "$all" 2> "logs/$target.merge" || true
  done
  "target/$host/release/$target" -merge=1 -use_counters=0 -max_len="$most" \
    -timeout=60 -rss_limit_mb=2048 -detect_leaks=0 "$few" "$all" >> "logs/$target.merge" 2>&1
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$few" -cf - . |
    gzip -9n > "$kept/$target.tar.gz"
  echo "$target: $(ls "$few" | wc -l) of $(ls "$all" | wc -l) inputs, $(wc -c < "$kept/$target.tar.gz") bytes"
  rm -r "$few" "$all"
done
