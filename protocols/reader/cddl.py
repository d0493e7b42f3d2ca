"""Reads the records of ../log/log.cddl, so that their fields are copied by nobody.

Only what that file uses: maps of named fields, and rules for what stands in them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cids import Cid
from refusal import malformed

# Refuses a value of this path, or does nothing.
Check = Callable[[str, Any], None]

_COMMENT = re.compile(";[^\n]*")
_RULE = re.compile(r"^([A-Za-z-]+) = ", re.MULTILINE)
_FIELD = re.compile(r"(\? )?([a-z0-9_]+): (.+),")
_SIZE = re.compile(r"bytes \.size (\d+)")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_REGEXP = re.compile(r'tstr \.regexp "([^"]+)"')
_LIST = re.compile(r"\[(\d+)\*(\d+) ([A-Za-z-]+)\]")
_LITERAL_TEXT = re.compile('"([^"]*)"')


@dataclass(frozen=True)
class _Field:
    is_optional: bool
    check: Check


class Rules:
    """`beyond` has the rules that the file can only name, by name."""

    def __init__(self, file: Path, beyond: dict[str, Callable[[Any], bool]]) -> None:
        parts = _RULE.split(_COMMENT.sub("", file.read_text(encoding="utf-8")))
        self._sources = {
            name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)
        }
        self._checks: dict[str, Check] = {
            name: _checks_that(name, is_valid) for name, is_valid in beyond.items()
        }
        for name in self._sources:
            self._check_of(name)  # what this reader can't read is found at once

    def check(self, name: str, value: Any) -> None:
        self._check_of(name)(name, value)

    def _check_of(self, name: str) -> Check:
        if name not in self._checks:
            self._checks[name] = self._compile(self._sources[name])
        return self._checks[name]

    def _compile(self, source: str) -> Check:
        if source.startswith("{\n"):
            return self._record(source)
        if source == "{ * name => any }":  # what a key may be, the decoder has checked
            return _checks_that("map", lambda value: isinstance(value, dict))
        if source == "#6.42(bytes .size 37)":
            return _checks_that("CID", lambda value: isinstance(value, Cid))
        if match := _SIZE.fullmatch(source):
            size = int(match[1])
            return _checks_that(source, lambda v: isinstance(v, bytes) and len(v) == size)
        if match := _RANGE.fullmatch(source):
            low, high = int(match[1]), int(match[2])
            return _checks_that(source, lambda v: type(v) is int and low <= v <= high)
        if match := _REGEXP.fullmatch(source):
            pattern = re.compile(match[1])
            return _checks_that(source, lambda v: isinstance(v, str) and bool(pattern.fullmatch(v)))
        if match := _LIST.fullmatch(source):
            return _list_of(int(match[1]), int(match[2]), self._check_of(match[3]))
        if source.isdigit():
            number = int(source)
            return _checks_that(source, lambda v: type(v) is int and v == number)
        if source.startswith('"'):
            texts = _LITERAL_TEXT.findall(source)
            return _checks_that(source, lambda v: isinstance(v, str) and v in texts)
        if source in self._sources:
            return self._check_of(source)
        raise ValueError(f"{source} is not expected in CDDL")

    def _record(self, source: str) -> Check:
        fields: dict[str, _Field] = {}
        for line in source.splitlines()[1:-1]:
            match = _FIELD.fullmatch(line.strip())
            if match is None:
                raise ValueError(f"{line} is not expected in CDDL")
            fields[match[2]] = _Field(match[1] is not None, self._compile(match[3]))

        def check(path: str, value: Any) -> None:
            if not isinstance(value, dict):
                raise malformed(f"{path} is no map")
            for name, field in fields.items():
                if name in value:
                    field.check(f"{path}.{name}", value[name])
                elif not field.is_optional:
                    raise malformed(f"{path}.{name} is missing")

        return check


def _checks_that(what: str, is_valid: Callable[[Any], bool]) -> Check:
    def check(path: str, value: Any) -> None:
        if not is_valid(value):
            raise malformed(f"{path} is not {what}")

    return check


def _list_of(least: int, most: int, item: Check) -> Check:
    def check(path: str, value: Any) -> None:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise malformed(f"{path} is no list of {least} to {most}")
        for index, element in enumerate(value):
            item(f"{path}[{index}]", element)

    return check
