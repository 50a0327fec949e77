#!/usr/bin/env bash
# Fuzzes one target for so many seconds: run.sh TARGET [SECONDS] [MORE OPTIONS OF LIBFUZZER]
# What is found goes to artifacts/TARGET; once mended, it belongs in ../tests/hostile/corpus/TARGET.
# PUBLISHED=yes begins with published nets as well; what comes of them stays apart, in published/TARGET.
# BUILD=no takes the targets as they were built last. With TMPDIR in memory (/dev/shm) targets that write
# their input to a file do not wait for a disk.
set -euo pipefail
cd "$(dirname "$0")"
target=${1:?which target: $(ls fuzz_targets | sed 's/.rs//' | tr '\n' ' ')}
seconds=${2:-3600}
shift $(( $# < 2 ? $# : 2 ))
[ "${BUILD:-yes}" = no ] || bash build.sh

# Good files to begin with: small ones of the kind.
shared=${CORTADO_SHARED:-../../shared}
of() {
  local root=$1 endings=$2
  shift 2
  [ ! -d "$root" ] || (cd "$root" && find "$@" -type f -size -32k \
    -regextype posix-extended -regex ".*\.($endings)" -printf "$PWD/%p\n")
}
good() { of ../tests/golden "$@"; }
published() { of "$shared/corpus" 'prototxt|pt' .; }
seeds() {
  case $target in
    caffemodel) good caffemodel solver upgrade ;;
    codec) good 'caffemodel|solverstate|binaryproto' solver text ;;
    hdf5) good h5 solver data ;;
    image) good 'png|jpg' data/images ;;
    lmdb) good mdb data ;;
    mean) good binaryproto data ;;
    net) good prototxt layers solver ;;
    solverstate) good 'solverstate|solverstate.h5' solver ;;
    text | text_codec) good prototxt text solver ;;
  esac
}
begin() {
  [ ! -d "$1" ] || return 0
  mkdir -p "$1"
  while read -r file; do cp "$file" "$1/$(cksum < "$file" | tr ' ' _)"; done
}
begin "corpus/$target" < <(seeds)
corpora=("corpus/$target")
collected=../tests/hostile/collected/$target.tar.gz
if [ -f "$collected" ]; then
  mkdir -p "collected/$target"
  tar -xzf "$collected" -C "collected/$target"
  corpora+=("collected/$target")
fi
[ ! -d "../tests/hostile/corpus/$target" ] || corpora+=("../tests/hostile/corpus/$target")
if [ "${PUBLISHED:-no}" = yes ]; then
  begin "published/$target" < <(published)
  corpora=("published/$target" "${corpora[@]}")
fi
mkdir -p "artifacts/$target"

# The second that an input may take is counted by the target itself, in processor time; the timeout
# is for what never ends.
exec "target/$(rustc -vV | sed -n 's/^host: //p')/release/$target" \
  "${corpora[@]}" -artifact_prefix="artifacts/$target/" \
  -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -malloc_limit_mb=512 -max_len=32768 \
  -detect_leaks=0 -print_final_stats=1 "$@"
