"""Batches and equivocations, beyond their bounds, and digests. See ../sync/spec.md."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from cids import Cid
from log_records import LogReader, cid_of_entry
from refusal import Refused, malformed
from tree import Frontier, hashes_of, is_consistent, is_included, leaf_hash

BUCKETS = 256
_MARK_BYTES = 8


def check_batch(batch: dict[str, Any], log: LogReader) -> None:
    """For a reader who has nothing of its log."""
    signed, first, entries = batch["head"], batch["first"], batch["entries"]
    head = log.read_head(signed["payload"])
    path, peaks = hashes_of(batch["path"]), hashes_of(batch["peaks"])
    end = first + len(entries)
    if end > head["size"]:
        raise malformed("a batch that goes on beyond its head")
    if end == head["size"] and path:
        raise malformed("a path where the entries end with the head")
    if peaks and len(peaks) != first.bit_count():
        raise malformed("peaks of another size")
    cids, unsupported = _cids_of(entries, log)
    log.require_head_signed(head, signed["payload"], signed["signature"])
    if unsupported is not None:
        raise unsupported
    if first > 0 and not peaks:
        raise malformed("no peaks for who has nothing of what stands before")
    frontier = Frontier(first, peaks)
    for cid in cids:
        frontier.append(cid.to_bytes())
    if not is_consistent(end, frontier.root, head["size"], head["root"], path):
        raise Refused("bad_log", "the entries do not come to the root of the head")


def check_found(found: dict[str, Any], log: LogReader) -> None:
    """For a reader who asked for the entry that is in it."""
    signed = found["head"]
    head = log.read_head(signed["payload"])
    entry = log.read_entry(found["entry"])
    log.require_head_signed(head, signed["payload"], signed["signature"])
    leaf, path = leaf_hash(entry.cid.to_bytes()), hashes_of(found["path"])
    if not is_included(leaf, found["index"], head["size"], path, head["root"]):
        raise Refused("bad_log", "the entry does not stand under its head")


def _cids_of(entries: list[bytes], log: LogReader) -> tuple[list[Cid], Refused | None]:
    """The second is of an entry that nobody is to blame for: another fault is told before it."""
    unsupported: Refused | None = None
    for content in entries:
        try:
            log.read_entry(content)
        except Refused as refused:
            if refused.code != "unsupported_value":
                raise
            unsupported = refused
    return [cid_of_entry(content) for content in entries], unsupported


def check_equivocation(told: dict[str, Any], log: LogReader) -> None:
    sides = ("one", "other")
    one, other = (log.read_head(told[side]["payload"]) for side in sides)
    for side, head in zip(sides, (one, other), strict=True):
        log.require_head_signed(head, told[side]["payload"], told[side]["signature"])
    if (one["author"], one["epoch"]) != (other["author"], other["epoch"]):
        raise Refused("no_equivocation", "heads of two logs")
    if one["size"] == other["size"] and one["root"] != other["root"]:
        return
    if told["one_cid"] == told["other_cid"] or not (told["one_cid"] and told["other_cid"]):
        raise Refused("no_equivocation", "no two entries")
    for side, head in zip(sides, (one, other), strict=True):
        leaf, path = leaf_hash(told[f"{side}_cid"]), hashes_of(told[f"{side}_path"])
        if not is_included(leaf, told["index"], head["size"], path, head["root"]):
            raise Refused("no_equivocation", f"{side}_cid does not stand under its head")


def digest_of(places: Iterable[tuple[bytes, bytes, int, bytes]]) -> bytes:
    """Of logs by author, epoch, size and root."""
    buckets = bytearray(BUCKETS * _MARK_BYTES)
    for author, epoch, size, root in places:
        start = sha256(author + epoch).digest()[0] * _MARK_BYTES
        mark = sha256(author + epoch + size.to_bytes(8, "big") + root).digest()[:_MARK_BYTES]
        for offset, byte in enumerate(mark):
            buckets[start + offset] ^= byte
    return bytes(buckets)
