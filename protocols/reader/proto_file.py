"""Reads names and numbers of fields from the .proto files, so that they are copied by nobody.

Only what those files use: messages that are not nested, enums, and at most one oneof a message.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

_TOKEN = re.compile(r'"[^"]*"|[A-Za-z_][A-Za-z0-9_.]*|[0-9]+|[{}=;]')
_COMMENT = re.compile(r"//[^\n]*")


@dataclass(frozen=True)
class Field:
    name: str
    number: int
    type: str
    repeated: bool
    in_oneof: bool


@dataclass(frozen=True)
class Message:
    name: str
    fields: dict[int, Field]

    @property
    def is_oneof(self) -> bool:
        return any(member.in_oneof for member in self.fields.values())


@dataclass(frozen=True)
class Schema:
    messages: dict[str, Message] = field(default_factory=dict)
    enums: dict[str, dict[int, str]] = field(default_factory=dict)


def read_proto_file(path: Path) -> Schema:
    tokens = _TOKEN.findall(_COMMENT.sub("", path.read_text(encoding="utf-8")))
    tokens.reverse()  # so that the next one is popped off the end
    schema = Schema()
    while tokens:
        keyword = tokens.pop()
        if keyword == "message":
            message = _read_message(tokens)
            schema.messages[message.name] = message
        elif keyword == "enum":
            name, values = _read_enum(tokens)
            schema.enums[name] = values
        elif keyword in ("syntax", "package"):
            while tokens.pop() != ";":
                pass
        else:
            raise ValueError(f"{path}: {keyword} is not expected")
    return schema


def _expect(tokens: list[str], wanted: str) -> None:
    got = tokens.pop()
    if got != wanted:
        raise ValueError(f"{got} where {wanted} is expected")


def _read_message(tokens: list[str]) -> Message:
    message = Message(tokens.pop(), {})
    _expect(tokens, "{")
    in_oneof = False
    while True:
        word = tokens.pop()
        if word == "}":
            if not in_oneof:
                return message
            in_oneof = False
        elif word == "oneof":
            tokens.pop()
            _expect(tokens, "{")
            in_oneof = True
        else:
            repeated = word == "repeated"
            type_name = tokens.pop() if repeated else word
            name = tokens.pop()
            _expect(tokens, "=")
            number = int(tokens.pop())
            _expect(tokens, ";")
            message.fields[number] = Field(name, number, type_name, repeated, in_oneof)


def _read_enum(tokens: list[str]) -> tuple[str, dict[int, str]]:
    name = tokens.pop()
    values: dict[int, str] = {}
    _expect(tokens, "{")
    while (value_name := tokens.pop()) != "}":
        _expect(tokens, "=")
        values[int(tokens.pop())] = value_name
        _expect(tokens, ";")
    return name, values
