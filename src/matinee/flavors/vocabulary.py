"""The tokenizer of a saved encoder: `tokenizer.json`, or one built from the vocabulary files of older checkpoints."""

import json
import logging
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

from matinee.core.errors import ModelRejected

# The bundled encoder was trained with the words of bert-base-uncased, which are those of distilbert-base-uncased too.
UNCASED = Path(str(files("matinee"))) / "bundled" / "imdb-sentiment-transformer" / "tokenizer.json"
UNCASED_WORDS = 30_522
_UNCASED_MODELS = ("bert", "distilbert")

_logger = logging.getLogger(__name__)


def find_tokenizer(folder: Path, config: Mapping[str, Any], uncased: Path = UNCASED) -> Tokenizer:
    """The tokenizer of the model in `folder`, whose `config.json` is `config`.

    Looks for `tokenizer.json`, then `vocab.txt` (WordPiece, as BERT), then `vocab.json` with `merges.txt` (byte-level
    BPE, as RoBERTa). A BERT or DistilBERT with 30,522 words and no such file gets the vocabulary of
    `bert-base-uncased`, taken from the file `uncased`, and a warning in the log. Raises `ModelRejected` naming the file
    to add.
    """
    settings = _read(folder / "tokenizer_config.json")
    if (folder / "tokenizer.json").is_file():
        return _parsed(folder / "tokenizer.json")
    if (folder / "vocab.txt").is_file():
        return wordpiece(_words(folder / "vocab.txt"), settings)
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        return byte_pairs(_read(folder / "vocab.json"), _merges(folder / "merges.txt"), settings)
    if config.get("model_type") in _UNCASED_MODELS and config.get("vocab_size") == UNCASED_WORDS and uncased.is_file():
        _logger.warning("no tokenizer files: the model's %d words are taken for bert-base-uncased's", UNCASED_WORDS)
        vocabulary = _read(uncased)["model"]["vocab"]
        return wordpiece(sorted(vocabulary, key=vocabulary.__getitem__), settings)
    older = "vocab.txt for the BERT family, vocab.json and merges.txt for RoBERTa"
    advice = f"add tokenizer.json (or {older}) to its folder; tokenizer.save_pretrained(folder) writes it"
    raise ModelRejected([f"the model has no tokenizer: {advice}"])


def wordpiece(words: list[str], settings: Mapping[str, Any]) -> Tokenizer:
    """BERT's tokenizer over `words` in the order of their ids; `settings` is `tokenizer_config.json`."""
    vocabulary = {word: number for number, word in enumerate(words)}
    special = _special(settings, cls="[CLS]", sep="[SEP]", pad="[PAD]", unk="[UNK]")
    _demand(vocabulary, special, "vocab.txt")
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=special["unk"], max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
        lowercase=settings.get("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _finished(tokenizer, special)


def byte_pairs(vocabulary: Mapping[str, int], merges: list[tuple[str, str]], settings: Mapping[str, Any]) -> Tokenizer:
    """RoBERTa's tokenizer; `settings` is `tokenizer_config.json`."""
    special = _special(settings, cls="<s>", sep="</s>", pad="<pad>", unk="<unk>")
    _demand(vocabulary, special, "vocab.json")
    tokenizer = Tokenizer(models.BPE(dict(vocabulary), merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=settings.get("add_prefix_space", False))
    return _finished(tokenizer, special)


def _finished(tokenizer: Tokenizer, special: Mapping[str, str]) -> Tokenizer:
    """Add the special tokens, and put two of them around every text."""
    tokenizer.add_special_tokens([AddedToken(word, special=True) for word in special.values()])
    first, last = special["cls"], special["sep"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        special_tokens=[(word, tokenizer.token_to_id(word)) for word in (first, last)],
    )
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id(special["pad"]), pad_token=special["pad"])
    return tokenizer


def _special(settings: Mapping[str, Any], **defaults: str) -> dict[str, str]:
    """Special tokens by role; a configuration has them as strings or as objects with a content."""
    found = {role: settings.get(f"{role}_token") or default for role, default in defaults.items()}
    return {role: token["content"] if isinstance(token, dict) else str(token) for role, token in found.items()}


def _demand(vocabulary: Mapping[str, int], special: Mapping[str, str], name: str) -> None:
    if missing := [word for word in special.values() if word not in vocabulary]:
        raise ModelRejected([f"{name} lacks the special token {word!r}" for word in missing])


def _parsed(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_buffer(path.read_bytes())
    except Exception as error:  # noqa: BLE001 - the library raises bare exceptions
        raise ModelRejected([f"{path.name} cannot be read as a tokenizer ({type(error).__name__})"]) from None


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ModelRejected([f"{path.name} is not a JSON object"])
    return content


def _words(path: Path) -> list[str]:
    return _text(path).removesuffix("\n").split("\n")


def _merges(path: Path) -> list[tuple[str, str]]:
    lines = [line for line in _text(path).split("\n") if line and not line.startswith("#version")]
    pairs = [tuple(line.split(" ")) for line in lines]
    if any(len(pair) != 2 for pair in pairs):
        raise ModelRejected([f"{path.name} must have two parts on each line"])
    return [(left, right) for left, right in pairs]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise ModelRejected([f"{path.name} is not UTF-8"]) from None
