#!/usr/bin/env bash
# Collects what fuzzing led to: of corpus/TARGET the few inputs, 4 KiB each at most, that together
# reach every branch that all of them reach. They go to ../tests/hostile/collected, which each test
# run replays and later fuzzing begins with: collect.sh [TARGET ...]
set -euo pipefail
cd "$(dirname "$0")"
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs -a fuzz_targets/*.rs)
host=$(rustc -vV | sed -n 's/^host: //p')
kept=../tests/hostile/collected
mkdir -p "$kept"
for target in "${targets[@]}"; do
  few=$(mktemp -d)
  from=("corpus/$target")
  [ ! -d "collected/$target" ] || from+=("collected/$target")
  "target/$host/release/$target" -merge=1 -use_counters=0 -max_len=4096 \
    -timeout=60 -rss_limit_mb=2048 -detect_leaks=0 "$few" "${from[@]}" > "logs/$target.merge" 2>&1
  tar --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -C "$few" -cf - . | gzip -9n > "$kept/$target.tar.gz"
  echo "$target: $(ls "$few" | wc -l) of $(ls "${from[@]}" | wc -l) inputs, $(wc -c < "$kept/$target.tar.gz") bytes"
  rm -r "$few"
done
