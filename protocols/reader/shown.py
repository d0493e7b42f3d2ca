"""A receipt as peers show it: whose word each member is. See "A receipt as it is shown" in
../log/spec.md."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from names import peer_id_of_key
from proof import Proof, Standing, has_receipt
from receipts import (
    Receipt,
    base64_of,
    receipt_of_log,
    segment_of_log,
)
from refusal import Refused

Members = dict[str, Any]

_OF_PROOF = ("object", "version", "network", "receipt", "entries")
_OF_RECEIPT = ("job_id", "node_pk", "result_hash", "metering_units", "signature")
_OF_ENTRY = ("entry", "index", "path", "head", "head_signature")

_ALWAYS: Members = {
    "object": "receipt",
    "version": "RYV1",
    "alg": "Ed25519/SHA-256",
    "verified": True,
}


def unsigned_of_proof(file: Members) -> list[str]:
    """Members of a file that are nobody's word."""
    return _compare(file, _covered_in_proof(file))


def unsigned_of_open(shown: Members, opened: Receipt) -> list[str]:
    """Refuses one that says something else than was signed."""
    covered = _ALWAYS | _names_of(opened)
    covered |= {"status": "open", "prompt_root": opened.hash.hex(), "input_tokens": opened.count}
    return _compare(shown, covered)


def unsigned_of_shown(shown: Members, proof: Proof) -> list[str]:
    """The same of a receipt, with what the entries in its proof say."""
    receipt = proof.receipt
    covered = _ALWAYS | _names_of(receipt)
    covered |= {"result_hash": receipt.hash.hex(), "metering_units": receipt.count}
    covered |= _covered_by_entries(proof, shown.get("entry_cid"))
    if shown.get("proof") is not None:
        covered["proof"] = _covered_in_proof(shown["proof"])
    return _compare(shown, covered)


def _names_of(receipt: Receipt) -> Members:
    return {
        "cid": receipt.ryv1_cid,
        "multiformats_cid": str(receipt.cid),
        "node": peer_id_of_key(receipt.node_pk),
        "node_pk": receipt.node_pk.hex(),
        "job_id": receipt.job_id,
        "signed_payload": receipt.payload,
        "signature": base64_of(receipt.signature),
    }


def _covered_in_proof(file: Members) -> Members:
    """All that was read; but its network is said by the heads alone."""
    covered = _some(file, _OF_PROOF)
    covered["receipt"] = _some(file["receipt"], _OF_RECEIPT)
    covered["entries"] = [_some(entry, _OF_ENTRY) for entry in file["entries"]]
    if not file["entries"]:
        del covered["network"]
    return covered


def _some(members: Members, names: tuple[str, ...]) -> Members:
    return {name: members[name] for name in names}


def _covered_by_entries(proof: Proof, shown_entry: Any) -> Members:
    receipt = proof.receipt
    execution = _first(
        standing
        for standing in _of_kind("execution", proof)
        if has_receipt(standing.entry.body, receipt)
    )
    routing = _first(_of_kind("routing", proof))
    told = execution
    if execution is None and routing is not None:
        # Who shows it may have read an entry that is not in the proof.
        if not isinstance(shown_entry, str) or shown_entry == str(routing.entry.cid):
            told = routing
    covered: Members = {}
    jurisdiction: Members = {}
    if told is not None:
        covered |= _of_teller(told)
        jurisdiction["resolved"] = told.entry.body.get("region")
    if routing is not None:
        covered |= _of_routing(routing.entry.body)
        jurisdiction["requested"] = routing.entry.body.get("jurisdiction")
    if execution is not None:
        covered |= _of_execution(execution.entry.body, receipt)
    elif told is not None:
        covered |= _of_routed(told.entry.body, receipt)
    if jurisdiction:
        covered["jurisdiction"] = jurisdiction
    return covered


def _of_kind(kind: str, proof: Proof) -> list[Standing]:
    return [standing for standing in proof.standings if standing.entry.kind == kind]


def _first(standings: Any) -> Standing | None:
    return next(iter(standings), None)


def _of_teller(standing: Standing) -> Members:
    body = standing.entry.body
    return {
        "entry_cid": str(standing.entry.cid),
        "created_at": _time(standing.entry.value["at"]),
        "model": body["model_name"],
        "content_id": body["model"],
        "coordinator": peer_id_of_key(body["coordinator"]),
        "privacy": body["privacy"],
    }


