#!/usr/bin/env python3
"""Checks that src/ and sdk/ call no function that tools/banned.txt keeps out of their folder."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
CALL = re.compile(r"(?<![\w.>])([a-z_][a-z0-9_]*)\s*\(")
# A definition or declaration of a function that only shares the name: a type stands before it.
DECLARES = re.compile(r"\b(?:int|void|bool|char|size_t|ssize_t|int64_t|uint64_t|static|inline|struct \w+)[\s*]+$")


def read_rules():
    rules = {}
    for line in (ROOT / "tools/banned.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            names, _, folders = line.partition(":")
            for name in names.split():
                rules[name] = tuple(folders.split())
    return rules


def blank(match):
    return re.sub(r"[^\n]", " ", match.group(0))


def main():
    rules = read_rules()
    failures = []
    files = sorted([*ROOT.glob("src/**/*.[ch]"), *ROOT.glob("sdk/**/*.[ch]")])
    for path in files:
        name = str(path.relative_to(ROOT))
        text = NOISE.sub(blank, path.read_text(errors="replace"))
        local = set(re.findall(r"^(?:static )?[\w *]*?\b([a-z_]\w*)\([^;]*?\)\s*\{", text, re.M))
        for match in CALL.finditer(text):
            function = match.group(1)
            if function not in rules or function in local:
                continue
            if any(name.startswith(folder) for folder in rules[function]):
                continue
            line_start = text.rfind("\n", 0, match.start()) + 1
            if DECLARES.search(text[line_start:match.start()]):
                continue
            line = text.count("\n", 0, match.start()) + 1
            places = " ".join(rules[function]) or "nowhere"
            failures.append(f"{name}:{line}: {function}() may be called in {places} only (tools/banned.txt says why)")
    print("\n".join(failures) if failures else f"banned: {len(files)} files call nothing that is kept from them")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
