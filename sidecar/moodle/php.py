"""The text of PHP's serialize() becomes plain data; objects and references are refused, nothing is executed.

Format: https://www.php.net/manual/en/function.serialize.php and php-src/ext/standard/var_unserializer.re.
"""

import re
from typing import Any

from sidecar.errors import said

MAX_DEPTH = 100
MAX_BYTES = 16 * 1024 * 1024

_NULL = re.compile(rb"N;")
_BOOL = re.compile(rb"b:([01]);")
# PHP's integers have 64 bits, 19 digits: a longer one is no PHP, and int() refuses thousands of digits.
_INT = re.compile(rb"i:([+-]?[0-9]{1,19});")
_FLOAT = re.compile(rb"d:([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-?INF|NAN);")
_STRING = re.compile(rb's:([0-9]{1,10}):"')
_ARRAY = re.compile(rb"a:([0-9]{1,10}):\{")
_REFUSED = {
    b"O": said("an object"),
    b"C": said("an object"),
    b"E": said("an enum"),
    b"r": said("a reference"),
    b"R": said("a reference"),
}


class NotPhpData(ValueError):
    """The text is no serialized PHP data. `position` counts bytes from 0."""

    def __init__(self, problem: str, position: int) -> None:
        super().__init__(said("%(problem)s at byte %(n)s", problem=problem, n=position))
        self.position = position


def loads(text: str | bytes) -> Any:
    """Return the data in `text`: None, bool, int, float, str, list, or dict with str keys.

    An array whose keys are 0..n-1 in order is a list, as PHP's json_encode has it; keys are text, as JSON has
    them: a site that changes its log from one format to the other changes nothing for templates.
    Bytes that are no UTF-8 become U+FFFD. Raises NotPhpData, and nothing else.
    """
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if len(data) > MAX_BYTES:
        raise NotPhpData(said("the text is longer than %(n)s bytes", n=MAX_BYTES), MAX_BYTES)
    reader = _Reader(data)
    value = reader.value(0)
    if reader.position != len(data):
        raise reader.wrong(said("something follows the end of the data"))
    return value


class _Reader:
    """A hand that moves over the bytes: every method reads from `position` and leaves it behind that."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def wrong(self, problem: str) -> NotPhpData:
        return NotPhpData(problem, self.position)

    def value(self, depth: int) -> Any:
        match self.data[self.position : self.position + 1]:
            case b"s":
                return self._string()
            case b"i":
                return int(self._take(_INT, said("a whole number")))
            case b"a":
                return self._array(depth)
            case b"b":
                return self._take(_BOOL, said("true or false")) == b"1"
            case b"N":
                return self._null()
            case b"d":
                return float(self._take(_FLOAT, said("a number")))
        refused = _REFUSED.get(self.data[self.position : self.position + 1])
        raise self.wrong(said("%(what)s is refused", what=refused) if refused else _expected(said("a value")))

    def _take(self, pattern: re.Pattern[bytes], wanted: str) -> bytes:
        found = pattern.match(self.data, self.position)
        if not found:
            raise self.wrong(_expected(wanted))
        self.position = found.end()
        return found[1]

    def _null(self) -> None:
        if not _NULL.match(self.data, self.position):
            raise self.wrong(_expected("null"))
        self.position += 2

    def _string(self) -> str:
        length = int(self._take(_STRING, said("text")))
        end = self.position + length
        if self.data[end : end + 2] != b'";':
            raise self.wrong(said("the text is not %(n)s bytes long", n=length))
        text = self.data[self.position : end].decode("utf-8", "replace")
        self.position = end + 2
        return text

    def _array(self, depth: int) -> list[Any] | dict[str, Any]:
        if depth >= MAX_DEPTH:
            raise self.wrong(said("nested deeper than %(n)s levels", n=MAX_DEPTH))
        pairs: dict[str, Any] = {}
        for _ in range(int(self._take(_ARRAY, said("an array")))):
            key = self._key()
            pairs[key] = self.value(depth + 1)
        if self.data[self.position : self.position + 1] != b"}":
            raise self.wrong(_expected(said("the end of the array")))
        self.position += 1
        return list(pairs.values()) if all(key == str(n) for n, key in enumerate(pairs)) else pairs

    def _key(self) -> str:
        if self.data[self.position : self.position + 1] == b"s":
            return self._string()
        return str(int(self._take(_INT, said("a key"))))


def _expected(what: str) -> str:
    return said("expected %(what)s", what=what)
