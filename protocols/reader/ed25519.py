"""Ed25519 (RFC 8032), with the stricter verdict of ../identity/spec.md.

Slow and not in constant time: good enough to check vectors, not to hold a secret.
"""

from functools import lru_cache
from hashlib import sha512

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)

# Extended coordinates (X, Y, Z, T) with x = X/Z, y = Y/Z, x·y = T/Z.
Point = tuple[int, int, int, int]
NEUTRAL: Point = (0, 1, 1, 0)
NEUTRAL_ENCODED = bytes([1]) + bytes(31)


def _add(a: Point, b: Point) -> Point:
    # The unified formula of RFC 8032, 5.1.4: complete, so doubling and the neutral need no cases.
    e1 = (a[1] - a[0]) * (b[1] - b[0]) % P
    e2 = (a[1] + a[0]) * (b[1] + b[0]) % P
    e3 = 2 * a[3] * b[3] * D % P
    e4 = 2 * a[2] * b[2] % P
    e, f, g, h = e2 - e1, e4 - e3, e4 + e3, e2 + e1
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(factor: int, point: Point) -> Point:
    result = NEUTRAL
    while factor > 0:
        if factor & 1:
            result = _add(result, point)
        point = _add(point, point)
        factor >>= 1
    return result


def _is_neutral(point: Point) -> bool:
    return point[0] % P == 0 and (point[1] - point[2]) % P == 0


def _encode(point: Point) -> bytes:
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _decode(encoded: bytes) -> Point | None:
    """The point that has these bytes as its canonical encoding, if there is one (rule 2)."""
    number = int.from_bytes(encoded, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= P:
        return None
    x_squared = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(x_squared, (P + 3) // 8, P)
    if (x * x - x_squared) % P != 0:
        x = x * SQRT_MINUS_ONE % P
    if (x * x - x_squared) % P != 0:
        return None
    if x == 0 and sign == 1:
        return None
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


_base = _decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
assert _base is not None
B: Point = _base


@lru_cache(maxsize=64)
def _key_point(key: bytes) -> Point | None:
    """The key's point, if rules 2 and 3 hold. They concern the key alone, so it is remembered."""
    point = _decode(key)
    if point is None or _is_neutral(_times(8, point)) or not _is_neutral(_times(L, point)):
        return None
    return point


def _hash_number(*parts: bytes) -> int:
    return int.from_bytes(sha512(b"".join(parts)).digest(), "little")


def _secret(seed: bytes) -> tuple[int, bytes]:
    digest = sha512(seed).digest()
    scalar = int.from_bytes(digest[:32], "little")
    return (scalar & ~(1 << 255) & ~7) | 1 << 254, digest[32:]


def public_key(seed: bytes) -> bytes:
    return _encode(_times(_secret(seed)[0], B))


def sign(seed: bytes, message: bytes) -> bytes:
    scalar, prefix = _secret(seed)
    key = _encode(_times(scalar, B))
    r = _hash_number(prefix, message) % L
    encoded_r = _encode(_times(r, B))
    k = _hash_number(encoded_r, key, message) % L
    return encoded_r + ((r + k * scalar) % L).to_bytes(32, "little")


@lru_cache(maxsize=256)
def verify(key: bytes, message: bytes, signature: bytes) -> bool:
    """Remembered, as the files of one receipt have the same signatures in them."""
    if len(key) != 32 or len(signature) != 64:
        return False
    point = _key_point(key)
    if point is None:
        return False
    encoded_r, s = signature[:32], int.from_bytes(signature[32:], "little")
    if encoded_r == NEUTRAL_ENCODED or s >= L:
        return False
    k = _hash_number(encoded_r, key, message) % L
    x, y, z, t = point
    minus_a: Point = (P - x, y, z, P - t)
    return _encode(_add(_times(s, B), _times(k, minus_a))) == encoded_r
