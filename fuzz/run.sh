#!/usr/bin/env bash
# Fuzzes one target for so many seconds, on stable: run.sh TARGET [SECONDS] [MORE OPTIONS OF LIBFUZZER]
# What is found goes to artifacts/TARGET; once mended, it belongs in ../tests/hostile/corpus/TARGET.
set -euo pipefail
cd "$(dirname "$0")"
target=${1:?which target: $(ls fuzz_targets | sed 's/.rs//' | tr '\n' ' ')}
seconds=${2:-3600}
shift $(( $# < 2 ? $# : 2 ))
mkdir -p "corpus/$target"

# Good files to begin with: small ones of the kind.
golden=../tests/golden
find_good() { find "$@" -size -32k -type f; }
case $target in
  caffemodel) good=$(find_good $golden/solver $golden/upgrade -name '*.caffemodel') ;;
  codec) good=$(find_good $golden/solver $golden/text -name '*.caffemodel' -o -name '*.solverstate' -o -name '*.binaryproto') ;;
  hdf5) good=$(find_good $golden/solver $golden/data -name '*.h5') ;;
  image) good=$(find_good $golden/data/images) ;;
  mean) good=$golden/data/mean.binaryproto ;;
  net) good=$(find_good $golden/layers $golden/solver -name '*.prototxt') ;;
  solverstate) good=$(find_good $golden/solver -name '*.solverstate' -o -name '*.solverstate.h5') ;;
  text | text_codec) good=$(find_good $golden/text $golden/solver -name '*.prototxt') ;;
  *) good= ;;
esac
for file in $good ../tests/hostile/corpus/"$target"/*; do
  [ -f "$file" ] && cp "$file" "corpus/$target/$(sha1sum "$file" | cut -c1-16)"
done

export RUSTC_BOOTSTRAP=1
exec cargo fuzz run "$target" "corpus/$target" -- \
  -max_total_time="$seconds" -timeout=1 -rss_limit_mb=2048 -malloc_limit_mb=512 -max_len=32768 "$@"
