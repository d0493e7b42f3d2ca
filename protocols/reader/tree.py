"""The tree over a log (RFC 6962). See "Tree" in ../log/spec.md."""

from collections.abc import Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256().digest()


def leaf_hash(cid: bytes) -> bytes:
    return sha256(b"\0" + cid).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


def hashes_of(joined: bytes) -> list[bytes]:
    return [joined[i : i + HASH_BYTES] for i in range(0, len(joined), HASH_BYTES)]


class Frontier:
    """The peaks of a log: all that it takes to go on with it, and to have its root."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        if len(peaks) != size.bit_count():
            raise ValueError(f"{len(peaks)} peaks for a size of {size}")
        self.size = size
        self.peaks = list(peaks)

    def append(self, cid: bytes) -> None:
        peak = leaf_hash(cid)
        # Each one at the end of the size is a whole subtree as large as the one that is at hand.
        rest = self.size
        while rest & 1:
            peak = node_hash(self.peaks.pop(), peak)
            rest >>= 1
        self.peaks.append(peak)
        self.size += 1

    @property
    def root(self) -> bytes:
        if not self.peaks:
            return EMPTY_ROOT
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def is_included(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162, 2.1.3.2; the letters are those of the RFC."""
    if not 0 <= index < size:
        return False
    fn, sn, r = index, size - 1, leaf
    for p in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and r == root


def is_consistent(
    first: int, first_root: bytes, second: int, second_root: bytes, path: Sequence[bytes]
) -> bool:
    """RFC 9162, 2.1.4.2, which begins at one entry; from none and to the same it has no path."""
    if first > second:
        return False
    if first == second:
        return not path and first_root == second_root
    if first == 0:
        return not path and first_root == EMPTY_ROOT
    if not path:
        return False
    rest = list(path) if first & (first - 1) else [first_root, *path]
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = rest[0]
    for c in rest[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == first_root and sr == second_root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """RFC 6962, 2.1: as it is defined, for whoever has all leaves."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    split = _split(len(leaves))
    return node_hash(root_of(leaves[:split]), root_of(leaves[split:]))


def inclusion_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1."""
    if len(leaves) == 1:
        return []
    split = _split(len(leaves))
    left, right = leaves[:split], leaves[split:]
    if index < split:
        return [*inclusion_path(index, left), root_of(right)]
    return [*inclusion_path(index - split, right), root_of(left)]


def consistency_path(first: int, leaves: Sequence[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.2; from none there is nothing to tell."""
    return _subproof(first, leaves, True) if first > 0 else []


def _subproof(first: int, leaves: Sequence[bytes], is_known: bool) -> list[bytes]:
    if first == len(leaves):
        return [] if is_known else [root_of(leaves)]
    split = _split(len(leaves))
    left, right = leaves[:split], leaves[split:]
    if first <= split:
        return [*_subproof(first, left, is_known), root_of(right)]
    return [*_subproof(first - split, right, False), root_of(left)]


def _split(size: int) -> int:
    """The largest power of two below it."""
    return 1 << (size - 1).bit_length() - 1
