"""Takes out of an environment what a server never uses, and compiles the rest; run by the Dockerfile.

Usage: trim.py SITE_PACKAGES [--compile-only]. Says how many megabytes went, and fails when a named file is not there
any more, so that a new version of a package is looked at and not silently shipped whole.
"""

import compileall
import shutil
import subprocess
import sys
from pathlib import Path
from py_compile import PycInvalidationMode

# Each line: a glob below site-packages, and why it can go.
UNUSED = {
    "openvino/libs/libopenvino_intel_gpu_plugin.so": "plugin for Intel GPUs",
    "openvino/libs/libopenvino_intel_npu_plugin.so": "plugin for Intel NPUs",
    "openvino/libs/libopenvino_intel_npu_*": "compiler and drivers for Intel NPUs",
    "openvino/libs/libopenvino_auto*_plugin.so": "choice between devices; we name the CPU",
    "openvino/libs/libopenvino_hetero_plugin.so": "one graph on several devices",
    "openvino/libs/libopenvino_tensorflow*": "reads TensorFlow files; we give it ONNX",
    "openvino/libs/libopenvino_p[ay]*_frontend*": "reads Paddle and PyTorch files",
    "openvino/libs/libopenvino_jax_frontend*": "reads JAX files",
    "openvino/libs/libopenvino_gguf_frontend*": "reads GGUF files",
    "openvino/libs/libopenvino_c.so*": "interface for C programs",
    "openvino/libs/cache.json": "kernel table of the GPU plugin",
    "openvino/include": "C++ headers",
    "openvino/cmake": "for C++ builds",
    "openvino/tools": "converters and benchmark programs",
    "openvino/frontend/[jpt]*/*.so": "readers for JAX, Paddle, PyTorch and TensorFlow",
    "numpy/*/tests": "NumPy's own tests",
    "numpy/_core/include": "C headers",
    "numpy/f2py": "wraps Fortran",
    "uvloop/*.pyx": "source of a compiled module",
    "uvloop/*.pxd": "source of a compiled module",
}
MAY_BE_ABSENT = {
    "openvino/libs/libopenvino_intel_npu_*", "openvino/libs/libopenvino_gguf_frontend*", "openvino/cmake",
    "numpy/_core/include", "numpy/f2py", "uvloop/*.pyx", "uvloop/*.pxd",
}  # fmt: skip


def size(folder: Path) -> int:
    """Bytes of all files below."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def trim(site: Path) -> list[str]:
    """Remove what is unused; gives back the patterns that matched nothing though they should."""
    surprises = []
    for pattern in UNUSED:
        found = list(site.glob(pattern))
        if not found and pattern not in MAY_BE_ABSENT:
            surprises.append(pattern)
        for path in found:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in [*site.rglob("tests"), *site.rglob("__pycache__")]:
        if path.is_dir():
            shutil.rmtree(path)
    return surprises


def strip(site: Path) -> None:
    """Drop symbol tables from compiled modules; those that stay unstripped work as well."""
    strippable = [
        str(path) for path in sorted(site.rglob("*.so")) if not path.is_symlink() and "numpy" not in str(path)
    ]
    for path in strippable:
        subprocess.run(["strip", "--strip-unneeded", path], check=False, stderr=subprocess.DEVNULL)


def compiled(site: Path) -> bool:
    """Bytecode for everything, checked by hash and never again: one date on every file does not make it look old."""
    return compileall.compile_dir(site, quiet=1, workers=1, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)


def main(arguments: list[str]) -> int:
    """Trim, strip and compile; 1 when a pattern fits nothing any more, or something does not compile."""
    site = Path(arguments[0])
    if "--compile-only" in arguments:
        return 0 if compiled(site) else 1
    before = size(site)
    surprises = trim(site)
    strip(site)
    sys.stdout.write(f"{before / 1e6:.1f} MB before, {size(site) / 1e6:.1f} MB after\n")
    for pattern in surprises:
        sys.stderr.write(f"nothing matches {pattern} any more: look at what the package brings now\n")
    return 0 if compiled(site) and not surprises else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
