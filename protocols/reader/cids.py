"""CIDs: the two kinds that there are, and their spellings. See "Its CID" in ../receipt/spec.md."""

import re
from dataclasses import dataclass
from typing import Literal

from refusal import Refused, malformed

Kind = Literal["entry", "receipt"]

_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
# Version 1, the codec (dag-cbor, raw), sha2-256, 32 bytes of it.
_HEADERS: dict[Kind, bytes] = {
    "entry": bytes.fromhex("01711220"),
    "receipt": bytes.fromhex("01551220"),
}
# The digest begins within the 7th digit behind the b, and of the last digit two bits are left over.
_TEXT = re.compile("baf[yk]rei[a-h][a-z2-7]{50}[aeimquy4]")
_RYV1 = re.compile("ryv1:sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Cid:
    kind: Kind
    digest: bytes

    def to_bytes(self) -> bytes:
        return _HEADERS[self.kind] + self.digest

    def __str__(self) -> str:
        content = self.to_bytes()
        digits = -(-8 * len(content) // 5)
        number = int.from_bytes(content, "big") << 5 * digits - 8 * len(content)
        return "b" + "".join(_BASE32[number >> 5 * (digits - 1 - i) & 31] for i in range(digits))


def cid_of_bytes(content: bytes) -> Cid:
    for kind, header in _HEADERS.items():
        if len(content) == len(header) + 32 and content.startswith(header):
            return Cid(kind, content[len(header) :])
    raise malformed("not a CID of an entry or of raw bytes")


def is_cid(content: bytes) -> bool:
    try:
        cid_of_bytes(content)
    except Refused:
        return False
    return True


def is_entry_cid(content: bytes) -> bool:
    return is_cid(content) and cid_of_bytes(content).kind == "entry"


def read_cid(text: str) -> Cid:
    ryv1 = _RYV1.fullmatch(text)
    if ryv1:
        return Cid("receipt", bytes.fromhex(ryv1[1]))
    if not _TEXT.fullmatch(text):
        raise Refused("invalid_cid", "another spelling, version, codec or hash")
    number = 0
    for character in text[1:]:
        number = number << 5 | _BASE32.index(character)
    return cid_of_bytes((number >> 5 * len(text[1:]) % 8).to_bytes(36, "big"))
