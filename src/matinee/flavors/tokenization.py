"""From texts to rows of token ids, for every flavor that has a `tokenizer.json`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from matinee.core.errors import ModelRejected, TextTooLong
from matinee.core.manifest import TextSettings
from matinee.core.prediction import Encoded, Overflow, Row
from matinee.flavors.windows import cut

Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TokenRow:
    """One window with its special tokens: ids, int64 [cost]."""

    ids: Ids
    cost: int


class Tokens:
    """A tokenizer with its window; `Encoded.context` holds each window's own tokens (for `windows.pool`)."""

    def __init__(self, tokenizer: Tokenizer, settings: TextSettings) -> None:
        self.pad_id = _pad_id(tokenizer)
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self._settings = settings
        self._before, self._after = _special_ids(tokenizer)
        self._size = settings.max_tokens - len(self._before) - len(self._after)  # own tokens of a window
        if settings.max_tokens and self._size <= settings.overlap:
            raise ModelRejected(["text.max_tokens leaves no room beside the special tokens and text.overlap"])

    @classmethod
    def load(cls, path: Path, settings: TextSettings) -> "Tokens":
        """Read `tokenizer.json`; raises `ModelRejected`."""
        try:
            tokenizer = Tokenizer.from_buffer(path.read_bytes())
        except Exception as error:  # noqa: BLE001 - the library raises bare exceptions, and an absent file ends here too
            raise ModelRejected([f"{path.name} cannot be read as a tokenizer ({type(error).__name__})"]) from None
        return cls(tokenizer, settings)

    def encode(self, texts: Sequence[str], overflow: Overflow | None = None) -> list[Encoded]:
        """Tokenize and cut; raises `TextTooLong` for a text that does not fit with `overflow="error"`.

        A lone surrogate, which is no character, is read as U+FFFD.
        """
        encodings = self._tokenizer.encode_batch_fast([_whole(text) for text in texts], add_special_tokens=False)
        return [self._encoded(encoding.ids, overflow or self._settings.overflow) for encoding in encodings]

    def _encoded(self, ids: list[int], overflow: Overflow) -> Encoded:
        windows = self._windows(len(ids), overflow)
        tokens = np.array(ids, dtype=np.int64)
        rows = [self._row(tokens[window.start : window.stop]) for window in windows]
        return Encoded(
            rows=cast("list[Row]", rows),
            tokens=len(ids),
            windows=len(rows),
            truncated=windows[-1].stop < len(ids),
            context=[len(window) for window in windows],
        )

    def _windows(self, tokens: int, overflow: Overflow) -> list[range]:
        if not self._settings.max_tokens or tokens <= self._size:
            return [range(tokens)]
        if overflow == "error":
            raise TextTooLong("text", f"has {tokens} tokens, and the model reads {self._size} at once")
        windows = cut(tokens, self._size, self._settings.overlap)
        return windows[:1] if overflow == "truncate" or self._settings.pooling == "first" else windows

    def _row(self, ids: Ids) -> TokenRow:
        whole = np.concatenate([self._before, ids, self._after])
        return TokenRow(whole, len(whole))


def pad(rows: Sequence[TokenRow], pad_id: int, multiple: int = 1) -> tuple[Ids, Ids]:
    """`input_ids` and `attention_mask` (1 token, 0 padding), both int64 [rows, longest row rounded up]."""
    longest = -(-max(row.cost for row in rows) // multiple) * multiple
    ids = np.full((len(rows), longest), pad_id, dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for index, row in enumerate(rows):
        ids[index, : row.cost] = row.ids
        mask[index, : row.cost] = 1
    return ids, mask


def _whole(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _pad_id(tokenizer: Tokenizer) -> int:
    """Some graphs count positions from what is not this id (RoBERTa), so that 0 is not good enough for all."""
    if tokenizer.padding:
        return int(tokenizer.padding["pad_id"])
    known = (tokenizer.token_to_id(token) for token in ("[PAD]", "<pad>"))
    return next((int(number) for number in known if number is not None), 0)


def _special_ids(tokenizer: Tokenizer) -> tuple[Ids, Ids]:
    """What the tokenizer puts before and after a text, found with a text of one or more tokens of its own.

    Models are told that all tokens are of segment 0; raises `ModelRejected` for a tokenizer that says otherwise.
    """
    probe = tokenizer.encode("a")
    if any(probe.type_ids):
        raise ModelRejected(
            ["the tokenizer gives special tokens a segment of their own, as XLNet's does: not supported"]
        )
    own = [index for index, special in enumerate(probe.special_tokens_mask) if not special]
    ids = np.array(probe.ids, dtype=np.int64)
    first, last = (own[0], own[-1] + 1) if own else (len(ids), len(ids))
    return ids[:first], ids[last:]
