#!/bin/sh
# combine.sh OUT.o MAIN.a [OTHER.a ...]: one object of all of MAIN.a and what it needs of the others,
# in which only the names that are exported (visibility default: dure_*) are global. So neither the
# program that hosts modules nor a service that links libdure.a can collide with a name of ours.
# With LTO_CC set (gcc -flto) the archives hold no machine code yet: the compiler makes it here.
set -eu
out=$1 main=$2
shift 2
if [ -n "${LTO_CC:-}" ]; then
    $LTO_CC -O3 -flto -r -nostdlib -flinker-output=nolto-rel \
        -Wl,--whole-archive "$main" -Wl,--no-whole-archive "$@" -o "$out.all"
else
    "${LD:-ld}" -r --whole-archive "$main" --no-whole-archive "$@" -o "$out.all"
fi
"${OBJCOPY:-objcopy}" --localize-hidden "$out.all" "$out"
rm -f "$out.all"
