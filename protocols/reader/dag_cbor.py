"""A strict decoder of DAG-CBOR, and the encoder that goes with it. See "Bytes" in ../log/spec.md.

Maps are dicts, lists are lists, whole numbers are ints, and a CID is a Cid.
"""

import re
from dataclasses import dataclass
from typing import Any

from cids import Cid, cid_of_bytes
from refusal import Refused, malformed

MAX_NUMBER = 2**53 - 1
CID_TAG = 42

_UINT, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(8)
_SIMPLES: dict[int, bool | None] = {20: False, 21: True, 22: None}
_CID_PREFIX = b"\0"  # multibase's "these are the bytes themselves"
_KEY = re.compile("[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True)
class Limits:
    max_bytes: int
    max_levels: int
    max_values: int


ENTRY_LIMITS = Limits(32 * 2**10, 8, 4096)
HEAD_LIMITS = Limits(2**10, 4, 64)


class _Reader:
    def __init__(self, data: bytes, limits: Limits) -> None:
        self._data = data
        self._limits = limits
        self._position = 0
        self._values = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._position

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise malformed("something reaches beyond the end")
        start = self._position
        self._position += count
        return self._data[start : self._position]

    def head(self) -> tuple[int, int]:
        """The major type, and the number that stands with it."""
        major, short = divmod(self.take(1)[0], 32)
        if short < 24:
            return major, short
        if major == _SIMPLE or short > 27:
            raise malformed("a float, another simple value, or a length that is not told")
        size = 1 << short - 24
        number = int.from_bytes(self.take(size), "big")
        if number < (24 if size == 1 else 1 << 4 * size):
            raise malformed("a number with more bytes than it needs")
        return major, number

    def value(self, level: int) -> Any:
        self._values += 1
        if self._values > self._limits.max_values:
            raise malformed(f"more than {self._limits.max_values} values")
        major, number = self.head()
        if major in (_UINT, _NEGATIVE):
            return self._number(major, number)
        if major == _BYTES:
            return self.take(number)
        if major == _TEXT:
            return self._text(number)
        if major == _TAG:
            return self._cid(number)
        if major == _SIMPLE:
            if number not in _SIMPLES:
                raise malformed(f"simple value {number}")
            return _SIMPLES[number]
        if level == self._limits.max_levels:
            raise malformed(f"more than {level} levels")
        # Each element has a byte at least, so that nobody counts what can't be there.
        if number > self.left:
            raise malformed("more elements than bytes")
        if major == _LIST:
            return [self.value(level + 1) for _ in range(number)]
        return self._map(number, level + 1)

    def _number(self, major: int, number: int) -> int:
        value = number if major == _UINT else -1 - number
        if abs(value) > MAX_NUMBER:
            raise malformed("a number of more than 53 bits")
        return value

    def _text(self, length: int) -> str:
        try:
            return self.take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise malformed("text that is not UTF-8") from error

    def _cid(self, tag: int) -> Cid:
        if tag != CID_TAG:
            raise malformed(f"tag {tag}")
        major, length = self.head()
        content = self.take(length) if major == _BYTES else b""
        if not content.startswith(_CID_PREFIX):
            raise malformed("tag 42 around something that is no CID")
        return cid_of_bytes(content.removeprefix(_CID_PREFIX))

    def _map(self, count: int, level: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        last = (0, "")
        for _ in range(count):
            major, length = self.head()
            key = self._text(length) if major == _TEXT else ""
            if not _KEY.fullmatch(key):
                raise malformed("a key that is none")
            if _order(key) <= last:
                raise malformed("keys that are not sorted, or one of them twice")
            last = _order(key)
            found[key] = self.value(level)
        return found


def _order(key: str) -> tuple[int, str]:
    return len(key), key  # all of a key is ASCII


def decode(data: bytes, limits: Limits) -> Any:
    if len(data) > limits.max_bytes:
        raise malformed(f"more than {limits.max_bytes} bytes")
    reader = _Reader(data, limits)
    value = reader.value(0)
    if reader.left > 0:
        raise malformed("something stands behind the value")
    return value


def encode(value: Any) -> bytes:
    if isinstance(value, bool) or value is None:
        return _head(_SIMPLE, next(n for n, simple in _SIMPLES.items() if simple is value))
    if isinstance(value, int):
        return _head(_UINT, value) if value >= 0 else _head(_NEGATIVE, -1 - value)
    if isinstance(value, bytes):
        return _head(_BYTES, len(value)) + value
    if isinstance(value, str):
        content = value.encode("utf-8")
        return _head(_TEXT, len(content)) + content
    if isinstance(value, Cid):
        return _head(_TAG, CID_TAG) + encode(_CID_PREFIX + value.to_bytes())
    if isinstance(value, list):
        return _head(_LIST, len(value)) + b"".join(map(encode, value))
    if isinstance(value, dict):
        pairs = (encode(key) + encode(value[key]) for key in sorted(value, key=_order))
        return _head(_MAP, len(value)) + b"".join(pairs)
    raise TypeError(f"{type(value).__name__} is no value of DAG-CBOR")


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for power in range(4):
        size = 1 << power
        if number < 1 << 8 * size:
            return bytes([major << 5 | 24 + power]) + number.to_bytes(size, "big")
    raise Refused("malformed", "a number that has no spelling")
