#!/usr/bin/env bash
# Fuzzes all targets in turn, one process at a time: rounds.sh [SECONDS OF EACH] [ROUNDS] [TARGET ...]
# BUILD=no takes the targets as they were built last.
# Adds a line per turn to figures.tsv (target, processor seconds, executions, exit status) and tells
# the sums; logs/TARGET holds the last turn's output.
set -euo pipefail
cd "$(dirname "$0")"
each=${1:-3600} rounds=${2:-1} failed=0
targets=("${@:3}")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(basename -s .rs -a fuzz_targets/*.rs)
[ "${BUILD:-yes}" = no ] || bash build.sh
mkdir -p logs
for ((round = 1; round <= rounds; round++)); do
  for target in "${targets[@]}"; do
    status=0
    TIMEFORMAT='%U %S'
    time=$({ time BUILD=no bash run.sh "$target" "$each" > "logs/$target" 2>&1; } 2>&1) || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "logs/$target")
    echo "$target $time ${runs:-0} $status" |
      awk '{ printf "%s\t%.0f\t%s\t%s\n", $1, $2 + $3, $4, $5 }' | tee -a figures.tsv
    [ "$status" = 0 ] && continue
    failed=1
    grep -aE -A1 'panicked|ERROR|SUMMARY|Test unit' "logs/$target" | head -8 || true
  done
done
echo "target: processor seconds, executions, findings"
awk -F'\t' '{ s[$1] += $2; n[$1] += $3; f[$1] += $4 != 0 }
  END { for (t in s) printf "%s: %d s, %d, %d\n", t, s[t], n[t], f[t] }' figures.tsv | sort
exit "$failed"
