"""Where the keys of a TOML text stand: key path -> line, so that an error can point at its place.

tomllib keeps no positions. This scanner relies on tomllib for validity and only follows the structure: it reads keys
and brackets and skips everything else.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Sequence

KeyPath = tuple[str | int, ...]

_BASIC = r'"(?:[^"\\\n]|\\.)*+"'
_LITERAL = r"'[^'\n]*+'"
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*+")
_KEY = re.compile(rf"[ \t]*({_BASIC}|{_LITERAL}|[A-Za-z0-9_-]+)[ \t]*")
# The triple quotes come first: an empty string is also the beginning of one. Up to two quotes may precede the closing
# ones. Everything else (numbers, dates, booleans) ends where the enclosing structure goes on.
_SCALAR = re.compile(
    rf'"""(?:[^"\\]|\\.|""?(?!"))*+"{{3,5}}|\'\'\'(?:[^\']|\'\'?(?!\'))*+\'{{3,5}}|{_BASIC}|{_LITERAL}|[^,\[\]{{}}#\n"\']+',
    re.DOTALL,
)


class Locations:
    """Lines of all key paths of one TOML document; list elements are addressed by index.

    A key that only exists implicitly ("a" in [a.b]) stands where it is first mentioned, unless its own header follows.
    """

    def __init__(self, lines: dict[KeyPath, int]) -> None:
        self._lines = lines

    @classmethod
    def of(cls, text: str) -> Locations:
        """text: a document that tomllib accepts. Raises ValueError where the structure can not be followed."""
        return cls(_Scanner(text).scan())

    def line(self, path: Sequence[str | int]) -> int | None:
        """1-based line of the key, or of the nearest enclosing key that exists; None if there is none."""
        path = tuple(path)
        return next((self._lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in self._lines), None)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.newlines = [match.start() for match in re.finditer("\n", text)]
        self.lines: dict[KeyPath, int] = {}
        self.last: dict[KeyPath, int] = {}  # array of tables -> index of its latest table

    def scan(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        while self.blank() < len(self.text):
            if self.take("[["):
                table = self.header(array=True)
            elif self.take("["):
                table = self.header(array=False)
            else:
                self.pair(table)
        return self.lines

    def header(self, *, array: bool) -> KeyPath:
        """[a.b] or [[a.b]] after its opening bracket -> the path of the table it opens."""
        line = self.line()
        parts = self.keys()
        path: KeyPath = ()
        for part in parts[:-1]:
            path = self.mention((*path, part), line)
            if path in self.last:
                path = (*path, self.last[path])
        path = (*path, parts[-1])
        if array:
            self.mention(path, line)
            self.last[path] = self.last.get(path, -1) + 1
            path = (*path, self.last[path])
        self.lines[path] = line
        self.expect("]]" if array else "]")
        return path

    def pair(self, table: KeyPath) -> None:
        """key = value; every part of a dotted key is a table of its own."""
        line = self.line()
        path = table
        for part in self.keys():
            path = self.mention((*path, part), line)
        self.lines[path] = line
        self.expect("=")
        self.value(path)

    def value(self, path: KeyPath) -> None:
        self.blank()
        if self.take("["):
            self.array(path)
        elif self.take("{"):
            self.inline_table(path)
        else:
            self.match(_SCALAR, "a value")

    def array(self, path: KeyPath) -> None:
        index = 0
        self.blank()
        while not self.take("]"):
            self.lines[*path, index] = self.line()
            self.value((*path, index))
            self.separator("]")
            index += 1

    def inline_table(self, path: KeyPath) -> None:
        self.blank()
        while not self.take("}"):
            self.pair(path)
            self.separator("}")

    def separator(self, closing: str) -> None:
        self.blank()
        if not self.take(",") and not self.text.startswith(closing, self.at):
            raise self.unexpected(f"a comma or {closing!r}")
        self.blank()

    def keys(self) -> list[str]:
        """A bare, quoted or dotted key -> its parts."""
        parts = [self.key()]
        while self.take("."):
            parts.append(self.key())
        return parts

    def key(self) -> str:
        raw = self.match(_KEY, "a key")[1]
        if "\\" in raw and raw[0] == '"':
            unescaped: str = tomllib.loads(f"key = {raw}")["key"]
            return unescaped
        return raw[1:-1] if raw[0] in "\"'" else raw

    def mention(self, path: KeyPath, line: int) -> KeyPath:
        self.lines.setdefault(path, line)
        return path

    def blank(self) -> int:
        """Skip white space, line ends and comments."""
        self.at = self.match(_BLANK, "").end()
        return self.at

    def take(self, token: str) -> bool:
        found = self.text.startswith(token, self.at)
        self.at += len(token) * found
        return found

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise self.unexpected(repr(token))

    def match(self, pattern: re.Pattern[str], wanted: str) -> re.Match[str]:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise self.unexpected(wanted)
        self.at = match.end()
        return match

    def line(self) -> int:
        return bisect_right(self.newlines, self.at - 1) + 1

    def unexpected(self, wanted: str) -> ValueError:
        return ValueError(f"line {self.line()}: expected {wanted}")
