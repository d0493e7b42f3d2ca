"""JSON that every reader understands alike (RFC 7493). See "The body" in ../generate/spec.md and
"A proof in a file" in ../log/spec.md."""

import json
from typing import Any

from refusal import malformed

MAX_LEVELS = 16
MAX_VALUES = 32_768


def read_json(content: bytes, max_levels: int = MAX_LEVELS) -> Any:
    """Numbers are doubles, so that 1.0 is as good as 1, and no length of digits takes time."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed("not UTF-8") from error
    _check_extent(text, max_levels)
    try:
        return json.loads(
            text,
            object_pairs_hook=_object_without_doubles,
            parse_int=float,
            parse_constant=_no_constant,
        )
    except ValueError as error:
        raise malformed(f"not JSON: {error}") from error


def _check_extent(text: str, max_levels: int) -> None:
    """Before parsing, so that a parser never sees more than it can take."""
    level, marks, in_string, is_escaped = 0, 0, False, False
    for character in text:
        if in_string:
            if is_escaped:
                is_escaped = False
            elif character == "\\":
                is_escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[]{},":
            marks += character in "[{,"
            level += {"[": 1, "{": 1, "]": -1, "}": -1}.get(character, 0)
            if level > max_levels:
                raise malformed("too many levels")
    if marks > MAX_VALUES:
        raise malformed("too many values")


def _object_without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers do not agree which of two members counts, so that none should."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
