"""The bounds of the tables in ../sync/spec.md."""

from typing import Any

from bounds import (
    HASH,
    KIB,
    SEQUENCE,
    SIGNATURE,
    SIZE,
    Bound,
    Table,
    Whole,
    exactly,
    is_job_id,
    is_present,
    list_of,
    optional,
    size_between,
)
from cids import is_cid, is_entry_cid
from names import is_word
from tree import HASH_BYTES

_KEY = exactly(32)
_EPOCH = exactly(8)
_ONE_ENTRY = size_between(1, 32 * KIB)
_LOG: dict[str, Bound] = {"author": _KEY, "epoch": _EPOCH}


def hashes(most: int) -> Bound:
    return lambda joined: len(joined) % HASH_BYTES == 0 and len(joined) <= most * HASH_BYTES


SYNC: Table = {
    "SyncRequest": {},
    "SyncAnswer": {},
    "LogMessage": {},
    "Signed": {"payload": size_between(1, KIB), "signature": SIGNATURE},  # all of them are heads
    "Digest": {"buckets": exactly(2048)},
    "Authors": {"authors": list_of(256, _KEY)},
    "Ranges": {"ranges": size_between(0, 256)},
    "Range": _LOG | {"from": SIZE, "to": SIZE},
    "Get": {"cid": is_cid},
    "Places": {"places": size_between(0, 512)},
    "Place": _LOG | {"size": SEQUENCE, "root_mark": exactly(8)},
    "Heads": {"heads": size_between(0, 256)},
    "Batch": {
        "head": is_present,
        "first": SIZE,
        "entries": list_of(2048, _ONE_ENTRY),
        "path": hashes(54),
        "peaks": hashes(53),
    },
    "Found": {"head": is_present, "index": SIZE, "entry": _ONE_ENTRY, "path": hashes(53)},
    "Open": {
        "job_id": is_job_id,
        "node_pk": _KEY,
        "prompt_root": HASH,
        "input_tokens": SIZE,
        "signature": SIGNATURE,
    },
    "Equivocation": {
        "one": is_present,
        "other": is_present,
        "index": SIZE,
        "one_cid": optional(is_entry_cid),
        "one_path": hashes(53),
        "other_cid": optional(is_entry_cid),
        "other_path": hashes(53),
    },
    "End": {"reason": optional(is_word)},
}


def _ends_behind_its_beginning(span: dict[str, Any]) -> bool:
    first: int = span["from"]
    end: int = span["to"]
    return end == 0 or end > first


WHOLE_OF_SYNC: Whole = {"Range": [_ends_behind_its_beginning]}
