"""Reads the vectors of all protocols as their specs say, and tells where it disagrees with them.

    python3 reader.py [folder]        the folder with README.md; without, the one above this file's

It was written from the specifications alone. Exit code 0: it agrees with every vector.
"""

import hashlib
import hmac
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True  # leaves nothing behind in a folder of specifications

import ed25519
import names
from body import BodyReader, write_canonical_json
from frames import join_frames, split_frames
from records import SIGNED_FORMS, TABLES, Circumstances, Protocol
from refusal import Refused, malformed


class Disagreement(Exception):
    """A vector says something else than this reader."""


@dataclass(frozen=True)
class Reading:
    """What came out of a vector's bytes, and what a reader writes of it (None: nothing)."""

    value: Any
    written: bytes | None


def bytes_of_hex(text: str) -> bytes:
    """`0a 61*1000` is 0a, then 61 a thousand times."""
    content = bytearray()
    for part in text.split():
        digits, _, times = part.partition("*")
        content += bytes.fromhex(digits) * int(times or "1")
    return bytes(content)


def is_same(got: Any, stated: Any) -> bool:
    """Whether a vector's JSON states this value. Unlike ==, it tells 1 from true and 0 from -0."""
    if isinstance(got, bytes):
        return isinstance(stated, str) and bytes_of_hex(stated) == got
    if isinstance(got, dict):
        return (
            isinstance(stated, dict)
            and got.keys() == stated.keys()
            and all(is_same(got[key], stated[key]) for key in got)
        )
    if isinstance(got, list):
        return (
            isinstance(stated, list) and len(got) == len(stated) and all(map(is_same, got, stated))
        )
    if got is None or isinstance(got, (bool, str)):
        return type(got) is type(stated) and got == stated
    if stated in ("-0", "-Infinity"):
        stated = float(stated)
    elif isinstance(stated, bool) or not isinstance(stated, (int, float)):
        return False
    if isinstance(got, float):
        stated = float(stated)  # large ones may be written as if they were whole
    return bool(got == stated) and math.copysign(1, got) == math.copysign(1, stated)


class Vectors:
    """A `good.json` or `bad.json`."""

    def __init__(self, file: Path, protocol: Protocol, bodies: BodyReader) -> None:
        content = json.loads(file.read_text(encoding="utf-8"))
        self.cases: list[dict[str, Any]] = content["cases"]
        self._protocol = protocol
        self._bodies = bodies
        signer, provider = content["signer"], content["provider"]
        for party in (signer, provider):
            if names.peer_id_of_seed(bytes_of_hex(party["seed"])) != party["peerId"]:
                raise Disagreement(f"{file}: {party['peerId']} is not of its seed")
        self._seed = bytes_of_hex(signer["seed"])
        self._known = Circumstances(content["network"], signer["peerId"], provider["peerId"])

    def read(self, message: str, content: bytes) -> Reading:
        if message == "frames":
            frames = split_frames(content)
            return Reading(frames, join_frames(frames))
        if message.startswith("body/"):
            body = self._bodies.read(message.removeprefix("body/"), content)
            return Reading(body, write_canonical_json(body))
        if message in ("ModelId", "LookupKey"):
            return _read_text(message, content)
        if message in SIGNED_FORMS:
            value = self._protocol.read_signed(message, content, self._known)
            network = self._known.network
            return Reading(value, self._protocol.write_signed(message, value, self._seed, network))
        decoded = self._protocol.read(message, content)
        if decoded is None:
            return Reading(None, None)
        return Reading(decoded, self._protocol.write(message, decoded))

    def check_good(self, case: dict[str, Any]) -> None:
        content = bytes_of_hex(case["hex"])
        try:
            reading = self.read(case["message"], content)
        except Refused as refused:
            raise Disagreement(f"got {refused}; expected a value") from refused
        if not is_same(reading.value, case["value"]):
            raise Disagreement(f"got {reading.value}; expected {case['value']}")
        if (reading.written is None) != case.get("ignored", False):
            raise Disagreement(f"ignored: {reading.written is None}; expected otherwise")
        wanted = bytes_of_hex(case.get("again", case["hex"]))
        if reading.written is not None and reading.written != wanted:
            raise Disagreement(f"wrote {reading.written.hex()}; expected {wanted.hex()}")
        if "prompt_root" in case:
            root = hmac.digest(bytes_of_hex(case["nonce"]), content, "sha256").hex()
            if root != case["prompt_root"]:
                raise Disagreement(f"got prompt_root {root}; expected {case['prompt_root']}")
        if "cid" in case:
            cid = names.write_cid(hashlib.sha256(content).digest())
            if cid != case["cid"]:
                raise Disagreement(f"got cid {cid}; expected {case['cid']}")

    def check_bad(self, case: dict[str, Any]) -> None:
        try:
            reading = self.read(case["message"], bytes_of_hex(case["hex"]))
        except Refused as refused:
            if refused.code != case["error"]:
                raise Disagreement(f"got {refused}; expected {case['error']}") from refused
            return
        raise Disagreement(f"got {reading.value}; expected {case['error']}")


