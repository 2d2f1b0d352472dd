"""The linear model: from a text to hashed word n-grams, and from those to logits. NumPy and the standard library only.

Training and serving share this module, so that they cannot drift apart.

**Features.** The text in lower case, `<br />` read as a space, is cut into words (letters, digits, any non-ASCII
character, inner apostrophes) and the marks `!` and `?`. Runs of one to `ngrams` words become 32-bit fingerprints; each
counts once however often it occurs (Wang & Manning, "Baselines and Bigrams", 2012: binarized features).

**File.** `model.safetensors`, the format of Hugging Face: 8 bytes little-endian length, a JSON header, raw tensors. It
holds no code and is read through a memory map, so that several processes share one copy.

| tensor | type, shape | meaning |
|---|---|---|
| `fingerprints` | uint32 [n] | ascending; an n-gram that is not among them has no weight |
| `weights` | int8 [n, columns] | quantized; times `scales` gives the weight |
| `scales` | float32 [columns] | one for each column |
| `bias` | float32 [columns] | added once |

`columns` is the number of labels (one against the rest), or 1 where there are two labels: then it is the log-odds of
the second. The header's `__metadata__` says `{"format": "matinee-linear", "version": "1", "ngrams": "3"}`.
"""

import json
import mmap
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

FORMAT, VERSION = "matinee-linear", "1"
_LETTERS = b"abcdefghijklmnopqrstuvwxyz0123456789" + bytes(range(0x80, 0x100))
_SPACED = bytes(byte if byte in _LETTERS + b"'!?" else 0x20 for byte in range(256))
_OUTER = re.compile(rb"'(?:(?<![a-z0-9\x80-\xff]')|(?![a-z]))")  # an apostrophe that is not inside of a word
_ENDED = re.compile(rb"('[a-z]+)(?=[0-9\x80-\xff])")  # the word ends here: only letters go on after an apostrophe
Number = TypeVar("Number", np.uint32, np.uint64)
_TYPES: dict[str, np.dtype[Any]] = {"U32": np.dtype("<u4"), "I8": np.dtype("i1"), "F32": np.dtype("<f4")}
# Odd constants of SplitMix64 (Steele, Lea & Flood, 2014): any would do, but they can never change.
_STEP, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_HALF, _FOLD = np.uint64(32), np.uint64(29)


def split_words(text: str) -> list[bytes]:
    r"""The words and marks of a text, in order, as UTF-8. Lone surrogates count as letters.

    The matches of ``[a-z0-9\x80-\xff]+(?:'[a-z]+)*|[!?]``, in half the time that looking for them takes: everything
    else is made into spaces.
    """
    plain = text.replace("<br />", " ").replace("\u2019", "'").lower()
    spaced = plain.encode("utf-8", "surrogatepass").translate(_SPACED)
    if b"'" in spaced:
        spaced = _ENDED.sub(rb"\1 ", _OUTER.sub(b" ", spaced))
    return spaced.replace(b"!", b" ! ").replace(b"?", b" ? ").split()


def fingerprint(words: Sequence[bytes], ngrams: int) -> NDArray[np.uint32]:
    """The different fingerprints of all runs of 1 to ``ngrams`` words, ascending, uint32 [n]."""
    hashes = np.fromiter(map(crc32, words), dtype=np.uint64, count=len(words)) * _STEP
    runs = hashes
    parts = [runs]
    for size in range(2, min(ngrams, len(words)) + 1):
        runs = (runs[:-1] ^ (runs[:-1] >> _FOLD)) * _MIX + hashes[size - 1 :]
        parts.append(runs)
    spread = np.concatenate(parts)
    spread ^= spread >> _FOLD
    spread *= _MIX
    return _different((spread >> _HALF).astype(np.uint32))


def fingerprint_many(texts: Sequence[Sequence[bytes]], ngrams: int) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """What `fingerprint` finds in each of several texts, one after the other, uint32 [n], and whose it is, int64 [n].

    NumPy needs as many calls for all of them as for one, which for a line is most of the time.
    """
    lengths = [len(words) for words in texts]
    total = sum(lengths)
    hashes = np.fromiter(map(crc32, chain.from_iterable(texts)), dtype=np.uint64, count=total) * _STEP
    owner = np.arange(len(texts), dtype=np.uint64).repeat(lengths) << _HALF
    runs, parts, owners = hashes, [hashes], [owner]
    for size in range(2, min(ngrams, max(lengths, default=0)) + 1):
        runs = (runs[:-1] ^ (runs[:-1] >> _FOLD)) * _MIX + hashes[size - 1 :]
        inside = owner[: len(runs)] == owner[size - 1 :]  # the others begin in one text and end in the next
        parts.append(runs[inside])
        owners.append(owner[: len(runs)][inside])
    spread = np.concatenate(parts)
    spread ^= spread >> _FOLD
    spread *= _MIX
    spread >>= _HALF
    spread |= np.concatenate(owners)
    found = _different(spread)
    return found.astype(np.uint32), (found >> _HALF).astype(np.int64)


