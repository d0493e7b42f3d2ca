"""The bounds of the specs' tables, for every field that has one.

A bound is a question to a field's whole value: a repeated field's is asked of the list.
"""

import math
import re
import struct
from collections.abc import Callable
from typing import Any

from frames import MAX_FRAME
from names import is_model_id, is_model_name, is_peer_id, is_shown, is_word, read_model_id
from proto_file import Schema
from protobuf import MAX_UINT32, MAX_UINT64
from refusal import malformed

Bound = Callable[[Any], bool]
Table = dict[str, dict[str, Bound]]
Whole = dict[str, list[Bound]]

KIB, MIB = 2**10, 2**20
HOUR_MS = 3_600_000

_ADDRESS = re.compile("(/[A-Za-z0-9._:%-]+)+")
_COUNTRY = re.compile("[A-Z]{2}")
_JOB_ID = re.compile("[A-Za-z0-9_.#-]{1,128}")


def between(lowest: int, highest: int) -> Bound:
    return lambda number: lowest <= number <= highest


def size_between(lowest: int, highest: int) -> Bound:
    return lambda content: lowest <= len(content) <= highest


def exactly(size: int) -> Bound:
    return size_between(size, size)


def optional(bound: Bound) -> Bound:
    return lambda value: not value or bound(value)


def list_of(most: int, bound: Bound) -> Bound:
    return lambda items: len(items) <= most and all(bound(item) for item in items)


def shown(most: int) -> Bound:
    return lambda text: is_shown(text, most)


def text(most: int) -> Bound:
    return lambda content: len(content.encode("utf-8")) <= most


def matches(pattern: re.Pattern[str]) -> Bound:
    return lambda content: pattern.fullmatch(content) is not None


def anything(_: Any) -> bool:
    return True


def is_present(message: Any) -> bool:
    return message is not None


def is_address(content: str) -> bool:
    return len(content.encode("utf-8")) <= 256 and _ADDRESS.fullmatch(content) is not None


def is_job_id(content: str) -> bool:
    return _JOB_ID.fullmatch(content) is not None


COUNT = between(0, MAX_UINT32)
SIZE = between(0, MAX_UINT64)
PRICE = between(0, 10**12)
HASH = exactly(32)
SIGNATURE = exactly(64)
COUNTRY = matches(_COUNTRY)
SEQUENCE = between(1, MAX_UINT64)
CHOICE = between(0, 127)
ENTRY = size_between(0, 32 * KIB)

SIGNED: Table = {"Signed": {"payload": size_between(1, 16 * KIB), "signature": SIGNATURE}}

ADVERT: Table = SIGNED | {
    "Request": {},
    "Ask": {},
    "Advert": {
        "peer_id": is_peer_id,
        "sequence": SEQUENCE,
        "ttl_s": between(1, 3600),
        "addresses": list_of(16, is_address),
        "roles": list_of(16, is_word),
        "region": optional(COUNTRY),
        "hardware": is_present,
        "models": size_between(0, 64),
        "version": shown(128),
    },
    "Hardware": {
        "gpus": size_between(0, 16),
        "cpu": shown(128),
        "cpu_threads": COUNT,
        "ram_bytes": SIZE,
        "backend": is_word,
    },
    "Gpu": {"name": shown(128), "vram_total_bytes": SIZE, "vram_free_bytes": SIZE},
    "Model": {
        "name": is_model_name,
        "id": is_model_id,
        "kind": is_word,
        "family": shown(128),
        "parameters": SIZE,
        "quant": shown(128),
        "context_length": COUNT,
        "embedding_length": COUNT,
        "capabilities": list_of(16, is_word),
        "slots": COUNT,
        "price_input": PRICE,
        "price_output": PRICE,
        "drafts_for": optional(is_model_id),
    },
    "Departure": {"peer_id": is_peer_id, "sequence": SEQUENCE},
}

STATUS: Table = {
    "Status": {"advert_sequence": SEQUENCE, "models": size_between(0, 64)},
    "ModelLoad": {
        "id": is_model_id,
        "slots": COUNT,
        "running": COUNT,
        "queued": COUNT,
        "tokens_per_second": lambda number: number >= 0,
    },
}

# That there is at least one, and one log-probability for each or none, is a rule of the exchange:
# a message by itself is well formed without.
_TOKEN_IDS = list_of(256, COUNT)
_TEXT_OF_TOKENS = text(32_768)
_NO: dict[str, Bound] = {
    "code": is_word,
    "message": shown(1024),
    "param": shown(256),
    "retry_after_ms": between(0, HOUR_MS),
}
_LOGPROB: dict[str, Bound] = {
    "token": text(512),
    "bytes": size_between(0, 512),
    "logprob": anything,  # the decoder takes no NaN and no plus infinity
}

