"""Answers whose drafts are shown, and their vectors. See ../v8-stream/spec.md."""

import codecs
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from body import write_canonical_json
from comparing import Disagreement, bytes_of_hex, is_same
from json_schema import SchemaChecker
from json_text import read_json
from refusal import Refused, malformed

DONE = "[DONE]"

MAX_LINE_BYTES = 262_400
MAX_EVENT_BYTES = 262_144
MAX_DRAFTS = 256
MAX_DRAFT_BYTES = 32_768
MAX_TOKENS = 1 << 20
MAX_ANSWER_BYTES = 16 << 20
ROLLED_BACK_AT_FIRST = 4_096
ROLLED_BACK_PER_TOKEN = 256

# A schema counts characters, the spec counts bytes.
_MAX_BYTES = {
    "model": 256,
    "gpu": 128,
    "text": 32_768,
    "message": 16_384,
    "type": 16_384,
    "param": 16_384,
    "code": 16_384,
}

_EVENTS = (
    "stream.open",
    "token.provisional",
    "token.commit",
    "token.rollback",
    "receipt.bound",
    "token.finalize",
    "error",
)

_LINE = re.compile(rb"([^\r\n]*)(\r\n|\r|\n)")


def size_of(text: str) -> int:
    return len(text.encode("utf-8"))


class EventReader:
    def __init__(self, schema_file: Path) -> None:
        self._schemas = json.loads(schema_file.read_text(encoding="utf-8"))["$defs"]
        self._checker = SchemaChecker(self._schemas)

    def read(self, data: str) -> dict[str, Any] | None:
        """None for an event that only a newer version knows."""
        try:
            content = data.encode("utf-8")
        except UnicodeEncodeError as error:
            raise malformed("half of a surrogate pair") from error
        if len(content) > MAX_EVENT_BYTES:
            raise malformed("an event that is too long")
        value = read_json(content)
        try:
            write_canonical_json(value)
        except ValueError as error:
            raise malformed(f"not I-JSON: {error}") from error
        if not isinstance(value, dict):
            raise malformed("no object")
        name = value.get("event", "error" if "error" in value else None)
        if not isinstance(name, str):
            raise malformed("an event without a name")
        if name not in _EVENTS:
            return None
        if faults := self._checker.faults(self._schemas[name], value, name):
            raise faults[0]
        event = self._known(self._schemas[name], value)
        event["event"] = name
        _check_beyond_schema(event)
        return event

    def _known(self, schema: dict[str, Any], value: Any) -> Any:
        """Without the members that the schema does not have."""
        if isinstance(value, dict):
            properties = schema["properties"].items()
            return {
                key: self._known(inner, value[key]) for key, inner in properties if key in value
            }
        return value


def _check_beyond_schema(event: dict[str, Any]) -> None:
    if event["event"] == "error":
        error = event["error"]
        for key in ("type", "param", "code"):
            error.setdefault(key, None)
        _check_sizes(error)
    elif event["event"] == "token.finalize":
        receipt = event["receipt"]
        if event["final_cid"] != (None if receipt is None else receipt["cid"]):
            raise malformed("a final_cid that is not that of the receipt")
    else:
        _check_sizes(event)
        _check_sizes(event.get("node", {}))


def _check_sizes(members: dict[str, Any]) -> None:
    for key, most in _MAX_BYTES.items():
        text = members.get(key)
        if text is not None and size_of(text) > most:
            raise malformed(f"{key} is too long")


def data_of_lines(content: bytes) -> Iterator[str]:
    """The data of each event of an event stream."""
    content = content.removeprefix(codecs.BOM_UTF8)
    data: list[str] = []
    size = start = 0
    while (line := _LINE.match(content, start)) is not None:
        start = line.end()
        if len(line[1]) > MAX_LINE_BYTES:
            raise malformed("a line that is too long")
        try:
            text = line[1].decode("utf-8")
        except UnicodeDecodeError as error:
            raise malformed("not UTF-8") from error
        if text == "":
            if data:
                yield "\n".join(data)
            data, size = [], 0
        name, _, value = text.partition(":")
        if name == "data":
            data.append(value.removeprefix(" "))
            size += size_of(data[-1]) + (1 if len(data) > 1 else 0)
            if size > MAX_EVENT_BYTES:
                raise malformed("an event that is too long")
    if len(content) - start > MAX_LINE_BYTES:
        raise malformed("a line that is too long")