def _different(found: NDArray[Number]) -> NDArray[Number]:
    """Ascending, each once. Sorting and comparing neighbours takes a fifth of the time of numpy.unique on so few."""
    found.sort()
    different = np.empty(len(found), dtype=bool)
    different[:1] = True
    np.not_equal(found[1:], found[:-1], out=different[1:])
    return found[different]


@dataclass(frozen=True, slots=True)
class LinearModel:
    """The tensors of the table above, `ngrams`, and the number of labels."""

    fingerprints: NDArray[np.uint32]
    weights: NDArray[np.int8]
    scales: NDArray[np.float32]
    bias: NDArray[np.float32]
    ngrams: int

    @property
    def labels(self) -> int:
        """How many labels the logits are for."""
        return max(2, len(self.scales))

    def logits(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Logits, float32 [texts, labels]; with two labels the log-odds, half on each side."""
        columns = np.stack([self._columns(split_words(text)) for text in texts])
        return np.concatenate([columns / -2, columns / 2], axis=1) if columns.shape[1] == 1 else columns

    def logits_of_words(self, words: Sequence[bytes]) -> NDArray[np.float32]:
        """The same for one text that is cut into words already: float32 [labels]."""
        columns = self._columns(words)
        return np.concatenate([columns / -2, columns / 2]) if len(columns) == 1 else columns

    def _columns(self, words: Sequence[bytes]) -> NDArray[np.float32]:
        if not words or not len(self.fingerprints):
            return self.bias
        found = fingerprint(words, self.ngrams)
        places = np.searchsorted(self.fingerprints, found)
        places[places == len(self.fingerprints)] = 0
        known = places[self.fingerprints[places] == found]
        # Whole numbers until the end: the sum does not depend on the order of the words.
        total: NDArray[np.float32] = self.weights[known].sum(axis=0, dtype=np.int32) * self.scales + self.bias
        return total


def save_linear(model: LinearModel, path: Path) -> None:
    """Write the file; equal models are equal bytes."""
    tensors: dict[str, NDArray[Any]] = {
        "fingerprints": model.fingerprints,
        "scales": model.scales,
        "bias": model.bias,
        "weights": model.weights,
    }
    names = {dtype: name for name, dtype in _TYPES.items()}
    header: dict[str, Any] = {"__metadata__": {"format": FORMAT, "version": VERSION, "ngrams": str(model.ngrams)}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + tensor.nbytes
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    content = json.dumps(header, separators=(",", ":")).encode()
    content += b" " * (-len(content) % 8)
    with path.open("wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        for tensor in tensors.values():
            file.write(np.ascontiguousarray(tensor).tobytes())


def load_linear(path: Path) -> LinearModel:
    """Map the file into memory. Raises `ValueError` that says what is wrong if it is not such a file."""
    with path.open("rb") as file:
        content = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    start = 8 + int.from_bytes(content[:8], "little")
    if start > len(content):
        raise ValueError(f"{path.name} is cut off or not a safetensors file")
    header = json.loads(bytes(content[8:start]))
    about = header.get("__metadata__", {}) if isinstance(header, dict) else {}
    if (about.get("format"), about.get("version")) != (FORMAT, VERSION):
        raise ValueError(f"{path.name} must say format {FORMAT}, version {VERSION}")
    try:
        tensors = {name: _tensor(content[start:], header[name]) for name in _SHAPES}
        model = LinearModel(**tensors, ngrams=int(about["ngrams"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path.name} has no usable {error}") from None
    count, columns = len(model.fingerprints), len(model.scales)
    for name, shape in _SHAPES.items():
        if tensors[name].shape != tuple({"n": count, "columns": columns}[axis] for axis in shape):
            raise ValueError(f"{path.name}: the tensor {name} has another shape than the others ask for")
    return model


_SHAPES = {"fingerprints": ("n",), "weights": ("n", "columns"), "scales": ("columns",), "bias": ("columns",)}


def _tensor(data: memoryview, entry: Mapping[str, Any]) -> NDArray[Any]:
    begin, end = entry["data_offsets"]
    flat: NDArray[Any] = np.frombuffer(data[begin:end], dtype=_TYPES[entry["dtype"]])
    return flat.reshape(entry["shape"])