GENERATE: Table = SIGNED | {
    "ToProvider": {"body": size_between(1, MAX_FRAME)},
    "FromProvider": {},
    "Job": {
        "job_id": is_job_id,
        "provider": is_peer_id,
        "coordinator": is_peer_id,
        "expires_in_ms": between(1, HOUR_MS),
        "prompt_root": HASH,
        "prompt_nonce": exactly(32),
        "model": is_model_id,
        "body_bytes": between(1, 20 * MIB),
        "sampler": optional(is_word),
        "seed": SIZE,
        "max_output_tokens": COUNT,
        "first_token_ms": between(1, HOUR_MS),
        "total_ms": between(1, HOUR_MS),
        "max_price_input": PRICE,
        "max_price_output": PRICE,
        "jurisdiction": optional(COUNTRY),
        "cache_scope": optional(exactly(32)),
        "drafters": list_of(8, is_peer_id),
        "attempt": between(1, 1000),
        "resume_bytes": between(0, 4 * MIB),
        "resume_hash": optional(HASH),
    },
    "Resumes": {"resumes": size_between(0, 128)},
    "Resume": {"choice": CHOICE, "text": text(4 * MIB), "ids": list_of(2**20, COUNT)},
    "Cancel": {"received": list_of(128, COUNT)},
    "Ack": {"entry": ENTRY, "dispute": optional(is_word)},
    "Committed": {"choice": CHOICE, "first": COUNT, "ids": _TOKEN_IDS},
    "Accept": {
        "input_tokens": COUNT,
        "price_input": PRICE,
        "price_output": PRICE,
        "allowance": COUNT,
        "open_signature": optional(SIGNATURE),
        "resumed_at": list_of(128, COUNT),
    },
    "Refuse": _NO,
    "Failed": _NO,
    "Progress": {"queued": COUNT, "prefilled": COUNT, "total": COUNT, "input_tokens": COUNT},
    "Tokens": {
        "choice": CHOICE,
        "first": COUNT,
        "ids": _TOKEN_IDS,
        "text": _TEXT_OF_TOKENS,
        "logprobs": size_between(0, 256),
        "tool_index": COUNT,
        "tool_name": shown(128),
        "tool_call_id": shown(128),
    },
    "Logprob": _LOGPROB | {"top": size_between(0, 20)},
    "Alternative": _LOGPROB,
    "Vectors": {"first": between(0, 2047), "length": between(1, 16_000), "values": anything},
    "Provisional": {
        "choice": CHOICE,
        "first": COUNT,
        "ids": _TOKEN_IDS,
        "text": _TEXT_OF_TOKENS,
        "drafter": optional(is_peer_id),
    },
    "Commit": {"choice": CHOICE, "until": COUNT},
    "Rollback": {"choice": CHOICE, "from": COUNT, "reason": optional(is_word)},
    "Segment": {"end": COUNT, "units": SIZE, "result_hash": HASH, "signature": SIGNATURE},
    "Media": {"offset": SIZE, "data": size_between(1, MAX_FRAME), "mime_type": shown(128)},
    "Done": {
        "finish": size_between(0, 128),
        "input_tokens": COUNT,
        "cached_tokens": COUNT,
        "output_tokens": COUNT,
        "entry": ENTRY,
        "drafting": size_between(0, 8),
    },
    "Receipt": {"result_hash": HASH, "metering_units": SIZE, "signature": SIGNATURE},
    "Drafting": {"drafter": is_peer_id, "drafted": COUNT, "accepted": COUNT, "rolled_back": COUNT},
}


def _declares_only_itself(advert: dict[str, Any]) -> bool:
    ids = (read_model_id(model["id"]) for model in advert["models"])
    return all(model_id.get("peerId", advert["peer_id"]) == advert["peer_id"] for model_id in ids)


def _caps_prices_or_has_none(job: dict[str, Any]) -> bool:
    is_capped: bool = job["price_capped"]
    return is_capped or job["max_price_input"] == job["max_price_output"] == 0


def _has_hash_with_resumes_only(job: dict[str, Any]) -> bool:
    has_resumes, has_hash = bool(job["resume_bytes"]), bool(job["resume_hash"])
    return has_resumes == has_hash


def _has_whole_finite_vectors(vectors: dict[str, Any]) -> bool:
    values: bytes = vectors["values"]
    if len(values) == 0 or len(values) % (4 * vectors["length"]) != 0:
        return False
    return all(math.isfinite(number) for (number,) in struct.iter_unpack("<f", values))


def _has_each_choice_once(resumes: dict[str, Any]) -> bool:
    choices = [resume["choice"] for resume in resumes["resumes"]]
    return len(set(choices)) == len(choices)


# What is said of several fields of a message together.
WHOLE: Whole = {
    "Advert": [_declares_only_itself],
    "Job": [_caps_prices_or_has_none, _has_hash_with_resumes_only],
    "Resumes": [_has_each_choice_once],
    "Vectors": [_has_whole_finite_vectors],
}


class Bounds:
    def __init__(self, schema: Schema, table: Table, whole: Whole = WHOLE) -> None:
        self._table = table
        self._whole = whole
        _require_all_bounds(schema, table)

    def check(self, message_name: str, value: dict[str, Any]) -> None:
        for name, bound in self._table[message_name].items():
            if name in value and not bound(value[name]):
                raise malformed(f"{message_name}.{name} is out of bounds")
        for bound in self._whole.get(message_name, []):
            if not bound(value):
                raise malformed(f"{message_name}: {bound.__name__} does not hold")


def _require_all_bounds(schema: Schema, table: Table) -> None:
    """A field that nobody bounds is a mistake of this table, or a gap in a spec."""
    for message in schema.messages.values():
        for field in message.fields.values():
            is_bounded_by_type = field.type == "bool" or field.type in schema.enums
            is_whole_message = field.type in schema.messages and not field.repeated
            needs_none = not field.repeated and (is_bounded_by_type or is_whole_message)
            if not needs_none and field.name not in table[message.name]:
                raise KeyError(f"{message.name}.{field.name} has no bound")
