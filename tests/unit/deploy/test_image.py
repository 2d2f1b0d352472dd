"""What the image leaves out is named, and a name that fits nothing any more is noticed."""

from pathlib import Path

from deploy.image.trim import MAY_BE_ABSENT, UNUSED, main, size, trim


def _site(folder: Path) -> Path:
    """Site-packages with one file for each pattern, and things that must stay."""
    site = folder / "site-packages"
    for pattern in UNUSED:
        path = site / pattern.replace("[jpt]*", "pytorch").replace("p[ay]*", "paddle").replace("*", "x")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0" * 100)
    for kept in ("openvino/libs/libopenvino_intel_cpu_plugin.so", "openvino/frontend/onnx/reader.py", "a/b.py"):
        path = site / kept
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("ANSWER = 42\n")
    return site


def test_the_unused_goes_and_the_rest_stays(tmp_path: Path) -> None:
    """The CPU plugin and the ONNX reader are what is needed."""
    site = _site(tmp_path)
    assert trim(site) == []
    left = sorted(str(path.relative_to(site)) for path in site.rglob("*") if path.is_file())
    assert left == ["a/b.py", "openvino/frontend/onnx/reader.py", "openvino/libs/libopenvino_intel_cpu_plugin.so"]


def test_a_pattern_that_fits_nothing_fails_the_build(tmp_path: Path) -> None:
    """The next version of a package may be laid out differently: look at it."""
    site = _site(tmp_path)
    (site / "openvino/libs/libopenvino_intel_gpu_plugin.so").unlink()
    assert main([str(site)]) == 1
    assert UNUSED.keys() > MAY_BE_ABSENT


def test_compiled_files_do_not_depend_on_dates(tmp_path: Path) -> None:
    """The header says: checked by hash, and not at all; so that one date on every file makes none of them old."""
    site = _site(tmp_path)
    assert main([str(site), "--compile-only"]) == 0
    compiled = next(site.glob("a/__pycache__/*.pyc")).read_bytes()
    assert compiled[4:8] == (0b01).to_bytes(4, "little")
    assert size(site) > 0
