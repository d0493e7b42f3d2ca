"""The part of JSON Schema that the schemas here use. Numbers are doubles, as in RFC 8785."""

import re
from collections.abc import Callable
from typing import Any

from refusal import Refused, malformed

_DESCRIBING = frozenset({"description", "title", "type", "$schema", "$defs"})


class SchemaChecker:
    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions

    def faults(self, schema: dict[str, Any], value: Any, path: str) -> list[Refused]:
        found: list[Refused] = []
        self._check(schema, value, path, found)
        return found

    def _check(self, schema: dict[str, Any], value: Any, path: str, faults: list[Refused]) -> None:
        if "$ref" in schema:
            schema = self._definitions[schema["$ref"].removeprefix("#/$defs/")]
        if "type" in schema and not _has_type(schema["type"], value):
            faults.append(malformed(f"{path} is no {schema['type']}"))
            return  # the other keywords ask about a value of that type
        if value is None:
            # Beside its type, only what alone may stand there can be against it.
            if None not in schema.get("enum", [schema.get("const")]):
                faults.append(malformed(f"{path} is null"))
            return
        for keyword, wanted in schema.items():
            if keyword in _LIMITS:
                if not _LIMITS[keyword](value, wanted):
                    faults.append(malformed(f"{path} breaks {keyword} {wanted}"))
            elif keyword == "enum":
                if value not in wanted:
                    code = "unsupported_value" if isinstance(value, str) else "malformed"
                    faults.append(Refused(code, f"{path} is {value}"))
            elif keyword == "properties":
                for name in wanted.keys() & value.keys():
                    self._check(wanted[name], value[name], f"{path}.{name}", faults)
            elif keyword == "additionalProperties":
                for name in value.keys() - schema["properties"].keys():
                    faults.append(Refused("unsupported_field", f"{path}.{name}"))
            elif keyword == "prefixItems":
                for index, (item_schema, item) in enumerate(zip(wanted, value, strict=False)):
                    self._check(item_schema, item, f"{path}[{index}]", faults)
            elif keyword == "items":
                if wanted is not False:  # maxItems says the same wherever a schema has false
                    for index, item in enumerate(value):
                        self._check(wanted, item, f"{path}[{index}]", faults)
            elif keyword not in _DESCRIBING:
                raise NotImplementedError(f"keyword {keyword} of JSON Schema")


def _matches(value: str, pattern: str) -> bool:
    # In Python a $ is satisfied by a line break at the end as well.
    return re.search(re.sub(r"\$$", r"\\Z", pattern), value) is not None


_LIMITS: dict[str, Callable[[Any, Any], bool]] = {
    "const": lambda value, wanted: type(value) is type(wanted) and value == wanted,
    "pattern": _matches,
    "required": lambda value, names: all(name in value for name in names),
    "minItems": lambda value, least: len(value) >= least,
    "maxItems": lambda value, most: len(value) <= most,
    "minLength": lambda value, least: len(value) >= least,
    "maxLength": lambda value, most: len(value) <= most,
    "minProperties": lambda value, least: len(value) >= least,
    "maxProperties": lambda value, most: len(value) <= most,
    "minimum": lambda value, least: value >= least,
    "maximum": lambda value, most: value <= most,
}


def _has_type(name: str | list[str], value: Any) -> bool:
    if isinstance(name, list):
        return any(_has_type(each, value) for each in name)
    if name == "null":
        return value is None
    if name == "integer":
        return isinstance(value, float) and value.is_integer()
    types: dict[str, type] = {
        "object": dict,
        "array": list,
        "string": str,
        "number": float,
        "boolean": bool,
    }
    return isinstance(value, types[name])
