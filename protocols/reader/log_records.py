"""Entries, their bodies, and heads. See ../log/spec.md; fields and bounds are of its CDDL."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import dag_cbor
from cddl import Rules
from cids import Cid
from dag_cbor import ENTRY_LIMITS, HEAD_LIMITS
from ed25519 import verify
from names import is_model_id, is_model_name, is_shown
from receipts import MAX_JOB_ID, Receipt, receipt_of_log, segment_job_id
from records import covered_bytes
from refusal import Refused, malformed

VERSION = 1
_MAX_SHOWN = 128
_MAX_SENTENCE = 1024


def _text_that(is_valid: Callable[[str], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) and is_valid(value)


# The CDDL can only say that these are text, or a CID.
_BEYOND_CDDL: dict[str, Callable[[Any], bool]] = {
    "model-id": _text_that(is_model_id),
    "model-name": _text_that(is_model_name),
    "shown": _text_that(lambda text: is_shown(text, _MAX_SHOWN)),
    "sentence": _text_that(lambda text: is_shown(text, _MAX_SENTENCE)),
    "entry-link": lambda value: isinstance(value, Cid) and value.kind == "entry",
}


@dataclass(frozen=True)
class Entry:
    cid: Cid
    value: dict[str, Any]

    @property
    def kind(self) -> str:
        kind: str = self.value["kind"]
        return kind

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = self.value["body"]
        return body


class LogReader:
    """Of one network: what is signed in it counts in no other."""

    def __init__(self, cddl_file: Path, network: str) -> None:
        self._rules = Rules(cddl_file, _BEYOND_CDDL)
        self._network = network
        self._bodies: dict[str, Callable[[Any], None]] = {
            "execution": self._check_execution,
            "routing": self._check_routing,
            "revocation": lambda body: self._rules.check("Revocation", body),
        }

    def read_entry(self, content: bytes) -> Entry:
        """Its body is whatever it is: what it means is asked by `check_body`."""
        value = dag_cbor.decode(content, ENTRY_LIMITS)
        # What else another version has is not known here, so that nothing more is asked of it.
        version = value.get("v") if isinstance(value, dict) else None
        if type(version) is int and version >= 0 and version != VERSION:
            raise Refused("unsupported_value", f"an entry of version {version}")
        self._rules.check("Entry", value)
        return Entry(cid_of_entry(content), value)

    def check_body(self, entry: Entry) -> None:
        if entry.kind in self._bodies:
            self._bodies[entry.kind](entry.body)

    def read_routing(self, content: bytes) -> dict[str, Any]:
        body = dag_cbor.decode(content, ENTRY_LIMITS)
        self._check_routing(body)
        self.require_routing_signed(body)
        checked: dict[str, Any] = body
        return checked

    def require_routing_signed(self, body: dict[str, Any]) -> None:
        unsigned = {name: value for name, value in body.items() if name != "signature"}
        covered = covered_bytes("routing", self._network, dag_cbor.encode(unsigned))
        if not verify(body["coordinator"], covered, body["signature"]):
            raise Refused("bad_signature", "the routing is not signed by its coordinator")

    def read_head(self, payload: bytes) -> dict[str, Any]:
        head = dag_cbor.decode(payload, HEAD_LIMITS)
        self._rules.check("Head", head)
        checked: dict[str, Any] = head
        if checked["net"] != self._network:
            raise malformed("a head of another network")
        return checked

    def require_head_signed(self, head: dict[str, Any], payload: bytes, signature: bytes) -> None:
        covered = covered_bytes("head", self._network, payload)
        if not verify(head["author"], covered, signature):
            raise Refused("bad_signature", "the head is not signed by its author")

    def _check_execution(self, body: Any) -> None:
        self._rules.check("Execution", body)
        job_id = body["receipt"]["job_id"]
        if any(len(segment_job_id(job_id, s["end"])) > MAX_JOB_ID for s in body["segments"]):
            raise malformed("a segment's job id is too long")

    def _check_routing(self, body: Any) -> None:
        self._rules.check("Routing", body)
        if ("dispute" in body) != (body["verdict"] == "dispute"):
            raise malformed("a dispute without its word, or a word without a dispute")
        if "whole" in body and body["whole"]["node_pk"] != body["coordinator"]:
            raise malformed("a whole answer by another than the coordinator")
        for part in body["parts"]:
            if ("execution" in part) == ("receipt" in part):
                raise malformed("a part with both an entry and a receipt, or with neither")
            if "receipt" in part and part["receipt"]["node_pk"] != part["node"]:
                raise malformed("a part with the receipt of another node")


def cid_of_entry(content: bytes) -> Cid:
    return Cid("entry", sha256(content).digest())


def receipts_of_routing(body: dict[str, Any]) -> list[Receipt]:
    own = [part["receipt"] for part in body["parts"] if "receipt" in part]
    whole = [body["whole"]] if "whole" in body else []
    return [receipt_of_log(fields) for fields in own + whole]


def executions_of_routing(body: dict[str, Any]) -> list[Cid]:
    return [part["execution"] for part in body["parts"] if "execution" in part]