def _of_execution(body: Members, receipt: Receipt) -> Members:
    whole = receipt_of_log(body["receipt"])
    is_final = whole.digest == receipt.digest
    return {
        "status": "final" if is_final else "segment",
        "tokens": _tokens(body) if is_final else None,
        "final_cid": None if is_final else whole.ryv1_cid,
        "segments": [
            {"cid": segment_of_log(segment, whole).ryv1_cid, "segment_end": segment["end"] - 1}
            for segment in body["segments"]
        ],
        "speculative": _speculative(body["drafting"]),
    }


def _of_routed(body: Members, receipt: Receipt) -> Members:
    whole = receipt_of_log(body["whole"]) if "whole" in body else None
    is_whole = whole is not None and whole.digest == receipt.digest
    part = next((p for p in body["parts"] if p["job_id"] == receipt.job_id), None)
    is_final = is_whole or part is not None
    return {
        "status": "final" if is_final else "segment",
        "tokens": _tokens(part or body) if is_final else None,
        "final_cid": None if is_final or whole is None else whole.ryv1_cid,
    }


def _of_routing(body: Members) -> Members:
    parts = body["parts"]
    return {
        "endpoint": body.get("endpoint"),
        "verdict": body["verdict"],
        "dispute": body.get("dispute"),
        "count": body["count"],
        "resumed": len(parts) > 1 or ("whole" in body and body["verdict"] == "ok"),
        "parts": [_part(part) for part in parts] if len(parts) > 1 else None,
    }


def _part(part: Members) -> Members:
    receipt = receipt_of_log(part["receipt"]) if "receipt" in part else None
    is_final = receipt is None or receipt.job_id == part["job_id"]
    return {
        "cid": str(part["execution"]) if receipt is None else receipt.ryv1_cid,
        "node": peer_id_of_key(part["node"]),
        "tokens": _tokens(part),
        "status": "final" if is_final else "segment",
    }


def _tokens(of: Members) -> Members:
    return _some(of["tokens"], ("input", "cached", "output"))


def _speculative(drafting: list[Members]) -> Members | None:
    if not drafting:
        return None
    sums = {
        name: sum(each[name] for each in drafting)
        for name in ("drafted", "accepted", "rolled_back")
    }
    return {"draft_nodes": [peer_id_of_key(each["drafter"]) for each in drafting], **sums}


def _time(at_ms: int) -> str:
    """Python's calendar ends with the year 9999; each 400 years are alike."""
    cycles, rest = divmod(at_ms, 146_097 * 86_400_000)
    time = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(milliseconds=rest)
    year = time.year + 400 * cycles
    years = f"{year:04}" if year <= 9999 else f"+{year:06}"
    return f"{years}-{time:%m-%dT%H:%M:%S}.{time.microsecond // 1000:03}Z"


@dataclass(frozen=True)
class _Comparing:
    wrong: list[str]
    unsigned: list[str]

    def members(self, said: Members, covered: Members, within: str) -> None:
        for name, value in said.items():
            if name in covered:
                self.value(value, covered[name], within + name)
            elif _says_something(value):
                self.unsigned.append(within + name)

    def value(self, said: Any, covered: Any, at: str) -> None:
        if isinstance(said, dict) and isinstance(covered, dict):
            self.members(said, covered, f"{at}.")
        elif _are_lists(said, covered) and len(said) == len(covered):
            for index, (one, other) in enumerate(zip(said, covered, strict=True)):
                self.value(one, other, f"{at}.{index}")
        # To Python, true is 1.
        elif said != covered or isinstance(said, bool) != isinstance(covered, bool):
            self.wrong.append(at)


def _compare(said: Members, covered: Members) -> list[str]:
    """Names of what is said and not covered."""
    comparing = _Comparing([], [])
    comparing.members(said, covered, "")
    if comparing.wrong:
        wrong = ", ".join(comparing.wrong)
        raise Refused("does_not_hold", f"another was signed: {wrong}")
    return comparing.unsigned


def _are_lists(one: Any, other: Any) -> bool:
    return isinstance(one, list) and isinstance(other, list)


def _says_something(value: Any) -> bool:
    if isinstance(value, (dict, list)):
        within = value.values() if isinstance(value, dict) else value
        return any(_says_something(each) for each in within)
    return value is not None
