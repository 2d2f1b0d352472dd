"""Texts of any kind become rows, exactly and in linear time."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.flavors.bundles import FIXTURES
from tokenizers import Tokenizer
from tokenizers.processors import TemplateProcessing

from matinee.core.errors import ModelRejected, TextTooLong
from matinee.core.manifest import TextSettings
from matinee.core.prediction import Encoded
from matinee.flavors.tokenization import TokenRow, Tokens, pad

TINY = FIXTURES / "tiny-onnx" / "tokenizer.json"
CLS, SEP = 2, 3
TOKENS = Tokens.load(TINY, TextSettings(max_tokens=12, overlap=3))


def ids(encoded: Encoded) -> list[list[int]]:
    """The rows as lists."""
    return [row.ids.tolist() for row in encoded.rows if isinstance(row, TokenRow)]


@given(st.text(max_size=80))
def test_windows_hold_exactly_the_tokens_of_the_text(text: str) -> None:
    """Without special tokens and overlap, the windows put together are the whole text, whatever its characters."""
    (encoded,) = TOKENS.encode([text])
    whole = Tokenizer.from_file(str(TINY)).encode(text, add_special_tokens=False).ids
    rows = ids(encoded)
    assert all(row[0] == CLS and row[-1] == SEP and len(row) <= 12 for row in rows)
    assert [*rows[0][1:-1], *(token for row in rows[1:] for token in row[4:-1])] == whole
    assert (encoded.tokens, encoded.windows, encoded.truncated) == (len(whole), len(rows), False)
    assert encoded.context == [len(row) - 2 for row in rows]


def test_truncation_is_said_and_error_refuses() -> None:
    """Ten own tokens fit; eleven do not."""
    fits, long = "a " * 10, "a " * 11
    for overflow in ("truncate", "error"):
        (encoded,) = TOKENS.encode([fits], overflow)
        assert (encoded.windows, encoded.truncated) == (1, False)
    (encoded,) = TOKENS.encode([long], "truncate")
    assert (encoded.tokens, encoded.windows, encoded.truncated) == (11, 1, True)
    with pytest.raises(TextTooLong, match="has 11 tokens, and the model reads 10"):
        TOKENS.encode([long], "error")


def test_first_pooling_reads_one_window_and_says_so() -> None:
    """Windows that no one would look at are not computed."""
    tokens = Tokens.load(TINY, TextSettings(max_tokens=12, overlap=3, pooling="first"))
    (encoded,) = tokens.encode(["a " * 30])
    assert (encoded.windows, encoded.truncated) == (1, True)


def test_without_a_window_the_whole_text_is_one_row() -> None:
    """`max_tokens` 0: the model reads texts of any length."""
    (encoded,) = Tokens.load(TINY, TextSettings()).encode(["a " * 1000])
    assert (encoded.windows, encoded.rows[0].cost) == (1, 1002)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\0", "🎬👨‍👩‍👧", "שלום", "e\u0301\u0301", "", "\u202e\ufeff"])
def test_odd_characters_are_read(text: str) -> None:
    """Lone surrogates, NUL, emoji, right-to-left and combining marks: an answer, not an error."""
    (encoded,) = TOKENS.encode([text])
    assert encoded.windows == 1


@pytest.mark.parametrize("unit", ["a", "a ", "<br ", "<br" + " " * 50, "\u0301", "👨‍👩‍👧", "ﷺ", "'", "\0"])
def test_time_is_linear_whatever_the_text(unit: str) -> None:
    """Eight times the text takes about eight times as long: quadratic work would take 64 times."""

    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        began = process_time()
        TOKENS.encode([text])
        return process_time() - began

    seconds(1000)
    short, long = min(seconds(20_000) for _ in range(3)), min(seconds(160_000) for _ in range(2))
    assert long < 30 * short + 0.05


def test_padding_is_marked_and_rounded_up() -> None:
    """The mask is 1 for tokens and 0 for padding; the length is the next multiple."""
    rows = [row for text in ("a", "a b c") for row in TOKENS.encode([text])[0].rows if isinstance(row, TokenRow)]
    padded, mask = pad(rows, pad_id=9, multiple=4)
    assert padded.shape == mask.shape == (2, 8)
    assert mask.sum(axis=1).tolist() == [3, 5]
    assert padded[0, 3:].tolist() == [9] * 5


def test_a_broken_tokenizer_is_refused() -> None:
    """Files that are none, and windows without room, end in `ModelRejected`."""
    with pytest.raises(ModelRejected, match=r"card\.md cannot be read"):
        Tokens.load(FIXTURES / "tiny-onnx" / "card.md", TextSettings())
    with pytest.raises(ModelRejected, match="no room"):
        Tokens.load(TINY, TextSettings(max_tokens=2))


def test_a_segment_of_its_own_for_a_special_token_is_refused() -> None:
    """XLNet's class token is of segment 2, and its numbers are others without that."""
    tokenizer = Tokenizer.from_file(str(TINY))
    tokenizer.post_processor = TemplateProcessing(
        single="$A [SEP] [CLS]:2", special_tokens=[("[SEP]", SEP), ("[CLS]", CLS)]
    )
    with pytest.raises(ModelRejected, match="segment"):
        Tokens(tokenizer, TextSettings(max_tokens=12, overlap=3))
