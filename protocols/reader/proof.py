"""A receipt and what proves it, in one file. See "A proof in a file" in ../log/spec.md."""

import json
from base64 import b64decode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from body import write_canonical_json
from json_schema import SchemaChecker
from json_text import read_json
from log_records import Entry, LogReader, executions_of_routing, receipts_of_routing
from receipts import (
    Receipt,
    open_receipt_of_log,
    receipt_of_json,
    receipt_of_log,
    segment_of_log,
)
from refusal import Refused, malformed
from tree import is_included, leaf_hash

# 33 entries of 32 KiB in base64, with paths and heads, are 1.6 MB; members that are not known may
# have the rest.
MAX_FILE_BYTES = 4 * 2**20
MAX_ENTRY_BYTES = 32 * 2**10
MAX_HEAD_BYTES = 2**10


@dataclass(frozen=True)
class Standing:
    """An entry, and where it stands: under a head that its author signed."""

    entry: Entry
    index: int
    head: dict[str, Any]


@dataclass(frozen=True)
class Proof:
    network: str
    receipt: Receipt
    standings: list[Standing]


class ProofReader:
    def __init__(self, log_folder: Path) -> None:
        self._cddl = log_folder / "log.cddl"
        schema_text = (log_folder / "proof.schema.json").read_text(encoding="utf-8")
        self._schema: dict[str, Any] = json.loads(schema_text)
        self._checker = SchemaChecker(self._schema["$defs"])

    def read(self, file: Any) -> dict[str, Any]:
        """The file as it was parsed, within its bounds; whether it holds is another question."""
        faults = self._checker.faults(self._schema, file, "file")
        if faults:
            raise faults[0]
        value: dict[str, Any] = file
        for entry in value["entries"]:
            _bytes_of(entry, "entry", MAX_ENTRY_BYTES)
            _bytes_of(entry, "head", MAX_HEAD_BYTES)
        return value

    def check(self, file: dict[str, Any]) -> Proof:
        log = LogReader(self._cddl, file["network"])
        receipt = receipt_of_json(file["receipt"])
        try:
            _require(receipt.holds, "the receipt is not signed by its node")
            standings = [_stand(entry, log) for entry in file["entries"]]
            proof = Proof(file["network"], receipt, standings)
            for standing in standings:
                _check_meaning(standing, proof, log)
        except Refused as refused:
            if refused.code == "does_not_hold":
                raise
            # Whatever was wrong further down, of the file it says that not all of it holds.
            raise Refused("does_not_hold", str(refused)) from refused
        return proof


def read_file(content: bytes) -> Any:
    if len(content) > MAX_FILE_BYTES:
        raise malformed(f"more than {MAX_FILE_BYTES} bytes")
    value = read_json(content)
    try:
        write_canonical_json(value)
    except ValueError as error:  # halves of surrogate pairs, and numbers beyond all doubles
        raise malformed(f"not I-JSON: {error}") from error
    return value


def _bytes_of(entry: dict[str, Any], name: str, most: int) -> bytes:
    content = b64decode(entry[name])
    if not 1 <= len(content) <= most:
        raise malformed(f"{name} is out of bounds")
    return content


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Refused("does_not_hold", otherwise)


def _stand(fields: dict[str, Any], log: LogReader) -> Standing:
    entry = log.read_entry(b64decode(fields["entry"]))
    log.check_body(entry)
    payload, index = b64decode(fields["head"]), int(fields["index"])
    head = log.read_head(payload)
    path = [bytes.fromhex(step) for step in fields["path"]]
    leaf = leaf_hash(entry.cid.to_bytes())
    is_there = is_included(leaf, index, head["size"], path, head["root"])
    _require(is_there, f"{entry.cid} does not stand at {index} under its head")
    log.require_head_signed(head, payload, b64decode(fields["head_signature"]))
    return Standing(entry, index, head)


def _check_meaning(standing: Standing, proof: Proof, log: LogReader) -> None:
    """An entry of another kind is in its log, and that is all that is said."""
    if standing.entry.kind == "execution":
        _check_execution(standing, proof)
    elif standing.entry.kind == "routing":
        _check_routing(standing, proof, log)


def _check_execution(standing: Standing, proof: Proof) -> None:
    body, cid = standing.entry.body, standing.entry.cid
    receipt = receipt_of_log(body["receipt"])
    opened = open_receipt_of_log(body["open"], receipt.job_id, receipt.node_pk)
    _require(standing.head["author"] == receipt.node_pk, f"{cid} is in the log of another node")
    _require(receipt.holds, f"the receipt in {cid} is not signed")
    _require(opened.holds, f"the open receipt in {cid} is not signed")
    is_about_it = has_receipt(body, proof.receipt) or any(
        _is_among(proof.receipt, receipts_of_routing(routing))
        and cid in executions_of_routing(routing)
        for routing in _bodies_of("routing", proof)
    )
    _require(is_about_it, f"{cid} is about another receipt")


def _check_routing(standing: Standing, proof: Proof, log: LogReader) -> None:
    body, cid = standing.entry.body, standing.entry.cid
    receipts = receipts_of_routing(body)
    _require(standing.head["author"] == body["coordinator"], f"{cid} is in the log of another peer")
    log.require_routing_signed(body)
    _require(all(receipt.holds for receipt in receipts), f"a receipt in {cid} is not signed")
    is_about_it = _is_among(proof.receipt, receipts) or any(
        other.entry.cid in executions_of_routing(body)
        and has_receipt(other.entry.body, proof.receipt)
        for other in proof.standings
        if other.entry.kind == "execution"
    )
    _require(is_about_it, f"{cid} is about another receipt")


def has_receipt(execution: dict[str, Any], receipt: Receipt) -> bool:
    whole = receipt_of_log(execution["receipt"])
    segments = [segment_of_log(segment, whole) for segment in execution["segments"]]
    return _is_among(receipt, [whole, *segments])


def _is_among(receipt: Receipt, others: list[Receipt]) -> bool:
    """By what it says: its one signature was checked, and a second by the same key adds nothing."""
    return any(other.digest == receipt.digest for other in others)


def _bodies_of(kind: str, proof: Proof) -> list[dict[str, Any]]:
    return [s.entry.body for s in proof.standings if s.entry.kind == kind]
