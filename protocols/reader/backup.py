"""Backups, and their vectors. See ../backup/spec.md."""

import hashlib
import hmac
import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Any

from chacha import TAG_BYTES, open_sealed
from comparing import Disagreement, is_same
from refusal import Refused

_MAGIC = b"pinaivu-backup\n"
_VERSION = 1
_SALT_AT, _MAC_AT, _HEADER_BYTES = 20, 52, 84
_COST_BYTES_MAX = 1 << 30
_P_MAX = 4
_CHUNK_BYTES = 65_536

_RECORD_HEAD_BYTES = 5
_JSON_BYTES_MAX = 4096
_KEY_BYTES_MAX = 1057
_PATH_BYTES_MAX = 128
_TYPES = {
    1: ("manifest", _JSON_BYTES_MAX),
    2: ("row", 2 + _KEY_BYTES_MAX + (16 << 20)),
    3: ("file", 8 + _PATH_BYTES_MAX),
    4: ("bytes", 65_536),
    5: ("file-end", 32),
    6: ("end", _JSON_BYTES_MAX),
}
_OWN_FILES = {"identity.key": 4096, "owner.key": 4096, "config.toml": 1 << 20}
_NEEDED_FILE = "identity.key"
_BLOB = re.compile("files/[0-9a-f]{64}")
_WHOLE_MAX = (1 << 53) - 1

Record = dict[str, Any]


def damaged(reason: str) -> Refused:
    return Refused("backup_damaged", reason)


def read_backup(content: bytes, passphrase: str) -> list[Record]:
    key = _open_header(content[:_HEADER_BYTES], passphrase)
    header, chunks = content[:_HEADER_BYTES], content[_HEADER_BYTES:]
    records = list(_records(b"".join(_plain(key, header, chunks))))
    _check(records)
    return records


def _open_header(header: bytes, passphrase: str) -> bytes:
    if header == b"" or not header.startswith(_MAGIC[: len(header)]):
        raise Refused("backup_foreign", "no backup")
    if len(header) <= len(_MAGIC):
        raise damaged("cut off")
    version, *_ = header[len(_MAGIC) :]
    if version > _VERSION:
        raise Refused("backup_newer", f"version {version}")
    if version < _VERSION or len(header) < _HEADER_BYTES:
        raise damaged("no version, or cut off")
    log_n, r, p, zero = header[_SALT_AT - 4 : _SALT_AT]
    is_known = 1 <= log_n < 16 * r and 1 <= p <= _P_MAX and zero == 0
    if not is_known or 128 * r << log_n > _COST_BYTES_MAX:
        raise damaged("what it asks of the passphrase is out of bounds")
    if passphrase == "":
        raise Refused("backup_passphrase", "an empty one")
    secret = hashlib.scrypt(
        unicodedata.normalize("NFC", passphrase).encode("utf-8"),
        salt=header[_SALT_AT:_MAC_AT],
        n=1 << log_n,
        r=r,
        p=p,
        maxmem=128 * r * ((1 << log_n) + p + 2),
        dklen=64,
    )
    mac = hmac.digest(secret[32:], header[:_MAC_AT], "sha256")
    if not hmac.compare_digest(mac, header[_MAC_AT:]):
        raise Refused("backup_passphrase", "another one, or the header is damaged")
    return secret[:32]


def _plain(key: bytes, header: bytes, chunks: bytes) -> Iterator[bytes]:
    size = _CHUNK_BYTES + TAG_BYTES
    number = 0
    while True:
        chunk, chunks = chunks[:size], chunks[size:]
        is_last = chunks == b""
        if len(chunk) == TAG_BYTES and number > 0:
            raise damaged("its last chunk is empty")
        nonce = number.to_bytes(11, "big") + bytes([is_last])
        plain = open_sealed(key, nonce, chunk, header)
        if plain is None:
            raise damaged(f"chunk {number} is not as it was")
        yield plain
        if is_last:
            return
        number += 1


def _records(plain: bytes) -> Iterator[Record]:
    while plain != b"":
        if len(plain) < _RECORD_HEAD_BYTES:
            raise damaged("it ends in the middle of a record")
        name, most = _TYPES.get(plain[0], ("", 0))
        length = int.from_bytes(plain[1:_RECORD_HEAD_BYTES], "big")
        end = _RECORD_HEAD_BYTES + length
        if name == "" or length > most or len(plain) < end:
            raise damaged(f"no record, or one that is too long: {name}")
        yield {"type": name, **_fields(name, plain[_RECORD_HEAD_BYTES:end])}
        plain = plain[end:]


