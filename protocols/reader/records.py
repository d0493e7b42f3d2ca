"""Signed records: a message, and whose it is. See "Signatures" in ../README.md."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bounds import ADVERT, GENERATE, KIB, MIB, STATUS, WHOLE, Bounds, Table, Whole
from ed25519 import sign, verify
from frames import MAX_FRAME
from names import key_of_peer_id
from proto_file import read_proto_file
from protobuf import MAX_BATCH, Decoder, encode
from refusal import Refused, malformed

MAX_SMALL_RECORD = 8 * KIB  # an advert or a departure, signed
_KNOWN_ADDRESS = re.compile(
    "/(ip4/[0-9.]+|ip6/[0-9a-fA-F:.]+|dns(4|6|addr)?/[A-Za-z0-9._-]+)/tcp/[0-9]{1,5}"
)
_MAX_BYTES = dict.fromkeys(("Request", "Status", "ToProvider", "FromProvider"), MAX_FRAME)
_MAX_BYTES |= dict.fromkeys(("SyncRequest", "SyncAnswer", "LogMessage"), MAX_FRAME)
_MAX_BYTES |= {"Resumes": 4 * MIB, "Batch": MAX_BATCH}


@dataclass(frozen=True)
class Circumstances:
    """What a reader knows beside the bytes."""

    network: str
    signer: str
    provider: str


class Protocol:
    """One folder: its messages, read and written."""

    def __init__(self, folder: Path, table: Table, whole: Whole = WHOLE) -> None:
        self.schema = read_proto_file(folder / f"{folder.name}.proto")
        self._bounds = Bounds(self.schema, table, whole)

    def read(self, message_name: str, data: bytes) -> dict[str, Any] | None:
        if len(data) > _MAX_BYTES.get(message_name, len(data)):
            raise malformed("too long for what it is")
        value, unsupported = self._decode(message_name, data)
        _refuse_unsupported(unsupported)
        return value

    def write(self, message_name: str, value: dict[str, Any]) -> bytes:
        return encode(self.schema, message_name, value)

    def read_signed(self, name: str, data: bytes, known: Circumstances) -> dict[str, Any]:
        form = SIGNED_FORMS[name]
        if len(data) > form.max_bytes:
            raise malformed("too long for what it is")
        signed, _ = self._decode("Signed", data)
        assert signed is not None
        value, unsupported = self._decode(form.message, signed["payload"])
        assert value is not None
        form.check_parties(value, known)
        covered = covered_bytes(form.message, known.network, signed["payload"])
        if not _is_signed_by(value[form.signer_field], covered, signed["signature"]):
            raise Refused("bad_signature", f"not signed by {form.signer_field}")
        _refuse_unsupported(unsupported)
        return value

    def write_signed(self, name: str, value: dict[str, Any], seed: bytes, network: str) -> bytes:
        record = SIGNED_FORMS[name].message
        payload = self.write(record, _of_this_version(value))
        signature = sign(seed, covered_bytes(record, network, payload))
        return self.write("Signed", {"payload": payload, "signature": signature})

    def _decode(self, message_name: str, data: bytes) -> tuple[dict[str, Any] | None, list[str]]:
        decoder = Decoder(self.schema, self._bounds.check)
        return decoder.decode(message_name, data), decoder.unsupported


def _refuse_unsupported(unsupported: list[str]) -> None:
    if unsupported:
        raise Refused("unsupported_value", unsupported[0])


def _is_signed_by(peer_id: str, covered: bytes, signature: bytes) -> bool:
    try:
        key = key_of_peer_id(peer_id)
    except Refused:
        return False  # there is no key in it, so nobody signed with that
    return verify(key, covered, signature)


def _of_this_version(record: dict[str, Any]) -> dict[str, Any]:
    """Addresses of other versions are read, and written by nobody who can't dial them."""
    if "addresses" not in record:
        return record
    known = [address for address in record["addresses"] if _KNOWN_ADDRESS.fullmatch(address)]
    return record | {"addresses": known}


def covered_bytes(record: str, network: str, payload: bytes) -> bytes:
    return f"PNV1|{record.lower()}|{network}|".encode() + payload


def _may_come_from_anybody(_record: dict[str, Any], _known: Circumstances) -> None:
    """Adverts are found in the DHT, and anybody may bring a departure."""


def _check_answerer(advert: dict[str, Any], known: Circumstances) -> None:
    if advert["peer_id"] != known.signer:
        raise Refused("not_yours", "of another peer than the one that was asked")


def _check_job(job: dict[str, Any], known: Circumstances) -> None:
    if job["coordinator"] != known.signer:
        raise Refused("not_yours", "of another coordinator than the one that sent it")
    if job["provider"] != known.provider:
        raise Refused("not_for_me", "for another provider")


@dataclass(frozen=True)
class SignedForm:
    message: str
    signer_field: str
    max_bytes: int
    check_parties: Callable[[dict[str, Any], Circumstances], None]


SIGNED_FORMS = {
    "SignedAdvert": SignedForm("Advert", "peer_id", MAX_SMALL_RECORD, _may_come_from_anybody),
    "AnswerToAsk": SignedForm("Advert", "peer_id", MAX_SMALL_RECORD, _check_answerer),
    "SignedDeparture": SignedForm("Departure", "peer_id", MAX_SMALL_RECORD, _may_come_from_anybody),
    "SignedJob": SignedForm("Job", "coordinator", MAX_FRAME, _check_job),
}

TABLES: dict[str, Table] = {"advert": ADVERT, "status": STATUS, "generate": GENERATE}
