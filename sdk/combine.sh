#!/bin/sh
# combine.sh OUT.o MAIN.a [OTHER.a ...]: one object of all of MAIN.a and what it needs of the others,
# in which only the names that are exported (visibility default: dure_*) are global. So neither the
# program that hosts modules nor a service that links libdure.a can collide with a name of ours.
set -eu
out=$1 main=$2
shift 2
"${LD:-ld}" -r --whole-archive "$main" --no-whole-archive "$@" -o "$out.all"
"${OBJCOPY:-objcopy}" --localize-hidden "$out.all" "$out"
rm -f "$out.all"
