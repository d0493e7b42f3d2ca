"""A strict decoder of protobuf, and the encoder that goes with it. See "Messages" in ../README.md.

A decoded message is a dict of all its fields by name. A message with a oneof is a dict with the one
member that is there, or None if no member is known. An enum is the name of its value.
"""

import math
import struct
from collections.abc import Callable
from typing import Any

from proto_file import Field, Message, Schema
from refusal import malformed

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_UINT64 = 2**53 - 1
MAX_UINT32 = 2**32 - 1
MAX_ENUM = 2**31 - 1
MAX_ANY_VARINT = 2**64 - 1
MAX_TAG = 2**32 - 1

_ZEROS: dict[str, Any] = {
    "string": "",
    "bytes": b"",
    "uint32": 0,
    "uint64": 0,
    "bool": False,
    "float": 0.0,
}

# These are read as their value 0 where the value is unknown; see ../generate/spec.md.
ENUMS_WITH_UNKNOWN = frozenset({"Kind", "Finish"})


# Bytes of a message inside of another, where that has less room than a frame.
MAX_BATCH = 65_528
MAX_BYTES_OF_NESTED = {
    "Request.departure": 8 * 2**10,
    "SyncAnswer.batch": MAX_BATCH,
    "LogMessage.batch": MAX_BATCH,
}
# Who passes such a message on does so with the bytes as they came.
PASSED_ON = frozenset({"Request.departure"})


class PassedOn(dict[str, Any]):
    """A message, and the bytes that it was read from."""

    def __init__(self, value: dict[str, Any], content: bytes) -> None:
        super().__init__(value)
        self.content = content


# Refuses the value of the message of this name, or does nothing.
CheckBounds = Callable[[str, dict[str, Any]], None]


def _item_wire_type(schema: Schema, field: Field) -> int:
    """Of the field's value, or of each of them."""
    if field.type in ("uint32", "uint64", "bool") or field.type in schema.enums:
        return VARINT
    return FIXED32 if field.type == "float" else BYTES


def _is_packed(schema: Schema, field: Field) -> bool:
    return field.repeated and _item_wire_type(schema, field) != BYTES


