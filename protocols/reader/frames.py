"""Frames: a varint length, then so many bytes. See "Frames" in ../README.md."""

from refusal import Refused

MAX_FRAME = 65_536
MAX_LENGTH_BYTES = 3


def split_frames(stream: bytes) -> list[bytes]:
    """All frames of a stream that was read to its end."""
    frames: list[bytes] = []
    position = 0
    while position < len(stream):
        length, position = _read_length(stream, position)
        if position + length > len(stream):
            raise Refused("bad_frame", "the stream ends in the middle of a frame")
        frames.append(stream[position : position + length])
        position += length
    return frames


def join_frames(frames: list[bytes]) -> bytes:
    return b"".join(_write_length(len(frame)) + frame for frame in frames)


def _read_length(stream: bytes, start: int) -> tuple[int, int]:
    length = 0
    for index in range(MAX_LENGTH_BYTES):
        if start + index >= len(stream):
            raise Refused("bad_frame", "the stream ends in the middle of a length")
        byte = stream[start + index]
        length |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            if index > 0 and byte == 0:
                raise Refused("bad_frame", "a length with more bytes than it needs")
            if not 1 <= length <= MAX_FRAME:
                raise Refused("bad_frame", f"a length of {length}")
            return length, start + index + 1
    raise Refused("bad_frame", f"a length of more than {MAX_LENGTH_BYTES} bytes")


def _write_length(length: int) -> bytes:
    encoded = bytearray()
    while length >= 0x80:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)
