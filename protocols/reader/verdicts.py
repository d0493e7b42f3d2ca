"""Tells this reader's verdicts to another reader, to find out where the two are of two minds.

    python3 verdicts.py [folder]      the folder with README.md; without, the one above this file's

Each line of standard input is a case as in the files of vectors, with its protocol:
{"protocol": "log", "message": "Entry", "hex": "a4 …"}; or the text of a file for verify.py:
{"file": "…"}; or a backup: {"protocol": "backup", "hex": "…", "passphrase": "…"}. Each line of
standard output is the verdict on the next of them: good, or the code of the refusal. Behind a file's
"good" stands, as JSON, the list of its members that nobody signed.
"""

import json
import sys
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True  # leaves nothing behind in a folder of specifications

import backup
import receipt_vectors
from body import BodyReader
from comparing import bytes_of_hex
from reader import Vectors
from records import TABLES, Protocol
from refusal import Refused
from sync_bounds import SYNC, WHOLE_OF_SYNC
from v8_stream import StreamReader
from verify import verify

GOOD = "good"


class Judge:
    def __init__(self, folder: Path) -> None:
        bodies = BodyReader(folder / "generate" / "body.schema.json")
        self._streams = StreamReader(folder)
        self._vectors: dict[str, Vectors] = {}
        for name, table in TABLES.items():
            protocol = Protocol(folder / name, table)
            self._vectors[name] = Vectors(_good_of(folder / name), protocol, bodies)
        sync = Protocol(folder / "sync", SYNC, WHOLE_OF_SYNC)
        for name in ("log", "sync"):
            self._vectors[name] = Vectors(_good_of(folder / name), sync, bodies, folder)

    def verdict(self, case: dict[str, Any]) -> str:
        try:
            if "file" in case:
                return f"{GOOD} {json.dumps(verify(case['file'].encode()).unsigned)}"
            if case["protocol"] == "receipt":
                receipt_vectors.read(case)
            elif case["protocol"] == "backup":
                backup.read_backup(bytes_of_hex(case["hex"]), case["passphrase"])
            elif case["protocol"] == "v8-stream":
                self._streams.read(case)
            else:
                self._vectors[case["protocol"]].read(case["message"], bytes_of_hex(case["hex"]))
        except Refused as refused:
            return refused.code
        return GOOD


def _good_of(folder: Path) -> Path:
    return folder / "vectors" / "good.json"


def main(folder: Path) -> None:
    judge = Judge(folder)
    for line in sys.stdin:
        print(judge.verdict(json.loads(line)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent)
