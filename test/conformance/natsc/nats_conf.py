"""Reads a configuration of nats-server: maps, arrays, strings, numbers, booleans; '#' and '//' comments; a key may
be followed by ':', '=' or nothing; commas and semicolons between elements are optional."""
import re

TOKEN = re.compile(r"""\s+ | \#[^\n]* | //[^\n]* | (?P<mark>[{}\[\],;:=]) | "(?P<double>(?:[^"\\]|\\.)*)" |
                       '(?P<single>[^']*)' | (?P<bare>[^\s{}\[\],;:=\#"'][^\s{}\[\],;=]*)""", re.X)


class ConfigError(Exception):
    pass


def tokens(text):
    """(is_mark, value) of each token."""
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if not found:
            raise ConfigError(f"line {text.count(chr(10), 0, at) + 1}: cannot read {text[at:at + 20]!r}")
        at = found.end()
        for kind in ("double", "single"):
            if found[kind] is not None:
                yield False, found[kind]
        if found["mark"]:
            yield True, found["mark"]
        if found["bare"] is not None:
            bare = found["bare"]
            # "key:" without a blank in between
            if bare.endswith(":") and not bare.startswith("nats:"):
                yield False, bare[:-1]
                yield True, ":"
            else:
                yield False, scalar(bare)


def scalar(text):
    if text.lower() in ("true", "yes", "on", "enabled"):
        return True
    if text.lower() in ("false", "no", "off", "disabled"):
        return False
    return int(text) if re.fullmatch(r"-?\d+", text) else text


class Reader:
    def __init__(self, text):
        self.rest = list(tokens(text))

    def peek(self):
        return self.rest[0] if self.rest else None

    def take(self):
        if not self.rest:
            raise ConfigError("ends in the middle")
        return self.rest.pop(0)

    def skip(self, marks):
        while self.rest and self.rest[0][0] and self.rest[0][1] in marks:
            self.rest.pop(0)

    def value(self):
        mark, value = self.take()
        if mark and value == "{":
            return self.mapping(True)
        if mark and value == "[":
            return self.array()
        if mark:
            raise ConfigError(f"a value expected, found {value!r}")
        return value

    def array(self):
        values = []
        while True:
            self.skip(",;")
            if self.peek() == (True, "]"):
                self.take()
                return values
            values.append(self.value())

    def mapping(self, braces):
        values = {}
        while True:
            self.skip(",;")
            if not self.rest and not braces:
                return values
            if self.peek() == (True, "}"):
                self.take()
                return values
            mark, key = self.take()
            if mark:
                raise ConfigError(f"a key expected, found {key!r}")
            self.skip(":=")
            values[str(key)] = self.value()


def parse(text):
    return Reader(text).mapping(False)