@dataclass
class Answer:
    """What a reader keeps. See "What may follow what"."""

    phase: str = "new"
    request_id: str = ""
    texts: list[str] = field(default_factory=list)
    size: int = 0
    tokens: int = 0
    drafts: list[str] = field(default_factory=list)
    accepted: int = 0
    rolled_back: int = 0
    segment: tuple[int, int] = (0, -1)
    finish_reason: str | None = None
    code: str | None = None

    def take(self, event: dict[str, Any]) -> None:
        name = event["event"]
        if self.phase in ("done", "failed"):
            raise malformed(f"{name} behind the end")
        if name == "error":
            self.phase, self.drafts, self.code = "failed", [], event["error"]["code"]
            return
        if (self.phase == "new") != (name == "stream.open"):
            raise malformed(f"{name} while {self.phase}")
        if name == "stream.open":
            self.phase, self.request_id = "open", event["request_id"]
        if event["request_id"] != self.request_id:
            raise malformed("another answer")
        if name in _TAKES:
            _TAKES[name](self, event)

    def draft(self, event: dict[str, Any]) -> None:
        if event["id"] != self.tokens + len(self.drafts):
            raise malformed("a draft that is not the next one")
        self.drafts.append(event["text"])
        if len(self.drafts) > MAX_DRAFTS:
            raise malformed("too many drafts")
        if sum(map(size_of, self.drafts)) > MAX_DRAFT_BYTES:
            raise malformed("drafts that are too long together")

    def commit(self, event: dict[str, Any]) -> None:
        is_rest = event.get("rest", False)
        place = self.tokens - 1 if is_rest else self.tokens
        if place < 0 or event["id"] != place:
            raise malformed("a commit that is not the next one")
        self.size += size_of(event["text"])
        if self.size > MAX_ANSWER_BYTES:
            raise malformed("an answer that is too long")
        self.texts.append(event["text"])
        if is_rest:
            return
        self.tokens += 1
        if self.tokens > MAX_TOKENS:
            raise malformed("too many tokens")
        if self.drafts:
            self.drafts.pop(0)
            self.accepted += 1

    def roll_back(self, event: dict[str, Any]) -> None:
        kept = int(event["from_id"]) - self.tokens
        if not 0 <= kept <= len(self.drafts):
            raise malformed("a rollback of what is no draft")
        self.rolled_back += len(self.drafts) - kept
        if self.rolled_back > ROLLED_BACK_AT_FIRST + ROLLED_BACK_PER_TOKEN * self.tokens:
            raise malformed("too many rollbacks")
        del self.drafts[kept:]

    def bind(self, event: dict[str, Any]) -> None:
        start, end = int(event["segment_start"]), int(event["segment_end"])
        last_start, last_end = self.segment
        if not last_end < end < self.tokens:
            raise malformed("a segment that ends elsewhere")
        if start != last_start and not last_end < start <= end:
            raise malformed("a segment that begins elsewhere")
        if start > end:
            raise malformed("a segment that ends before it begins")
        self.segment = (start, end)

    def finalize(self, event: dict[str, Any]) -> None:
        if self.drafts:
            raise malformed("drafts at the end")
        counts = (event["tokens_committed"], event["tokens_rolled_back"])
        if counts != (self.tokens, self.rolled_back):
            raise malformed("other counts at the end")
        self.phase, self.finish_reason = "done", event["finish_reason"]

    @property
    def text(self) -> str:
        return "".join(self.texts)

    @property
    def end(self) -> dict[str, Any]:
        content = self.text.encode("utf-8")
        return {
            "phase": self.phase,
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "tokens": self.tokens,
            "accepted": self.accepted,
            "rolled_back": self.rolled_back,
            "finish_reason": self.finish_reason,
            "code": self.code,
        }


_TAKES = {
    "token.provisional": Answer.draft,
    "token.commit": Answer.commit,
    "token.rollback": Answer.roll_back,
    "receipt.bound": Answer.bind,
    "token.finalize": Answer.finalize,
}


class StreamReader:
    def __init__(self, folder: Path) -> None:
        self._events = EventReader(folder / "v8-stream" / "event.schema.json")

    def read(self, case: dict[str, Any]) -> dict[str, Any]:
        """What a case has of `value`, `end` and `shown`."""
        if case["message"] == "Event":
            return {"value": self._events.read(case["data"])}
        if case["message"] == "Bytes":
            return {"end": self._read_all(data_of_lines(bytes_of_hex(case["hex"])), [])}
        shown: list[Any] = []
        end = self._read_all(_data_of_case(case["data"]), shown)
        return {"end": end, "shown": shown}

    def _read_all(self, stream: Iterable[str], shown: list[Any]) -> dict[str, Any]:
        answer = Answer()
        for data in stream:
            if data == DONE:
                if answer.phase != "done":
                    raise malformed(f"{DONE} while {answer.phase}")
                break
            event = self._events.read(data)
            if event is None:
                continue
            answer.take(event)
            if len(shown) < 100:  # more of them no case has
                shown.append([answer.text, "".join(answer.drafts)])
            if answer.phase == "failed":
                break
        if answer.phase not in ("done", "failed"):
            raise Refused("cut_off", f"the end while {answer.phase}")
        return answer.end

    def check_good(self, case: dict[str, Any]) -> None:
        try:
            results = self.read(case)
        except Refused as refused:
            raise Disagreement(f"got {refused}; expected a value") from refused
        for name, got in results.items():
            if name in case and not is_same(got, case[name]):
                raise Disagreement(f"got {name} {got}; expected {case[name]}")

    def check_bad(self, case: dict[str, Any]) -> None:
        try:
            results = self.read(case)
        except Refused as refused:
            if refused.code != case["error"]:
                raise Disagreement(f"got {refused}; expected {case['error']}") from refused
            return
        raise Disagreement(f"got {results}; expected {case['error']}")


def _data_of_case(elements: list[Any]) -> Iterator[str]:
    """`[[data, …], times]` is one or more that come so often."""
    for element in elements:
        if isinstance(element, str):
            yield element
        else:
            group, times = element
            for _ in range(times):
                yield from group
