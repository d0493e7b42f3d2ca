"""The vectors of the log and of sync, that are no messages of a .proto file."""

import json
from pathlib import Path
from typing import Any

import dag_cbor
from body import write_canonical_json
from comparing import Disagreement, Read, Reading, check_all
from dag_cbor import ENTRY_LIMITS
from ed25519 import sign
from log_records import LogReader
from proof import ProofReader, read_file
from records import Protocol, covered_bytes
from sync import check_batch, check_equivocation, check_found, digest_of
from tree import (
    Frontier,
    consistency_path,
    inclusion_path,
    is_consistent,
    is_included,
    leaf_hash,
    root_of,
)


def readings(folder: Path, sync: Protocol, seed: bytes, network: str) -> dict[str, Read]:
    """How a `message` is read, and written again. `folder` has all protocols."""
    log = LogReader(folder / "log" / "log.cddl", network)
    proofs = ProofReader(folder / "log")

    def read_dag_cbor(content: bytes) -> Reading:
        value = dag_cbor.decode(content, ENTRY_LIMITS)
        return Reading(value, dag_cbor.encode(value))

    def read_entry(content: bytes) -> Reading:
        entry = log.read_entry(content)
        log.check_body(entry)
        value = {"cid": str(entry.cid), "entry": entry.value}
        return Reading(value, dag_cbor.encode(entry.value))

    def read_signed_head(content: bytes) -> Reading:
        signed = _present(sync.read("Signed", content))
        head = log.read_head(signed["payload"])
        log.require_head_signed(head, signed["payload"], signed["signature"])
        payload = dag_cbor.encode(head)
        signature = sign(seed, covered_bytes("head", network, payload))
        return Reading(head, sync.write("Signed", {"payload": payload, "signature": signature}))

    def read_routing(content: bytes) -> Reading:
        body = log.read_routing(content)
        return Reading(body, dag_cbor.encode(body))

    def read_proof(content: bytes) -> Reading:
        file = proofs.read(read_file(content))
        proofs.check(file)
        return Reading(file, write_canonical_json(file))

    def read_open_batch(content: bytes) -> Reading:
        batch = _present(sync.read("Batch", content))
        check_batch(batch, log)
        return Reading(batch, sync.write("Batch", batch))

    def read_open_found(content: bytes) -> Reading:
        found = _present(sync.read("Found", content))
        check_found(found, log)
        return Reading(found, sync.write("Found", found))

    def read_open_equivocation(content: bytes) -> Reading:
        told = _present(sync.read("Equivocation", content))
        check_equivocation(told, log)
        return Reading(told, sync.write("Equivocation", told))

    return {
        "DagCbor": read_dag_cbor,
        "Entry": read_entry,
        "SignedHead": read_signed_head,
        "Routing": read_routing,
        "Proof": read_proof,
        "OpenBatch": read_open_batch,
        "OpenFound": read_open_found,
        "OpenEquivocation": read_open_equivocation,
    }


def _present(message: dict[str, Any] | None) -> dict[str, Any]:
    assert message is not None, "only a oneof is ever passed over"
    return message


def check_tree(file: Path) -> int:
    content = json.loads(file.read_text(encoding="utf-8"))
    cids = [bytes.fromhex(cid) for cid in content["leaves"]]
    leaves = [leaf_hash(cid) for cid in cids]
    frontier = Frontier()
    for size, stated in enumerate(content["roots"]):
        if size > 0:
            frontier.append(cids[size - 1])
        if not frontier.root == root_of(leaves[:size]) == bytes.fromhex(stated):
            raise Disagreement(f"{file}: the root of {size} is another")

    def check(case: dict[str, Any]) -> None:
        path = [bytes.fromhex(step) for step in case["path"]]
        if case["type"] == "inclusion":
            index, size, root = case["index"], case["size"], bytes.fromhex(case["root"])
            leaf = leaf_hash(bytes.fromhex(case["cid"]))
            holds = is_included(leaf, index, size, path, root)
            made = inclusion_path(index, leaves[:size]) if holds else path
        else:
            first, second = case["from"], case["to"]
            roots = (bytes.fromhex(case[name]) for name in ("from_root", "to_root"))
            first_root, second_root = roots
            holds = is_consistent(first, first_root, second, second_root, path)
            made = consistency_path(first, leaves[:second]) if holds else path
        if holds != case["holds"]:
            raise Disagreement(f"got holds: {holds}; expected {case['holds']}")
        if made != path:
            raise Disagreement("made another path")

    return check_all(file, content["cases"], check)


def check_digest(file: Path) -> int:
    content = json.loads(file.read_text(encoding="utf-8"))
    places = (
        (*(bytes.fromhex(case[name]) for name in ("author", "epoch")), case["size"], case["root"])
        for case in content["cases"]
    )
    digest = digest_of(
        (author, epoch, size, bytes.fromhex(root)) for author, epoch, size, root in places
    )
    agrees = digest.hex() == content["buckets"]

    def check(_case: dict[str, Any]) -> None:
        if not agrees:  # all of them together are one digest
            raise Disagreement("got other buckets")

    return check_all(file, content["cases"], check)
