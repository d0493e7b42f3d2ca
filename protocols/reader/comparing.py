"""What a vector states, and whether this reader got the same."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cids import Cid


class Disagreement(Exception):
    """A vector says something else than this reader."""


@dataclass(frozen=True)
class Reading:
    """What came out of a vector's bytes, and what a reader writes of it (None: nothing)."""

    value: Any
    written: bytes | None


Read = Callable[[bytes], Reading]


def bytes_of_hex(text: str) -> bytes:
    """`0a 61*1000` is 0a, then 61 a thousand times."""
    content = bytearray()
    for part in text.split():
        digits, _, times = part.partition("*")
        content += bytes.fromhex(digits) * int(times or "1")
    return bytes(content)


def is_same(got: Any, stated: Any) -> bool:
    """Whether a vector's JSON states this value. Unlike ==, it tells 1 from true and 0 from -0."""
    if isinstance(got, bytes):
        return isinstance(stated, str) and bytes_of_hex(stated) == got
    if isinstance(got, Cid):
        return bool(stated == {"/": str(got)})
    if isinstance(got, dict):
        return (
            isinstance(stated, dict)
            and got.keys() == stated.keys()
            and all(is_same(got[key], stated[key]) for key in got)
        )
    if isinstance(got, list):
        return (
            isinstance(stated, list) and len(got) == len(stated) and all(map(is_same, got, stated))
        )
    if got is None or isinstance(got, (bool, str)):
        return type(got) is type(stated) and got == stated
    if stated in ("-0", "-Infinity"):
        stated = float(stated)
    elif isinstance(stated, bool) or not isinstance(stated, (int, float)):
        return False
    if isinstance(got, float):
        stated = float(stated)  # large ones may be written as if they were whole
    return bool(got == stated) and math.copysign(1, got) == math.copysign(1, stated)


def check_all(
    file: Path, cases: list[dict[str, Any]], check: Callable[[dict[str, Any]], None]
) -> int:
    """Prints the file's line and its disagreements, and says how many those are."""
    disagreements: list[str] = []
    for index, case in enumerate(cases):
        try:
            check(case)
        except Disagreement as disagreement:
            name = case.get("name", case.get("peerId", index))
            disagreements.append(f"  {case.get('message', '')} {name}: {disagreement}")
    label = f"{file.parent.parent.name}/{file.name}"
    print(f"{label}: {len(cases) - len(disagreements)} of {len(cases)} agree")
    for line in disagreements:
        print(line if len(line) <= 600 else f"{line[:600]}…")
    return len(disagreements)
