"""Is this file compressed, and how: told by its first bytes."""


def compression(head: bytes) -> str:
    """The compression that a file starts with, or an empty string; joblib writes each of them."""
    if len(head) > 1 and head[0] == 0x78 and not int.from_bytes(head[:2], "big") % 31:
        return "zlib"
    marks = {
        b"\x1f\x8b": "gzip",
        b"BZh": "bz2",
        b"\xfd7zXZ\x00": "xz",
        b"]\x00\x00": "lzma",
        b"\x04\x22\x4d\x18": "lz4",
    }
    return next((found for mark, found in marks.items() if head.startswith(mark)), "")
