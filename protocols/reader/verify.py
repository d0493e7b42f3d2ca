"""Verifies a receipt from a file, offline: says what is proved and what is not.

    python3 verify.py FILE [--network NAME]        - for FILE reads standard input

FILE has a proof, as "pinaivu-peer receipts export" writes it, or a receipt as peers show it, which
has its proof in it. Whatever else is said there is compared with what was signed, or told to be
nobody's word. Exit code 0: all of it holds. 1: it does not, or is none. 2: there was nothing to read.
"""

import argparse
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True  # leaves nothing behind in a folder of specifications

from names import peer_id_of_key
from proof import MAX_FILE_BYTES, Proof, ProofReader, Standing, has_receipt, read_file
from receipts import Receipt, receipt_of_json, require_holds
from refusal import Refused
from shown import unsigned_of_open, unsigned_of_proof, unsigned_of_shown

_NOT_PROVED = (
    "which text it is about: the text itself does, where its hash is the result's",
    "that the model ran, or ran on that machine",
    "that these logs tell the same to everybody, or are those of peers that are still believed",
    "when it was: the times are those of their authors' clocks",
)


_NOTHING_YET = ["- that anything came of it, and which model it was: the final receipt says so"]

_MAX_NAMES = 16
_MAX_NAME = 64

_READER = ProofReader(Path(__file__).resolve().parent.parent / "log")


@dataclass(frozen=True)
class Verified:
    """A receipt that is open stands in no log: nothing but itself is proved by it."""

    proof: Proof | Receipt
    # Names of members that nobody signed, as "fuzzy_trace" or "proof.note".
    unsigned: list[str]


def verify(content: bytes, network: str | None = None) -> Verified:
    file = read_file(content)
    if not isinstance(file, dict) or file.get("object") != "receipt":
        proof = _proof(file, network)
        return Verified(proof, unsigned_of_proof(file))
    if file.get("status") == "open":
        opened = receipt_of_json(file, "open")
        require_holds(opened)
        return Verified(opened, unsigned_of_open(file, opened))
    alone = {"object": "receipt_proof", "version": "PNV1", "network": network or "none"}
    inner = file.get("proof")
    proof = _proof(alone | {"receipt": file, "entries": []} if inner is None else inner, network)
    return Verified(proof, unsigned_of_shown(file, proof))


def _proof(value: Any, network: str | None) -> Proof:
    file = _READER.read(value)
    if network is not None and file["network"] != network:
        raise Refused("does_not_hold", f"it is of the network {file['network']}, not of {network}")
    return _READER.check(file)


def in_words(verified: Verified) -> list[str]:
    proof = verified.proof
    if isinstance(proof, Receipt):
        lines = ["It holds.", "", "Proved:", *_lines_of_open(proof), "", "Not proved:"]
        return [*lines, *_lines_of_unsigned(verified.unsigned), *_NOTHING_YET]
    lines = ["It holds.", "", "Proved:", *_lines_of_receipt(proof.receipt)]
    for standing in proof.standings:
        lines += _lines_of_standing(standing, proof)
    lines += ["", "Not proved:", *_lines_of_unsigned(verified.unsigned)]
    if not proof.standings:
        lines.append("- network, model, coordinator and price: no entry of a log is in the file")
    if not any(standing.entry.kind == "routing" for standing in proof.standings):
        lines.append("- that anybody else took the work for good: there is no routing in the file")
    return lines + [f"- {line}" for line in _NOT_PROVED]


def _lines_of_unsigned(names: list[str]) -> list[str]:
    if not names:
        return []
    told = ", ".join(_shown(name[:_MAX_NAME]) for name in names[:_MAX_NAMES])
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return [f"- what it says of {told}{more}: nobody signed that here"]


def _lines_of_open(opened: Receipt) -> list[str]:
    return [
        f"- {peer_id_of_key(opened.node_pk)} signed that it took on the job {opened.job_id}",
        f"  with the prompt {opened.hash.hex()} of {opened.count} tokens (0: not counted)",
    ]


def _lines_of_receipt(receipt: Receipt) -> list[str]:
    return [
        f"- {peer_id_of_key(receipt.node_pk)} signed that for the job {receipt.job_id}",
        f"  it did {receipt.count} units of work, with the result {receipt.hash.hex()}",
        f"  receipt {receipt.cid}, {receipt.ryv1_cid}",
    ]


def _lines_of_standing(standing: Standing, proof: Proof) -> list[str]:
    entry, head = standing.entry, standing.head
    lines = [
        f"- {peer_id_of_key(head['author'])} has in its log of the network {proof.network},",
        f"  at {standing.index} of {head['size']}, the {_shown(entry.kind)} {entry.cid}",
        f"  head of {_time(head['at'])}, epoch {head['epoch'].hex()}, root {head['root'].hex()}",
    ]
    if entry.kind == "execution":
        return lines + _lines_of_execution(entry.body, proof)
    if entry.kind == "routing":
        return lines + _lines_of_routing(entry.body)
    return [*lines, "  which is of a kind that says nothing about this receipt"]


def _lines_of_execution(body: dict[str, Any], proof: Proof) -> list[str]:
    whose = (
        "which has the receipt in it"
        if has_receipt(body, proof.receipt)
        else "which has a part of the work in it, as a routing here says"
    )
    tokens, price = body["tokens"], body["price"]
    return [
        f"  {whose}, and says",
        f"  - model {_shown(body['model_name'])}, {_shown(body['model'])}",
        f"  - {tokens['input']} tokens in and {tokens['output']} out, for {price['input']} and "
        f"{price['output']} micro-credits per 1,000",
        f"  - job signed by {peer_id_of_key(body['coordinator'])}, which is its word alone",
        f"  - prompt accepted as {body['open']['prompt_root'].hex()}, which it signed",
    ]


def _lines_of_routing(body: dict[str, Any]) -> list[str]:
    verdict = body["verdict"] + (f" ({body['dispute']})" if "dispute" in body else "")
    return [
        f"  which says: {verdict}, tokens {body['count']}, {body['amount']} micro-credits in all,",
        f"  for the job {body['job_id']}, made by {len(body['parts'])} of its nodes",
    ]


def _shown(text: str) -> str:
    """Names are other people's text: none moves the cursor or looks like a line of ours."""
    return text if text.isprintable() else ascii(text)


def _time(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, timezone.utc).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return f"{at_ms} ms"  # later than Python's calendar goes


def main() -> int:
    parser = argparse.ArgumentParser(description="Verifies a receipt and its proof, offline.")
    parser.add_argument("file", help="the file; - for standard input")
    parser.add_argument("--network", help="refuse a proof of another network")
    options = parser.parse_args()
    try:
        if options.file == "-":
            content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with open(options.file, "rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        print(f"{options.file}: {error.strerror}", file=sys.stderr)
        return 2
    try:
        verified = verify(content, options.network)
    except Refused as refused:
        print(f"It proves nothing: {_shown(str(refused))}")
        return 1
    print("\n".join(in_words(verified)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
