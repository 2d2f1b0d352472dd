"""What neural flavors read besides the model: safetensors, vocabularies, Keras' words, the folder of graphs."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from matinee.core.errors import ModelRejected
from matinee.flavors.exported import KEPT, exported
from matinee.flavors.graphs.safetensors import INDEX_NAME, open_folder
from matinee.flavors.keras_text import Vectorization, WordIndex
from matinee.flavors.vocabulary import byte_pairs, wordpiece

LAYER = {"output_mode": "int", "standardize": "lower_and_strip_punctuation", "split": "whitespace"}


def write_safetensors(path: Path, header: object, content: bytes = b"") -> None:
    """A file with any header."""
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + content)


def test_half_precision_is_read_exactly(tmp_path: Path) -> None:
    """bfloat16 is the upper half of a float32."""
    numbers = np.array([1.0, -2.5, 3.25], dtype=np.float32)
    upper = (numbers.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    half = numbers.astype(np.float16).tobytes()
    header = {
        "upper": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]},
        "half": {"dtype": "F16", "shape": [3], "data_offsets": [6, 12]},
    }
    write_safetensors(tmp_path / "model.safetensors", header, upper + half)
    tensors = open_folder(tmp_path)
    assert tensors["upper"].tolist() == numbers.tolist() == tensors["half"].tolist()


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}, "F8_E4M3"),
        ({"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}, "outside"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [-4, 0]}, "outside"),
    ],
)
def test_a_tensor_that_cannot_be_read_is_refused(entry: dict[str, object], word: str, tmp_path: Path) -> None:
    """Unknown types, and places beyond the file."""
    write_safetensors(tmp_path / "model.safetensors", {"a": entry}, b"1234")
    with pytest.raises(ModelRejected, match=word):
        open_folder(tmp_path)["a"]


def test_a_header_longer_than_the_file_is_refused(tmp_path: Path) -> None:
    """Nothing is allocated for it."""
    (tmp_path / "model.safetensors").write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(ModelRejected, match="header"):
        open_folder(tmp_path)


def test_an_index_may_name_files_of_the_bundle_only(tmp_path: Path) -> None:
    """Shards lie beside their index."""
    (tmp_path / INDEX_NAME).write_text(json.dumps({"weight_map": {"a": "../other/model.safetensors"}}))
    with pytest.raises(ModelRejected, match="not a file of the bundle"):
        open_folder(tmp_path)


def test_a_cased_vocabulary_is_read_as_its_settings_say() -> None:
    """`do_lower_case` and accents come from tokenizer_config.json."""
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "Film", "film", "é", "e"]
    cased = wordpiece(words, {"do_lower_case": False})
    assert cased.encode("Film film é").ids == [2, 4, 5, 6, 3]
    assert wordpiece(words, {}).encode("Film film é").ids == [2, 5, 5, 7, 3]


def test_byte_pairs_join_by_their_merges() -> None:
    """Special tokens may be objects, as newer libraries write them."""
    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "b": 5, "ab": 6}
    tokenizer = byte_pairs(vocabulary, [("a", "b")], {"cls_token": {"content": "<s>"}})
    assert tokenizer.encode("aab").ids == [0, 4, 6, 2]


def test_keras_words_are_padded_and_cut_where_training_did() -> None:
    """In front, unless the options say otherwise; words beyond `num_words` are unknown."""
    index = json.dumps({"the": 1, "film": 2, "odd": 3})
    config = {"num_words": 3, "filters": "!", "lower": True, "split": " ", "oov_token": None, "word_index": index}
    content = json.dumps({"class_name": "Tokenizer", "config": config}).encode()
    front = WordIndex(content, 4, {})
    assert front.tokens("The odd, film!") == [1, 2]
    assert front.row([1, 2]).tolist() == [0, 0, 1, 2]
    assert WordIndex(content, 0, {"padding": "post", "length": 4}).row([1, 2]).tolist() == [1, 2, 0, 0]


def test_another_tokenizer_file_is_refused() -> None:
    """`tokenizer.json` is also the name of another library's file."""
    with pytest.raises(ModelRejected, match="to_json"):
        WordIndex(b'{"version": "1.0", "model": {}}', 4, {})


def test_text_layers_look_at_bytes() -> None:
    """Only ASCII letters are lowered, only ASCII spaces split, as `tf.strings` does."""
    layer = Vectorization({**LAYER, "output_sequence_length": 4}, ["", "[UNK]", "Été", "été", "a\u00a0b"])
    assert layer.tokens("Été, été! a\u00a0b\tx") == [2, 3, 4, 1]
    assert layer.row([2]).tolist() == [2, 0, 0, 0]


def test_runs_of_words_come_after_shorter_ones() -> None:
    """`ngrams=2` means one and two words."""
    layer = Vectorization({**LAYER, "output_mode": "count", "ngrams": 2}, ["[UNK]", "a", "b", "a b"])
    assert layer.row(layer.tokens("a b a")).tolist() == [1, 2, 1, 1]


def test_a_text_layer_that_python_cannot_follow_is_refused() -> None:
    """The reason names the setting of the layer."""
    with pytest.raises(ModelRejected, match=r"TextVectorization\.output_mode"):
        Vectorization({**LAYER, "output_mode": "tf_idf"}, ["[UNK]"])


def test_a_crash_while_exporting_leaves_no_graph(tmp_path: Path) -> None:
    """The next start makes it whole."""

    def crash(into: Path) -> None:
        (into / "model.onnx").write_bytes(b"half")
        raise ModelRejected(["a reason"])

    with pytest.raises(ModelRejected), exported("sha256:a", tmp_path, crash):
        pass
    assert list((tmp_path / "graphs").iterdir()) == []


def test_the_quicker_of_two_processes_wins(tmp_path: Path) -> None:
    """A folder that appears meanwhile is taken as it is."""

    def other(into: Path) -> None:
        (into / "model.onnx").write_bytes(b"theirs")

    def slow(into: Path) -> None:
        (into / "model.onnx").write_bytes(b"ours")
        with exported("sha256:a", tmp_path, other):
            pass

    with exported("sha256:a", tmp_path, slow) as folder:
        assert (folder / "model.onnx").read_bytes() == b"theirs"


def test_graphs_of_many_starts_at_once_stay_until_they_are_read(tmp_path: Path) -> None:
    """More deployments than are kept begin together: none loses its graph, and the oldest go afterwards."""
    together = Barrier(KEPT + 3)

    def start(number: int) -> bytes:
        def make(into: Path) -> None:
            (into / "model.onnx").write_bytes(b"%d" % number)
            together.wait(10)

        with exported(f"sha256:{number}", tmp_path, make) as folder:
            time.sleep(0.02 * number)  # the first to be done removes what it takes for old
            return (folder / "model.onnx").read_bytes()

    with ThreadPoolExecutor(KEPT + 3) as pool:
        assert list(pool.map(start, range(KEPT + 3))) == [b"%d" % number for number in range(KEPT + 3)]
    assert len(list((tmp_path / "graphs").iterdir())) == KEPT
