"""RYV1: receipts and open receipts. See ../receipt/spec.md."""

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from body import write_canonical_json
from cids import Cid
from ed25519 import verify
from refusal import Refused, malformed

MAX_UNITS = 2**53 - 1
MAX_JOB_ID = 128

_JOB_ID = re.compile("[A-Za-z0-9_.#-]{1,128}")
_HASH = re.compile("[0-9a-f]{64}")
_SIGNATURE = re.compile("[A-Za-z0-9+/]{85}[AQgw]==")
_HALF_OF_PAIR = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Receipt:
    """Either form: `hash` is the result's or the prompt's, `count` is units or tokens."""

    form: str
    job_id: str
    node_pk: bytes
    hash: bytes
    count: int
    signature: bytes

    @property
    def payload(self) -> str:
        fields = (self.job_id, self.node_pk.hex(), self.hash.hex(), str(self.count))
        return "|".join(("RYV1", self.form, *fields))

    @property
    def digest(self) -> bytes:
        return sha256(self.payload.encode("utf-8")).digest()

    @property
    def cid(self) -> Cid:
        return Cid("receipt", self.digest)

    @property
    def ryv1_cid(self) -> str:
        return f"ryv1:sha256:{self.digest.hex()}"

    @property
    def holds(self) -> bool:
        return verify(self.node_pk, self.digest, self.signature)


def receipt_of_log(fields: dict[str, Any]) -> Receipt:
    """From an entry, where all are within their bounds."""
    return Receipt(
        "receipt",
        fields["job_id"],
        fields["node_pk"],
        fields["result_hash"],
        fields["metering_units"],
        fields["signature"],
    )


def open_receipt_of_log(opened: dict[str, Any], job_id: str, node_pk: bytes) -> Receipt:
    """An entry has an open receipt without job and node: they are those of its receipt."""
    root, tokens, signature = opened["prompt_root"], opened["input_tokens"], opened["signature"]
    return Receipt("open", job_id, node_pk, root, tokens, signature)


def segment_job_id(job_id: str, end: int) -> str:
    return f"{job_id}#{end - 1}"


def segment_of_log(segment: dict[str, Any], whole: Receipt) -> Receipt:
    job_id = segment_job_id(whole.job_id, segment["end"])
    result_hash, units, signature = (
        segment["result_hash"],
        segment["units"],
        segment["signature"],
    )
    return Receipt("receipt", job_id, whole.node_pk, result_hash, units, signature)


def receipt_of_json(fields: Any, form: str = "receipt") -> Receipt:
    """Members that are not known are passed over."""
    if not isinstance(fields, dict):
        raise malformed("a receipt that is no object")
    of, least = ("result_hash", 1) if form == "receipt" else ("prompt_root", 0)
    counted = "metering_units" if form == "receipt" else "input_tokens"
    count = fields.get(counted)
    if isinstance(count, float) and count.is_integer():
        count = int(count)  # to JSON they are the same number
    if type(count) is not int or not least <= count <= MAX_UNITS:
        raise malformed(f"{counted} is out of bounds")
    signature = _matching(fields, "signature", _SIGNATURE)
    return Receipt(
        form,
        _matching(fields, "job_id", _JOB_ID),
        bytes.fromhex(_matching(fields, "node_pk", _HASH)),
        bytes.fromhex(_matching(fields, of, _HASH)),
        count,
        b64decode(signature),
    )


def _matching(fields: dict[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    text = fields.get(name)
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise malformed(f"{name} is out of bounds")
    return text


def require_holds(receipt: Receipt) -> None:
    if not receipt.holds:
        raise Refused("bad_signature", f"{receipt.form} of {receipt.job_id} is not signed")


def base64_of(content: bytes) -> str:
    return b64encode(content).decode("ascii")


def result_hash_of_choices(choices: list[dict[str, Any]], nonce: bytes = b"") -> bytes:
    whole = [_without_halves(choice) for choice in choices]
    only = whole[0] if len(whole) == 1 else None
    if only is not None and not only["reasoning_content"] and not only["tool_calls"]:
        content: str = only["content"]
        return sha256(nonce + content.encode("utf-8")).digest()
    return sha256(nonce + write_canonical_json(whole)).digest()


def result_hash_of_vectors(vectors: list[bytes], nonce: bytes = b"") -> bytes:
    return sha256(nonce + b"".join(vectors)).digest()


def result_hash_of_guesses(ids: list[int], nonce: bytes = b"") -> bytes:
    return sha256(nonce + b"".join(id.to_bytes(4, "little") for id in ids)).digest()


def _without_halves(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_halves(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_without_halves(item) for item in value]
    return _HALF_OF_PAIR.sub("\ufffd", value) if isinstance(value, str) else value
