#!/usr/bin/env python3
"""Writes a C file with the contents of a folder's files: embed_files.py OUT.c ROOT FILE...
Each becomes one `struct scaffold_file` (src/app/init_files.h), by its path below ROOT."""
import pathlib
import sys

LINE = 72


def literals(text):
    """The bytes as C strings, a line each, so that a compiler's message about one can be read."""
    escaped = ""
    for byte in text:
        char = chr(byte)
        if char in '"\\':
            escaped += "\\" + char
        elif char == "?":
            escaped += "\\?"  # no trigraphs
        elif 32 <= byte < 127:
            escaped += char
        else:
            escaped += f"\\{byte:03o}"
        if len(escaped) >= LINE or byte == 10:
            yield f'     "{escaped}"'
            escaped = ""
    yield f'     "{escaped}"'


def main():
    out, root, *names = sys.argv[1:]
    lines = ['#include "app/init_files.h"', "", "const struct scaffold_file scaffold_files[] = {"]
    for name in sorted(names):
        lines.append(f'    {{"{pathlib.Path(name).resolve().relative_to(pathlib.Path(root).resolve())}",')
        lines += literals(pathlib.Path(name).read_bytes())
        lines[-1] += "},"
    lines += ["};", "const size_t scaffold_file_count = sizeof scaffold_files / sizeof *scaffold_files;", ""]
    pathlib.Path(out).write_text("\n".join(lines))


if __name__ == "__main__":
    main()
