#!/usr/bin/env python3
"""Checks that every #include in src/ and sdk/ points where tools/layers.txt allows it to."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')


def read_layers():
    allowed = {}
    for line in (ROOT / "tools/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            folder, _, below = line.partition(":")
            allowed[folder.strip()] = set(below.split())
    return allowed


def folder_of(path):
    parts = path.relative_to(ROOT).parts
    return "sdk" if parts[0] == "sdk" else parts[1]


def main():
    allowed = read_layers()
    failures = []
    files = sorted([*ROOT.glob("src/**/*.[chS]"), *ROOT.glob("src/**/*.def"), *ROOT.glob("sdk/**/*.[ch]")])
    for path in files:
        here = folder_of(path)
        if here not in allowed:
            failures.append(f"{path.relative_to(ROOT)}: the folder {here} is not in tools/layers.txt")
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            name = match.group(1)
            where = f"{path.relative_to(ROOT)}:{number}"
            if "/" not in name and here == "sdk":
                continue  # the SDK's sources are one flat folder
            if "/" not in name:
                failures.append(f'{where}: "{name}": write the path from src/, for example "{here}/{name}"')
                continue
            target = "sdk" if name.startswith(("dure/", "sdk/")) else name.split("/")[0]
            if target != here and target not in allowed[here]:
                failures.append(f"{where}: {here} must not include {name} (allowed: {' '.join(sorted(allowed[here])) or 'nothing'})")
    print("\n".join(failures) if failures else f"layers: {len(files)} files keep to tools/layers.txt")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
