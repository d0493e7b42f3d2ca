"""The vectors of receipts, which have a form of their own. See "Vectors" in ../receipt/spec.md."""

from typing import Any

from cids import read_cid
from comparing import Disagreement
from receipts import (
    Receipt,
    base64_of,
    receipt_of_json,
    require_holds,
    result_hash_of_choices,
    result_hash_of_guesses,
    result_hash_of_vectors,
)
from refusal import Refused

_FORMS = {"Receipt": "receipt", "OpenReceipt": "open"}


def check_good(case: dict[str, Any]) -> None:
    for name, got in _results(case).items():
        if got != case[name]:
            raise Disagreement(f"got {name} {got}; expected {case[name]}")


def _results(case: dict[str, Any]) -> dict[str, Any]:
    """What this reader has for the members of a case that state a result."""
    if case["message"] == "Cid":
        return _results_of_cid(case["text"])
    if case["message"] == "Result":
        nonce = bytes.fromhex(case.get("nonce", ""))
        if "choices" in case:
            return {"hash": result_hash_of_choices(case["choices"], nonce).hex()}
        if "guesses" in case:
            return {"hash": result_hash_of_guesses(case["guesses"], nonce).hex()}
        vectors = [bytes.fromhex(vector) for vector in case["vectors"]]
        return {"hash": result_hash_of_vectors(vectors, nonce).hex()}
    receipt = _read_receipt(case)
    results = {"payload": receipt.payload, "digest": receipt.digest.hex()}
    if receipt.form == "receipt":
        results |= {"cid": receipt.ryv1_cid, "multiformats_cid": str(receipt.cid)}
    if base64_of(receipt.signature) != case["receipt"]["signature"]:
        raise Disagreement("the signature has another spelling")
    return results


def _results_of_cid(text: str) -> dict[str, Any]:
    try:
        cid = read_cid(text)
    except Refused as refused:
        raise Disagreement(f"got {refused}; expected a CID") from refused
    again = f"ryv1:sha256:{cid.digest.hex()}" if text.startswith("ryv1:") else str(cid)
    if again != text:
        raise Disagreement(f"wrote {again}; expected {text}")
    return {"kind": cid.kind, "digest": cid.digest.hex()}


def _read_receipt(case: dict[str, Any]) -> Receipt:
    try:
        receipt = receipt_of_json(case["receipt"], _FORMS[case["message"]])
        require_holds(receipt)
    except Refused as refused:
        raise Disagreement(f"got {refused}; expected a receipt that holds") from refused
    return receipt


def read(case: dict[str, Any]) -> None:
    """Refuses what is no CID, and no receipt that holds."""
    if case["message"] == "Cid":
        read_cid(case["text"])
    else:
        require_holds(receipt_of_json(case["receipt"], _FORMS[case["message"]]))


def check_bad(case: dict[str, Any]) -> None:
    try:
        read(case)
    except Refused as refused:
        if refused.code != case["error"]:
            raise Disagreement(f"got {refused}; expected {case['error']}") from refused
        return
    raise Disagreement(f"got a value; expected {case['error']}")
