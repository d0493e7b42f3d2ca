"""Reads the vectors of all protocols as their specs say, and tells where it disagrees with them.

    python3 reader.py [folder]        the folder with README.md; without, the one above this file's

It was written from the specifications alone. Exit code 0: it agrees with every vector.
"""

import hashlib
import hmac
import json
import sys
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True  # leaves nothing behind in a folder of specifications

import backup
import ed25519
import log_vectors
import names
import receipt_vectors
from body import BodyReader, write_canonical_json
from cids import Cid
from comparing import Disagreement, Read, Reading, bytes_of_hex, check_all, is_same
from frames import join_frames, split_frames
from records import SIGNED_FORMS, TABLES, Circumstances, Protocol
from refusal import Refused, malformed
from sync_bounds import SYNC, WHOLE_OF_SYNC
from v8_stream import StreamReader


class Vectors:
    """A `good.json` or `bad.json`."""

    def __init__(
        self,
        file: Path,
        protocol: Protocol,
        bodies: BodyReader,
        protocols_of_logs: Path | None = None,
    ) -> None:
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
        self._special: dict[str, Read] = {}
        if protocols_of_logs is not None:
            self._special = log_vectors.readings(
                protocols_of_logs, protocol, self._seed, content["network"]
            )

    def read(self, message: str, content: bytes) -> Reading:
        if message in self._special:
            return self._special[message](content)
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
            cid = str(Cid("receipt", hashlib.sha256(content).digest()))
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


def cases_of(file: Path) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))["cases"]
    return cases


def main(folder: Path) -> int:
    wrong = 0
    identity = folder / "identity" / "vectors"
    for file, check in (
        (identity / "peer-id.json", check_peer_id),
        (identity / "ed25519.json", check_signature),
    ):
        wrong += check_all(file, cases_of(file), check)
    bodies = BodyReader(folder / "generate" / "body.schema.json")
    for name, table in TABLES.items():
        wrong += check_good_and_bad(folder / name, Protocol(folder / name, table), bodies)
    for file, check in (
        (folder / "receipt" / "vectors" / "good.json", receipt_vectors.check_good),
        (folder / "receipt" / "vectors" / "bad.json", receipt_vectors.check_bad),
    ):
        wrong += check_all(file, cases_of(file), check)
    streams, v8_stream = StreamReader(folder), folder / "v8-stream" / "vectors"
    for file, check in (
        (v8_stream / "good.json", streams.check_good),
        (v8_stream / "bad.json", streams.check_bad),
    ):
        wrong += check_all(file, cases_of(file), check)
    sync = Protocol(folder / "sync", SYNC, WHOLE_OF_SYNC)
    for name in ("log", "sync"):
        wrong += check_good_and_bad(folder / name, sync, bodies, folder)
    wrong += log_vectors.check_tree(folder / "log" / "vectors" / "tree.json")
    wrong += log_vectors.check_digest(folder / "sync" / "vectors" / "digest.json")
    backups = folder / "backup" / "vectors" / "backup.json"
    vector = json.loads(backups.read_text(encoding="utf-8"))
    wrong += check_all(backups, backup.cases_of(vector), backup.check)
    return 0 if wrong == 0 else 1


def check_good_and_bad(
    folder: Path, protocol: Protocol, bodies: BodyReader, protocols_of_logs: Path | None = None
) -> int:
    good_file, bad_file = (folder / "vectors" / f"{kind}.json" for kind in ("good", "bad"))
    good = Vectors(good_file, protocol, bodies, protocols_of_logs)
    bad = Vectors(bad_file, protocol, bodies, protocols_of_logs)
    wrong = check_all(good_file, good.cases, good.check_good)
    return wrong + check_all(bad_file, bad.cases, bad.check_bad)


if __name__ == "__main__":
    chosen = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    sys.exit(main(chosen))
