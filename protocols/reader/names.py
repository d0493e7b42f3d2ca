"""Names that stand for something: peer ids, model ids, and the texts that the DHT is asked for."""

import re

from cids import Cid, read_cid
from ed25519 import public_key
from refusal import Refused, malformed

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_PEER_ID_HEADER = bytes.fromhex("002408011220")
_PEER_ID = re.compile(f"12D3Koo[{_BASE58}]{{45}}")
_RAW_CID = re.compile("bafkrei[a-h][a-z2-7]{50}[aeimquy4]")
_WORD = re.compile("[a-z0-9][a-z0-9_.-]{0,31}")
_NOT_SHOWN = re.compile("[\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]")
MAX_NAME_BYTES = 256


def is_word(text: str) -> bool:
    return _WORD.fullmatch(text) is not None


def is_shown(text: str, max_bytes: int) -> bool:
    return len(text.encode("utf-8")) <= max_bytes and _NOT_SHOWN.search(text) is None


def is_model_name(text: str) -> bool:
    return text != "" and is_shown(text, MAX_NAME_BYTES) and not set(text) & {" ", "\u00a0"}


def peer_id_of_key(key: bytes) -> str:
    number = int.from_bytes(_PEER_ID_HEADER + key, "big")
    digits = ""
    while number > 0:
        number, digit = divmod(number, 58)
        digits = _BASE58[digit] + digits
    # base58btc writes a zero byte at the front as its first digit; the header begins with one.
    return _BASE58[0] + digits


def peer_id_of_seed(seed: bytes) -> str:
    return peer_id_of_key(public_key(seed))


def key_of_peer_id(text: str) -> bytes:
    if not is_peer_id(text):
        raise malformed("not a peer id")
    number = 0
    for character in text:
        number = number * 58 + _BASE58.index(character)
    size = len(_PEER_ID_HEADER) + 32
    if number >= 1 << 8 * size:
        raise malformed("a peer id of too many bytes")
    content = number.to_bytes(size, "big")
    key = content[len(_PEER_ID_HEADER) :]
    if not content.startswith(_PEER_ID_HEADER) or peer_id_of_key(key) != text:
        raise malformed("a peer id with another header")
    return key


def is_peer_id(text: str) -> bool:
    """Whether a field may hold it. That its header is another one shows when its key is needed."""
    return _PEER_ID.fullmatch(text) is not None


def read_model_id(text: str) -> dict[str, str]:
    kind, _, rest = text.partition(":")
    if kind == "cid" and _RAW_CID.fullmatch(rest):
        return {"type": "cid", "sha256": read_cid(rest).digest.hex()}
    if kind == "declared":
        name, at, peer_id = rest.rpartition("@")
        if at and is_model_name(name) and is_peer_id(peer_id):
            return {"type": "declared", "name": name, "peerId": peer_id}
    raise malformed("not a model id")


def write_model_id(value: dict[str, str]) -> str:
    if value["type"] == "declared":
        return f"declared:{value['name']}@{value['peerId']}"
    return f"cid:{Cid('receipt', bytes.fromhex(value['sha256']))}"


def is_model_id(text: str) -> bool:
    try:
        read_model_id(text)
    except Refused:
        return False
    return True


def read_lookup_key(text: str) -> dict[str, str]:
    head, _, rest = text.partition("|")
    kind, bar, about = rest.partition("|")
    checks = {"model-id": is_model_id, "model-name": is_model_name, "role": is_word}
    if head != "PNV1" or not bar or kind not in checks or not checks[kind](about):
        raise malformed("not a lookup key")
    return {"kind": kind, "text": about}


def write_lookup_key(value: dict[str, str]) -> str:
    return f"PNV1|{value['kind']}|{value['text']}"