def _read_text(message: str, content: bytes) -> Reading:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed("not UTF-8") from error
    if message == "ModelId":
        model_id = names.read_model_id(text)
        return Reading(model_id, names.write_model_id(model_id).encode("utf-8"))
    key = names.read_lookup_key(text)
    return Reading(key, names.write_lookup_key(key).encode("utf-8"))


def check_signature(case: dict[str, Any]) -> None:
    parts = (bytes.fromhex(case[name]) for name in ("publicKey", "message", "signature"))
    verdict = ed25519.verify(*parts)
    if verdict != case["valid"]:
        raise Disagreement(f"got valid: {verdict}; expected {case['valid']}")


def check_peer_id(case: dict[str, Any]) -> None:
    key = ed25519.public_key(bytes.fromhex(case["seed"]))
    if key.hex() != case["publicKey"]:
        raise Disagreement(f"got key {key.hex()}; expected {case['publicKey']}")
    peer_id = names.peer_id_of_key(key)
    if peer_id != case["peerId"]:
        raise Disagreement(f"got {peer_id}; expected {case['peerId']}")
    if names.key_of_peer_id(peer_id) != key:
        raise Disagreement("the key is not read back from the peer id")


def check_all(
    file: Path, cases: list[dict[str, Any]], check: Callable[[dict[str, Any]], None]
) -> int:
    """Prints the file's line and its disagreements, and says how many those are."""
    disagreements: list[str] = []
    for index, case in enumerate(cases):
        try:
            check(case)
        except Disagreement as disagreement:
            name = case.get("name", case.get("peerId", index))
            disagreements.append(f"  {case.get('message', '')} {name}: {disagreement}")
    label = f"{file.parent.parent.name}/{file.name}"
    print(f"{label}: {len(cases) - len(disagreements)} of {len(cases)} agree")
    for line in disagreements:
        print(line if len(line) <= 600 else f"{line[:600]}…")
    return len(disagreements)


def main(folder: Path) -> int:
    wrong = 0
    identity = folder / "identity" / "vectors"
    for file, check in (
        (identity / "peer-id.json", check_peer_id),
        (identity / "ed25519.json", check_signature),
    ):
        wrong += check_all(file, json.loads(file.read_text(encoding="utf-8"))["cases"], check)
    bodies = BodyReader(folder / "generate" / "body.schema.json")
    for name, table in TABLES.items():
        protocol = Protocol(folder / name, table)
        good_file, bad_file = (
            folder / name / "vectors" / f"{kind}.json" for kind in ("good", "bad")
        )
        good = Vectors(good_file, protocol, bodies)
        wrong += check_all(good_file, good.cases, good.check_good)
        bad = Vectors(bad_file, protocol, bodies)
        wrong += check_all(bad_file, bad.cases, bad.check_bad)
    return 0 if wrong == 0 else 1


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    sys.exit(main(chosen))
