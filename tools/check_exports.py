#!/usr/bin/env python3
"""Checks that libdure.so, and the program for its modules, export dure_* and nothing else.

usage: check_exports.py FILE..."""
import subprocess
import sys

# What the linker and the C runtime define in every program.
RUNTIME = {"_init", "_fini", "__bss_start", "_edata", "_end", "main", "_start", "__data_start", "data_start",
           "_IO_stdin_used", "environ", "__environ", "_environ", "stdout", "stderr", "stdin"}


def main():
    bad = 0
    for path in sys.argv[1:]:
        listing = subprocess.run(["nm", "-D", "--defined-only", path], capture_output=True, text=True, check=True).stdout
        names = [line.split()[-1].split("@")[0] for line in listing.splitlines() if line.strip()]
        exported = [name for name in names if name.startswith("dure_")]
        strangers = [name for name in names if not name.startswith("dure_") and name not in RUNTIME]
        for name in strangers:
            print(f"{path}: exports {name}, which is no dure_* symbol")
        if not exported:
            print(f"{path}: exports no dure_* symbol at all")
        bad += len(strangers) + (not exported)
        if not strangers and exported:
            print(f"exports: {path} exports {len(exported)} dure_* symbols and nothing else")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
