"""Which plan suits this machine? What `matinee tune` found here for these weights, otherwise a sound guess."""

import hashlib
import json
from dataclasses import asdict, fields
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from matinee.core.errors import ModelRejected
from matinee.flavors import LoadOptions
from matinee.flavors.runtimes import Plan, cpu
from matinee.flavors.runtimes.keeping import keep

BATCH_TOKENS = 1024  # 95 % of the best throughput is reached here, and a batch does not hold up the next for long
GPU_BATCH_TOKENS = 16_384
_PACKAGES = ("openvino", "onnxruntime")


def plan_for(digest: str, options: LoadOptions, *, int8: bool = True) -> Plan:
    """The plan that was found by measuring, unless `options` ask for something else than what suits best.

    A guess has no 8-bit arithmetic without `int8`: weights that came in full precision are rounded only when somebody
    asks for it or `matinee tune` has found that the answers stay the same.
    """
    everything_open = options == LoadOptions(cache_dir=options.cache_dir)
    if everything_open and options.cache_dir is not None and (tuned := _read(_tuned(digest, options.cache_dir))):
        return tuned
    return best_guess(options, int8=int8)


def keep_plan(digest: str, plan: Plan, cache_dir: Path) -> Path:
    """Let later starts on this kind of CPU use `plan` for these weights; returns the file."""
    path = _tuned(digest, cache_dir)
    keep(path, json.dumps(asdict(plan)).encode())
    return path


def compiled_path(digest: str, plan: Plan, cache_dir: Path | None) -> Path | None:
    """Where what this runtime compiled for these weights, this precision, device and kind of CPU is kept.

    The same file serves any number of streams and threads: a version's trial compiles it, the server takes it over.
    """
    if cache_dir is None:
        return None
    build = version(plan.runtime) if plan.runtime in _PACKAGES and find_spec(plan.runtime) else ""
    key = "\n".join((digest, plan.runtime, build, plan.device, cpu.fingerprint(), plan.precision))
    return cache_dir / "compiled" / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.bin"


def _tuned(digest: str, cache_dir: Path) -> Path:
    return cache_dir / "tuned" / f"{hashlib.sha256(digest.encode()).hexdigest()[:32]}-{cpu.fingerprint()}.json"


def _read(path: Path) -> Plan | None:
    """A plan that can still be carried out, or None."""
    try:
        document = json.loads(path.read_text())
        plan = Plan(**{field.name: document[field.name] for field in fields(Plan)})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return plan if find_spec(plan.runtime) is not None else None


def best_guess(options: LoadOptions, *, int8: bool = True) -> Plan:
    """The plan for `options`, with what they leave open chosen by the CPU's features."""
    if options.device == "cuda":
        return Plan("onnxruntime", "f32", 2, 2, options.batch_tokens or GPU_BATCH_TOKENS, "cuda")
    threads = options.threads or cpu.available()
    return Plan(
        runtime=_runtime() if options.runtime == "auto" else options.runtime,
        precision=_precision(int8=int8) if options.precision == "auto" else options.precision,
        streams=options.streams or max(1, threads // _threads_for_one_batch(threads)),
        threads=threads,
        batch_tokens=options.batch_tokens or BATCH_TOKENS,
    )


def _runtime() -> str:
    """OpenVINO was the quicker one in every measurement of `docs/architecture/30-engine.md`."""
    for name in _PACKAGES:
        if find_spec(name) is not None:
            return name
    raise ModelRejected(["neither openvino nor onnxruntime is installed: pip install openvino"])


def _precision(*, int8: bool) -> str:
    """Matrix units take bf16 at full speed; without them, 8-bit dot products are twice as quick as bf16 ones."""
    flags = cpu.features()
    if "amx_bf16" in flags:
        return "bf16"
    if int8 and flags & {"avx512_vnni", "avx_vnni"}:
        return "int8"
    return "bf16" if "avx512_bf16" in flags else "f32"


def _threads_for_one_batch(threads: int) -> int:
    """Threads that share a batch wait for each other; more of them only where there are many."""
    return 1 if threads < 4 else 2 if threads < 8 else 4