def _fields(name: str, content: bytes) -> Record:
    match name:
        case "manifest":
            return {"manifest": _manifest(_json(content))}
        case "row":
            end = 2 + int.from_bytes(content[:2], "big")
            if len(content) < end or not 1 <= end - 2 <= _KEY_BYTES_MAX:
                raise damaged("a key that is cut off, or of another length")
            return {"key": content[2:end], "value": content[end:]}
        case "file":
            size = int.from_bytes(content[:8], "big")
            if len(content) < 8 or size > _WHOLE_MAX:
                raise damaged("a size out of bounds")
            try:
                return {"path": content[8:].decode("utf-8"), "size": size}
            except UnicodeDecodeError as error:
                raise damaged("a path that is no text") from error
        case "bytes":
            if content == b"":
                raise damaged("no bytes")
            return {"bytes": content}
        case "file-end":
            if len(content) != hashlib.sha256().digest_size:
                raise damaged("a hash of another length")
            return {"sha256": content}
    totals = _json(content)
    counts = {"rows": "rows", "files": "files", "fileBytes": "file_bytes"}
    return {"totals": {ours: _count(totals.get(name)) for ours, name in counts.items()}}


def _json(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content.decode("utf-8"), parse_int=float, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise damaged("no JSON") from error
    if not isinstance(value, dict):
        raise damaged("no object")
    return value


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _manifest(value: dict[str, Any]) -> Record:
    schema = value.get("schema")
    if not isinstance(schema, dict):
        raise damaged("no schema")
    return {
        "createdAt": _count(value.get("created_at")),
        "program": _text(value.get("program")),
        "peerId": _text(value.get("peer_id")),
        "schema": {
            "version": _count(schema.get("version")),
            "program": _text(schema.get("program")),
        },
    }


def _count(value: Any) -> int:
    if not isinstance(value, float) or not value.is_integer() or not 0 <= value <= _WHOLE_MAX:
        raise damaged("a number is missing")
    return int(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise damaged("a text is missing")
    return value


def _check(records: list[Record]) -> None:
    """Which record may stand where, and that none is missing."""
    if [at for at, record in enumerate(records) if record["type"] == "manifest"] != [0]:
        raise damaged("no manifest at its beginning, or two")
    if [at for at, record in enumerate(records, 1) if record["type"] == "end"] != [len(records)]:
        raise damaged("no end at its end, or two")
    keys = [record["key"] for record in records if record["type"] == "row"]
    if any(one >= other for one, other in zip(keys, keys[1:])):
        raise damaged("rows out of order")
    files = list(_files(records[1:-1]))
    own = [path for path, _ in files if path in _OWN_FILES]
    if len(own) != len(set(own)) or _NEEDED_FILE not in own:
        raise damaged("a file that is there twice, or is missing")
    counted = {
        "rows": len(keys),
        "files": len(files),
        "fileBytes": sum(len(content) for _, content in files),
    }
    if records[-1]["totals"] != counted:
        raise damaged("something is missing")


def _files(records: list[Record]) -> Iterator[tuple[str, bytes]]:
    path, size, content = None, 0, b""
    for record in records:
        if (record["type"] in ("bytes", "file-end")) != (path is not None):
            raise damaged("what belongs into a file stands elsewhere")
        match record["type"]:
            case "file":
                path, size, content = record["path"], record["size"], b""
                if not _BLOB.fullmatch(path) and size > _OWN_FILES.get(path, -1):
                    raise damaged("a file that belongs nowhere, or is too large")
            case "bytes":
                content += record["bytes"]
            case "file-end":
                if len(content) != size or hashlib.sha256(content).digest() != record["sha256"]:
                    raise damaged("a file is not what it was")
                yield str(path), content
                path = None
    if path is not None:
        raise damaged("a file without an end")


def cases_of(vector: dict[str, Any]) -> list[dict[str, Any]]:
    """The file itself, then each way in which it is another."""
    good = {key: vector[key] for key in ("passphrase", "file")}
    bad = [good | case for case in vector["bad"]]
    return [good | {"records": vector["records"]}, *bad]


def check(case: dict[str, Any]) -> None:
    content = bytearray.fromhex(case["file"])
    if "xor" in case:
        content[case["at"]] ^= case["xor"]
    elif "at" in case:
        del content[case["at"] :]
    try:
        records = read_backup(bytes(content), case["passphrase"])
    except Refused as refused:
        if refused.code != case.get("code"):
            raise Disagreement(f"got {refused}; expected {case.get('code')}") from refused
        return
    if "code" in case:
        raise Disagreement(f"got {len(records)} records; expected {case['code']}")
    if not is_same(records, case["records"]):
        raise Disagreement(f"got {records}; expected {case['records']}")
