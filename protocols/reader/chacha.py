"""ChaCha20-Poly1305 (RFC 8439), to open what was sealed with it.

Slow and not in constant time: good enough to check vectors, not to hold a secret.
"""

import hmac
import struct

TAG_BYTES = 16
_BLOCK_BYTES = 64
_MASK = 0xFFFFFFFF
_CONSTANTS = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)
_PRIME = 2**130 - 5
_CLAMP = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF

# The four columns, then the four diagonals.
_QUARTERS = (
    *((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)),
    *((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)),
)


def open_sealed(key: bytes, nonce: bytes, sealed: bytes, associated: bytes) -> bytes | None:
    """None where the tag is another one."""
    if len(sealed) < TAG_BYTES:
        return None
    content, tag = sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]
    once = _block(key, 0, nonce)[:32]
    lengths = struct.pack("<QQ", len(associated), len(content))
    if not hmac.compare_digest(_poly1305(once, _padded(associated) + _padded(content) + lengths), tag):
        return None
    blocks = range(1, 2 + (len(content) - 1) // _BLOCK_BYTES)
    stream = b"".join(_block(key, counter, nonce) for counter in blocks)
    return bytes(a ^ b for a, b in zip(content, stream))


def _block(key: bytes, counter: int, nonce: bytes) -> bytes:
    begin = (*_CONSTANTS, *struct.unpack("<8I", key), counter, *struct.unpack("<3I", nonce))
    state = list(begin)
    for _ in range(10):
        for a, b, c, d in _QUARTERS:
            for x, y, z, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                state[x] = (state[x] + state[y]) & _MASK
                mixed = state[z] ^ state[x]
                state[z] = (mixed << by | mixed >> (32 - by)) & _MASK
    return struct.pack("<16I", *((x + y) & _MASK for x, y in zip(state, begin)))


def _poly1305(key: bytes, message: bytes) -> bytes:
    r = int.from_bytes(key[:16], "little") & _CLAMP
    total = 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at : at + 16] + b"\x01", "little")) * r % _PRIME
    total += int.from_bytes(key[16:], "little")
    return (total % 2**128).to_bytes(16, "little")


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 16)
