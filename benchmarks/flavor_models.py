"""Makes the model of one flavor for `flavors.py`: python flavor_models.py FLAVOR FOLDER.

FOLDER holds `others.json`, reviews that are not measured, with their labels; the model goes into FOLDER/model.

sklearn         tf-idf of words and pairs with logistic regression, fitted on 5,000 reviews
sklearn-forest  tf-idf of 20,000 words with 100 trees, fitted on them too
transformers    a DistilBERT of the usual size (66 million parameters, 512 tokens) with random weights, and the
                vocabulary of the bundled encoder
tensorflow      the same, as TFDistilBertForSequenceClassification saves it
onnx            the bundled encoder
keras           https://keras.io/examples/nlp/text_classification_from_scratch/, without the training
"""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

BUNDLED = Path(__file__).parents[1] / "src/matinee/bundled/imdb-sentiment-transformer"
LABELS = {"id2label": {0: "negative", 1: "positive"}, "label2id": {"negative": 0, "positive": 1}}


def make_sklearn(folder: Path, reviews: list[dict[str, Any]]) -> None:
    """The pipeline of the original kind of endpoint."""
    from sklearn.linear_model import LogisticRegression

    fit(folder, reviews, LogisticRegression(), ngram_range=(1, 2), min_df=2)


def make_forest(folder: Path, reviews: list[dict[str, Any]]) -> None:
    """A pipeline that is not linear."""
    from sklearn.ensemble import RandomForestClassifier

    fit(folder, reviews, RandomForestClassifier(100, random_state=0), max_features=20_000)


def fit(folder: Path, reviews: list[dict[str, Any]], classifier: Any, **settings: Any) -> None:
    """Fit and save a pipeline."""
    import joblib
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(TfidfVectorizer(**settings), classifier)
    model.fit([review["text"] for review in reviews], [review["sentiment"] for review in reviews])
    joblib.dump(model, folder / "model.joblib")


def make_transformers(folder: Path, _: list[dict[str, Any]]) -> None:
    """Saved as `save_pretrained` does."""
    import torch
    import transformers

    save_tokenizer(folder)
    torch.manual_seed(0)
    transformers.DistilBertForSequenceClassification(transformers.DistilBertConfig(**LABELS)).save_pretrained(folder)


def make_tensorflow(folder: Path, _: list[dict[str, Any]]) -> None:
    """The checkpoint of the original kind of endpoint."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    import tensorflow
    import transformers

    save_tokenizer(folder)
    tensorflow.random.set_seed(0)
    model = transformers.TFDistilBertForSequenceClassification(transformers.DistilBertConfig(**LABELS))
    model(model.dummy_inputs)
    model.save_pretrained(folder)


def save_tokenizer(folder: Path) -> None:
    """The bundled vocabulary, as DistilBERT's tokenizer saves it."""
    import transformers

    words: dict[str, int] = json.loads((BUNDLED / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "vocab.txt").write_text("\n".join(sorted(words, key=words.__getitem__)) + "\n")
    transformers.DistilBertTokenizerFast(str(folder / "vocab.txt"), model_max_length=512).save_pretrained(folder)


def make_onnx(folder: Path, _: list[dict[str, Any]]) -> None:
    """A copy, with its manifest."""
    for path in BUNDLED.iterdir():
        if path.is_file():
            shutil.copy(path, folder)


def make_keras(folder: Path, reviews: list[dict[str, Any]]) -> None:
    """TextVectorization, an embedding, two convolutions."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    from keras import layers

    vectorization = layers.TextVectorization(max_tokens=20_000, output_sequence_length=500)
    # Of words in other letters Keras keeps bytes that it then reads as repetitions.
    vectorization.adapt([review["text"].encode("ascii", "ignore").decode() for review in reviews])
    model = keras.Sequential(
        [
            keras.Input(shape=(1,), dtype="string"), vectorization, layers.Embedding(20_000, 128),
            layers.Conv1D(128, 7, padding="valid", activation="relu", strides=3),
            layers.Conv1D(128, 7, padding="valid", activation="relu", strides=3), layers.GlobalMaxPooling1D(),
            layers.Dense(128, activation="relu"), layers.Dense(1, activation="sigmoid"),
        ]
    )  # fmt: skip
    model.save(folder / "model.keras")


MAKERS = {
    "sklearn": make_sklearn,
    "sklearn-forest": make_forest,
    "transformers": make_transformers,
    "tensorflow": make_tensorflow,
    "onnx": make_onnx,
    "keras": make_keras,
}

if __name__ == "__main__":
    place = Path(sys.argv[2])
    MAKERS[sys.argv[1]](place / "model", json.loads((place / "others.json").read_text()))
