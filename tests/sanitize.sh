#!/bin/sh
# Builds native/*.c with the address and undefined-behaviour sanitizers, in a copy of the tree, and runs the
# tests that hold the C code against its Python twins.  Usage: tests/sanitize.sh [pytest arguments]
set -eu

python=${PYTHON:-python}
root=$(cd "$(dirname "$0")/.." && pwd)
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

cd "$root"
cp -R native redraft tests setup.py pyproject.toml "$copy"
for file in README.md LICENSE; do if [ -e "$file" ]; then cp "$file" "$copy"; fi; done
cd "$copy"
find . -name '*.so' -delete
export REDRAFT_CFLAGS="-g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined"
export REDRAFT_LDFLAGS="-fsanitize=address,undefined"
"$python" -W ignore setup.py -q build_ext --inplace

# Plain malloc, so that an overrun of a bytes object is seen; the interpreter's own leaks are not ours.
export PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
if [ "$#" -eq 0 ]; then set -- tests/accel tests/wal; fi
LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    "$python" -m pytest -p no:cacheprovider "$@"
