"""Whatever becomes of a file, verification ends with a report: it never crashes and never hangs."""

import bz2
import gzip
import lzma
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.fakes.bundles import CORPUS, bundle_of

from matinee.core.errors import MissingExtra
from matinee.verify import Policy, check
from matinee.verify.hdf5 import check_hdf5_bytes
from matinee.verify.report import Broken
from matinee.verify.unpacking import Unpacked


def _packed(path: Path) -> bytes:
    """The same archive with its members deflated."""
    packed = BytesIO()
    with zipfile.ZipFile(path) as stored, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in stored.namelist():
            archive.writestr(zipfile.ZipInfo(name), stored.read(name), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


SAMPLES = {
    "model.joblib": (CORPUS / "benign" / "words" / "model.joblib").read_bytes(),
    "packed.joblib": (CORPUS / "benign" / "logistic-zlib" / "model.joblib").read_bytes(),
    "model.pkl": (CORPUS / "benign" / "pickle-5" / "model.pkl").read_bytes(),
    "model.skops": (CORPUS / "benign" / "skops-words" / "model.skops").read_bytes(),
    "packed.skops": _packed(CORPUS / "benign" / "skops-words" / "model.skops"),
    "packed.keras": _packed(CORPUS / "benign" / "keras-archive" / "model.keras"),
    "model.keras": (CORPUS / "benign" / "keras-archive" / "model.keras").read_bytes(),
    "model.onnx": (CORPUS.parent / "fixtures" / "tiny-onnx" / "model.onnx").read_bytes(),
    "model.safetensors": (CORPUS / "benign" / "encoder-with-leftovers" / "model.safetensors").read_bytes(),
}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "none": bytes,
}


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(SAMPLES)), place=st.floats(0, 1), value=st.integers(0, 255), cut=st.booleans())
def test_any_changed_byte_or_cut_ends_in_a_report(name: str, place: float, value: int, cut: bool) -> None:
    """A changed byte is harmless or has a reason; nothing else happens."""
    content = bytearray(SAMPLES[name])
    position = min(int(place * len(content)), len(content) - 1)
    content[position] = value
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_bytes(content[:position] if cut else content)
        report = check(bundle_of(Path(folder)))
    assert report.passed or report.reasons


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=4000), packer=st.sampled_from(sorted(PACKERS)), sizes=st.lists(st.integers(1, 900)))
def test_unpacking_gives_the_content_whatever_the_pieces(content: bytes, packer: str, sizes: list[int]) -> None:
    """In any compression, read in any pieces."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file")
        path.write_bytes(PACKERS[packer](b"model" + content))
        with Unpacked(path, limit=10_000) as stream:
            pieces = [stream.read(size) for size in sizes]
            rest = stream.read(10_000)
            assert b"".join([*pieces, rest]) == b"model" + content
            assert not stream.trailing()


@pytest.mark.parametrize("packer", ["zlib", "gzip", "bz2", "xz"])
def test_what_unpacks_beyond_the_limit_is_refused(packer: str, tmp_path: Path) -> None:
    """A bomb is left at the limit, not unpacked."""
    path = tmp_path / "model.joblib"
    path.write_bytes(PACKERS[packer](b"\x80\x04B" + (20_000_000).to_bytes(4, "little") + bytes(20_000_000) + b"."))
    reasons = check(bundle_of(tmp_path), Policy(max_unpacked_bytes=1_000_000)).reasons
    assert reasons == ("model.joblib: unpacks to more than 1000000 bytes",)


def test_an_unknown_compression_says_what_to_do(tmp_path: Path) -> None:
    """lz4 needs a package that joblib itself only has by chance."""
    (tmp_path / "model.joblib").write_bytes(b"\x04\x22\x4d\x18" + bytes(20))
    assert "save it again with zlib" in check(bundle_of(tmp_path)).reasons[0]


def test_a_broken_stream_is_told_apart_from_its_end(tmp_path: Path) -> None:
    """Half a compressed file is not a short file."""
    path = tmp_path / "file"
    path.write_bytes(zlib.compress(bytes(range(256)) * 40)[:-20])
    with Unpacked(path, limit=100_000) as stream, pytest.raises(Broken, match="ends too early"):
        stream.read(100_000)


@pytest.mark.parametrize(
    ("source", "extra"), [(b"content", "keras"), (Path("model.h5"), "keras"), (Path("tf_model.h5"), "tensorflow")]
)
def test_without_h5py_the_extra_of_the_model_s_kind_is_named(
    source: Path | bytes, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Keras file needs Keras too; the weights of transformers need nothing else."""
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=rf"matinee\[{extra}\]"):
        check_hdf5_bytes(source, 1, Policy())
