"""Content encodings, and small bodies that become very large ones."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

import brotli
import zstandard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MEBIBYTE = 1 << 20


def zstd(data: bytes) -> bytes:
    """One frame."""
    return bytes(zstandard.ZstdCompressor().compress(data))


def raw_deflate(data: bytes) -> bytes:
    """The encoding that some servers call `deflate`: the same without zlib's frame."""
    coder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return coder.compress(data) + coder.flush()


def gzipped(parts: Sequence[tuple[bytes, int]]) -> bytes:
    """One member with repeated parts, each of which is compressed only once."""
    packed, checksum, length = [], 0, 0
    for data, times in parts:
        coder = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        # After a full flush there are no back references, so the same bytes may be repeated.
        packed.append((coder.compress(data) + coder.flush(zlib.Z_FULL_FLUSH)) * times)
        for _ in range(times):
            checksum = zlib.crc32(data, checksum)
        length += len(data) * times
    end = zlib.compressobj(9, wbits=-zlib.MAX_WBITS).flush()
    head = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return head + b"".join(packed) + end + struct.pack("<II", checksum, length & 0xFFFFFFFF)


def halves(data: bytes, encode: Callable[[bytes], bytes]) -> bytes:
    """The data as two bodies of this encoding, one behind the other."""
    middle = len(data) // 2
    return encode(data[:middle]) + encode(data[middle:])


ENCODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", lambda data: gzipped([(data, 1)])),
    # RFC 1952, section 2.2: members that follow one another are one body.
    "gzip members": ("gzip", lambda data: halves(data, lambda half: gzipped([(half, 1)]))),
    "deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", lambda data: bytes(brotli.compress(data, quality=5))),
    "zstd": ("zstd", zstd),
    # RFC 8878, section 3.1: so are frames.
    "zstd frames": ("zstd", lambda data: halves(data, zstd)),
}
"""The names of encodings in `Content-Encoding`, with their functions."""


def bomb(encoding: str, before: bytes, after: bytes, mebibytes: int) -> bytes:
    """`before`, a number of mebibytes of spaces, and `after`: valid JSON of a wrong size."""
    spaces = b" " * MEBIBYTE
    if encoding == "gzip":
        return gzipped([(before, 1), (spaces, mebibytes), (after, 1)])
    if encoding == "zstd":
        coder = zstandard.ZstdCompressor().compressobj()
        parts = [coder.compress(before), *(coder.compress(spaces) for _ in range(mebibytes))]
        return b"".join([*parts, coder.compress(after), coder.flush()])
    if encoding == "br":
        stream = brotli.Compressor(quality=1)
        parts = [stream.process(before), *(stream.process(spaces) for _ in range(mebibytes))]
        return b"".join([*parts, stream.process(after), stream.finish()])
    assert encoding == "deflate"
    stretched = zlib.compressobj(9)
    parts = [stretched.compress(before), *(stretched.compress(spaces) for _ in range(mebibytes))]
    return b"".join([*parts, stretched.compress(after), stretched.flush()])
