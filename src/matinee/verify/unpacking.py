"""Read a file that may be compressed, piece by piece, never holding more than it was asked for."""

import bz2
import lzma
import zlib
from pathlib import Path
from typing import Protocol, Self

from matinee.verify.compression import compression
from matinee.verify.report import Broken

_READ = 64 * 1024
_UNPACK = 256 * 1024
_LZMA_MEMORY = 192 * 1024 * 1024  # the dictionary of xz -9 takes 65 MB


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, /, max_length: int = ...) -> bytes: ...


class Unpacked:
    """The unpacked content of `path` as a stream; `limit` bounds its length in bytes."""

    def __init__(self, path: Path, limit: int) -> None:
        with path.open("rb") as file:
            self._stream = _decompressor(compression(file.read(16)))
        self._file = path.open("rb")
        self._limit = limit
        self._ready = b""
        self._next = 0
        self._taken = 0
        self.position = 0

    def read(self, size: int) -> bytes:
        """Up to `size` bytes, fewer only at the end; raises `Broken`."""
        end = self._next + size
        if end > len(self._ready):
            self._refill(size)
            end = size
        content = self._ready[self._next : end]
        self._next += len(content)
        self.position += len(content)
        return content

    def skip(self, size: int) -> bool:
        """Pass over `size` bytes without keeping them; False when the content ends before."""
        while size > 0:
            content = self.read(min(size, _UNPACK))
            if not content:
                return False
            size -= len(content)
        return True

    def trailing(self) -> bool:
        """Whether anything follows what was read, in the content or behind the compressed stream."""
        if self.read(1):
            return True
        return bool(self._stream and self._stream.unused_data) or bool(self._file.read(1))

    def close(self) -> None:
        """Close the file behind."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refill(self, size: int) -> None:
        """Drop what was read and make at least `size` bytes ready, if there are as many."""
        pieces = [self._ready[self._next :]]
        count = len(pieces[0])
        while count < size and (piece := self._piece()):
            pieces.append(piece)
            count += len(piece)
        self._ready, self._next = b"".join(pieces), 0

    def _piece(self) -> bytes:
        """The next piece of content, empty at the end."""
        piece = self._file.read(_READ) if self._stream is None else self._unpack(self._stream)
        self._taken += len(piece)
        if self._taken > self._limit:
            raise Broken(f"unpacks to more than {self._limit} bytes")
        return piece

    def _unpack(self, stream: _Decompressor) -> bytes:
        while not stream.eof:
            packed = self._file.read(_READ) if stream.needs_input else b""
            try:
                piece = stream.decompress(packed, _UNPACK)
            except (zlib.error, lzma.LZMAError, OSError, EOFError, MemoryError):
                raise Broken("has broken compressed data") from None
            if piece:
                return piece
            if not packed and stream.needs_input and not stream.eof:
                raise Broken("has compressed data that ends too early")
        return b""


def _decompressor(found: str) -> _Decompressor | None:
    if found in {"zlib", "gzip"}:
        return _Inflate(zlib.MAX_WBITS | (16 if found == "gzip" else 0))
    if found == "bz2":
        return bz2.BZ2Decompressor()
    if found in {"xz", "lzma"}:
        return lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
    if found:
        raise Broken(f"is compressed with {found}, which is not supported: save it again with zlib")
    return None


class _Inflate:
    """zlib's decompressor with the interface of bz2's and lzma's: it keeps the input that it did not use yet."""

    def __init__(self, window_bits: int) -> None:
        self._stream = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._stream.unconsumed_tail

    def decompress(self, data: bytes, /, max_length: int = 0) -> bytes:
        return self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