class _Bytes:
    """Bytes that are read from the front, and nothing beyond their end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def is_empty(self) -> bool:
        return self._position == len(self._data)

    def take(self, count: int) -> bytes:
        if count > len(self._data) - self._position:
            raise malformed("something reaches beyond the end of its message")
        start = self._position
        self._position += count
        return self._data[start : self._position]

    def varint(self, highest: int) -> int:
        number, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                if byte == 0 and shift > 0:
                    raise malformed("a number with more bytes than it needs")
                if number > highest:
                    raise malformed(f"a number above {highest}")
                return number
            shift += 7
            if shift >= 70:
                raise malformed("a number of more than ten bytes")

    def float32(self) -> float:
        number: float = struct.unpack("<f", self.take(4))[0]
        if math.isnan(number) or number == math.inf:
            raise malformed("a float that is NaN or plus infinity")
        return number


class Decoder:
    """Decodes one message. Values of enums that are unknown here stand in `unsupported`
    afterwards: `malformed` is the verdict where both are true, so they wait for the end."""

    def __init__(self, schema: Schema, check_bounds: CheckBounds) -> None:
        self._schema = schema
        self._check_bounds = check_bounds
        self.unsupported: list[str] = []

    def decode(self, message_name: str, data: bytes) -> dict[str, Any] | None:
        message = self._schema.messages[message_name]
        found: dict[str, Any] = {}
        rest = _Bytes(data)
        while not rest.is_empty:
            number, wire_type = divmod(rest.varint(MAX_TAG), 8)
            if number == 0:
                raise malformed("field number 0")
            field = message.fields.get(number)
            if field is None:
                _skip(rest, wire_type)
                continue
            is_packed = _is_packed(self._schema, field)
            if wire_type != (BYTES if is_packed else _item_wire_type(self._schema, field)):
                raise malformed(f"{message_name}.{field.name} has wire type {wire_type}")
            value = self._read(f"{message_name}.{field.name}", field, rest)
            if field.repeated and not is_packed:
                found.setdefault(field.name, []).append(value)
            elif field.name in found:
                raise malformed(f"{message_name}.{field.name} twice")
            else:
                found[field.name] = value
        return self._checked(message, found)

    def _checked(self, message: Message, found: dict[str, Any]) -> dict[str, Any] | None:
        if message.is_oneof:
            if len(found) > 1:
                raise malformed(f"{message.name} with {len(found)} members of a oneof")
            if not found:
                return None
            value = found
        else:
            value = {
                field.name: found.get(field.name, self._absent(field))
                for field in message.fields.values()
            }
        self._check_bounds(message.name, value)
        return value

    def _absent(self, field: Field) -> Any:
        if field.repeated:
            return []
        if field.type in self._schema.enums:
            return self._schema.enums[field.type][0]
        return _ZEROS.get(field.type)

    def _read(self, path: str, field: Field, rest: _Bytes) -> Any:
        if _is_packed(self._schema, field):
            packed = _Bytes(rest.take(rest.varint(MAX_UINT32)))
            values: list[Any] = []
            while not packed.is_empty:
                values.append(self._read_number(field, packed))
            return values
        if _item_wire_type(self._schema, field) != BYTES:
            return self._read_number(field, rest)
        content = rest.take(rest.varint(MAX_UINT32))
        if field.type == "bytes":
            return content
        if field.type == "string":
            try:
                return content.decode("utf-8")
            except UnicodeDecodeError as error:
                raise malformed(f"{path} is not UTF-8") from error
        if len(content) > MAX_BYTES_OF_NESTED.get(path, len(content)):
            raise malformed(f"{path} is too long")
        value = self.decode(field.type, content)
        if path in PASSED_ON and value is not None:
            return PassedOn(value, content)
        return value

    def _read_number(self, field: Field, rest: _Bytes) -> Any:
        if field.type == "float":
            return rest.float32()
        if field.type == "bool":
            return rest.varint(1) == 1
        if field.type == "uint64":
            return rest.varint(MAX_UINT64)
        if field.type == "uint32":
            return rest.varint(MAX_UINT32)
        number = rest.varint(MAX_ENUM)
        names = self._schema.enums[field.type]
        if number not in names:
            if field.type not in ENUMS_WITH_UNKNOWN:
                self.unsupported.append(f"{field.name} is {number}")
            return names[0]
        return names[number]


def _skip(rest: _Bytes, wire_type: int) -> None:
    if wire_type == VARINT:
        rest.varint(MAX_ANY_VARINT)
    elif wire_type == FIXED64:
        rest.take(8)
    elif wire_type == BYTES:
        rest.take(rest.varint(MAX_UINT32))
    elif wire_type == FIXED32:
        rest.take(4)
    else:
        raise malformed(f"wire type {wire_type}")


def encode(schema: Schema, message_name: str, value: dict[str, Any]) -> bytes:
    """Fields by number, without those that are zero, empty or false."""
    message = schema.messages[message_name]
    written = bytearray()
    for _, field in sorted(message.fields.items()):
        if field.name not in value:
            continue  # a member of a oneof, and not the one that is there
        content = value[field.name]
        if _is_packed(schema, field):
            packed = b"".join(_encode_item(schema, field, item) for item in content)
            items = [_with_length(packed)] if packed else []
        elif field.repeated:
            items = [_encode_item(schema, field, item) for item in content]
        elif field.in_oneof or not _is_absent(schema, field, content):
            items = [_encode_item(schema, field, content)]
        else:
            items = []
        is_packed = _is_packed(schema, field)
        wire_type = BYTES if is_packed else _item_wire_type(schema, field)
        for item in items:
            written += _varint(field.number << 3 | wire_type) + item
    return bytes(written)


def _is_absent(schema: Schema, field: Field, content: Any) -> bool:
    if field.type in schema.enums:
        return bool(content == schema.enums[field.type][0])
    if field.type == "float":
        return struct.pack("<f", content) == bytes(4)  # minus zero is not nothing
    # A message that is there may be empty; None is one that is not.
    return content is None if field.type in schema.messages else not content


def _encode_item(schema: Schema, field: Field, content: Any) -> bytes:
    if field.type == "float":
        return struct.pack("<f", content)
    if field.type in schema.enums:
        numbers = {name: number for number, name in schema.enums[field.type].items()}
        return _varint(numbers[content])
    if isinstance(content, PassedOn):
        return _with_length(content.content)
    if field.type in schema.messages:
        return _with_length(encode(schema, field.type, content))
    if field.type == "string":
        return _with_length(content.encode("utf-8"))
    return _with_length(content) if field.type == "bytes" else _varint(int(content))


def _with_length(content: bytes) -> bytes:
    return _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
