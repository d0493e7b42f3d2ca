"""The body of a job: canonical JSON (RFC 8785) that body.schema.json allows. See "The body" in
../generate/spec.md. The schema is read from its file, so that it is put to the test as well."""

import base64
import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from json_schema import SchemaChecker
from json_text import read_json
from refusal import Refused, malformed

MAX_PROMPTS_TIMES_CHOICES = 128
MAX_STOP_BYTES = 256
MAX_SCHEMA_LEVELS = 64
MAX_IMAGES = 32

_SIGNATURES = {
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/webp": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "image/gif": re.compile(rb"GIF8[79]a"),
}

KINDS = ("chat", "completion", "draft", "embedding")
# Whoever adds a field may lift what is asked of others, so an unknown one is told first.
_VERDICT_ORDER = ("unsupported_field", "malformed", "unsupported_value")


class BodyReader:
    def __init__(self, schema_file: Path) -> None:
        self._schemas = json.loads(schema_file.read_text(encoding="utf-8"))["$defs"]
        self._checker = SchemaChecker(self._schemas)

    def read(self, kind: str, content: bytes) -> Any:
        if kind not in KINDS:
            raise Refused("unsupported_kind", f"no bodies of kind {kind}")
        if kind == "draft":
            # The body of the job that is drafted for: which kind that is, its first key says.
            kind = "completion" if content.startswith(b'{"prompts":') else "chat"
        value = read_canonical_json(content)
        faults = self._checker.faults(self._schemas[kind], value, kind)
        faults.sort(key=lambda fault: _VERDICT_ORDER.index(fault.code))
        if not faults or faults[0].code == "unsupported_value":
            _check_beyond_schema(value)
        if faults:
            raise faults[0]
        return value


def _check_beyond_schema(value: dict[str, Any]) -> None:
    sampling = value.get("sampling")
    if sampling is None:
        return
    prompts = len(value.get("prompts", [None]))
    if prompts * sampling["choices"] > MAX_PROMPTS_TIMES_CHOICES:
        raise malformed("too many answers")
    if any(len(stop.encode("utf-8")) > MAX_STOP_BYTES for stop in sampling["stop"]):
        raise malformed("a stop that is too long")
    if "messages" in value:
        _check_chat(value)


def _check_chat(value: dict[str, Any]) -> None:
    """Words that are not known ask nothing of what stands beside them."""
    for message in value["messages"]:
        role = message["role"]
        if role not in ("system", "user", "assistant", "result"):
            continue
        if "parts" in message and (role != "user" or message["content"]):
            raise malformed("parts beside what they stand for")
        if "calls" in message and role != "assistant":
            raise malformed("calls of somebody else")
        if ("call" in message) != (role == "result"):
            raise malformed("a result without its call, or a call without a result")
    _check_images(value["messages"])
    functions = value.get("functions", [])
    names = [function["name"] for function in functions]
    if len(set(names)) < len(names):
        raise malformed("two functions of one name")
    if not functions and ("calling" in value or "one_call" in value):
        raise malformed("calls without functions")
    for function in functions:
        _check_schema_text(function.get("parameters", "{}"))
    calling = value.get("calling", {})
    named = calling.get("name")
    if named is not None and calling["mode"] in ("none", "required"):
        if calling["mode"] == "none" or named not in names:
            raise malformed("a function that can't be called")
    _check_format(value.get("format"))


def _check_images(messages: list[dict[str, Any]]) -> None:
    parts = [part for message in messages for part in message.get("parts", [])]
    images = [part["image"] for part in parts if "image" in part]
    if len(images) > MAX_IMAGES:
        raise malformed("too many images")
    for image in images:
        if not _is_image(image["type"], image["data"]):
            raise malformed("an image that is none of its type")


def _is_image(kind: str, text: str) -> bool:
    try:
        content = base64.b64decode(text, validate=True)
    except ValueError:
        return False
    if text == "" or base64.b64encode(content).decode() != text:
        return False
    return kind not in _SIGNATURES or _SIGNATURES[kind].match(content) is not None


def _check_format(answer_format: dict[str, Any] | None) -> None:
    if answer_format is None:
        return
    _check_schema_text(answer_format.get("schema", "{}"))
    if answer_format["type"] == "json" and len(answer_format) > 1:
        raise malformed("a format that is two")
    if answer_format["type"] == "schema" and not {"name", "schema"} <= answer_format.keys():
        raise malformed("half a format")


def _check_schema_text(text: str) -> None:
    value = read_json(text.encode("utf-8"), MAX_SCHEMA_LEVELS)
    try:
        write_canonical_json(value)
    except ValueError as error:
        raise malformed(f"not I-JSON: {error}") from error
    if not isinstance(value, dict):
        raise malformed("a schema that is no object")


def read_canonical_json(content: bytes) -> Any:
    value = read_json(content)
    try:
        written = write_canonical_json(value)
    except ValueError as error:
        raise malformed(f"not I-JSON: {error}") from error
    # Whatever has another spelling than the canonical one comes out differently.
    if written != content:
        raise malformed("not canonical JSON")
    return value


def write_canonical_json(value: Any) -> bytes:
    # Half of a surrogate pair can't be encoded: UnicodeEncodeError is a ValueError.
    return _canonical(value).encode("utf-8")


def _canonical(value: Any) -> str:
    if isinstance(value, dict):
        # RFC 8785 sorts by UTF-16 code units.
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_canonical(key)}:{_canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_canonical(item) for item in value) + "]"
    if isinstance(value, float):
        return _canonical_number(value)
    # Strings, true, false and null: the escapes of Python are those of RFC 8785.
    return json.dumps(value, ensure_ascii=False)


def _canonical_number(number: float) -> str:
    """Number::toString of ECMAScript, from the shortest digits, which repr() finds too."""
    if number in (float("inf"), float("-inf")):
        raise ValueError("a number that no double holds")
    if number == 0:
        return "0"
    sign = "-" if number < 0 else ""
    _, digit_tuple, exponent = Decimal(repr(abs(number))).normalize().as_tuple()
    assert isinstance(exponent, int)
    digits = "".join(map(str, digit_tuple))
    point = len(digits) + exponent  # where the decimal point is, counted from the first digit
    if 0 < point <= 21:
        whole, fraction = digits[:point].ljust(point, "0"), digits[point:]
        return sign + whole + (f".{fraction}" if fraction else "")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
    return f"{sign}{mantissa}e{point - 1:+d}"
