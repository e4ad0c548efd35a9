#!/bin/sh
# exports.sh MODULE.so LIBDURE.so LIBDURE.a: a module exports one symbol, the library only dure_*.
set -eu
names() { nm "$@" | awk 'NF == 3 && $2 ~ /[A-TV-Z]/ {print $3}' | sort -u; }
module=$(names -D --defined-only "$1")
[ "$module" = dure_module_entry ] || { echo "a module exports: $module"; exit 1; }
for lib in "-D $2" "-g $3"; do
    # shellcheck disable=SC2086 # an option and a path
    other=$(names --defined-only $lib | grep -v '^dure_' || true)
    [ -z "$other" ] || { echo "$lib exports: $other"; exit 1; }
done
names -D --defined-only "$2" | grep -q '^dure_main$'
