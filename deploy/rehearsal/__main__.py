"""python -m deploy.rehearsal [--model REFERENCE] [--only WORD]…: play every act, print the report, 1 on a failure."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen
from time import monotonic

from deploy.bounded import end
from deploy.rehearsal import cloudrun, identity, image, orchestrators, registries, scheduler, workflows
from deploy.rehearsal.stage import ROOT, Stage

_REGISTRY = """version: 0.1
storage: {{filesystem: {{rootdirectory: {folder}/registry}}, delete: {{enabled: true}}}}
http: {{addr: 127.0.0.1:15000}}
log: {{level: error}}
"""

ACTS: list[tuple[str, Callable[[Stage], str]]] = [
    ("base images", image.bases),
    ("image: build", image.build),
    ("image: reproducible", image.reproducible),
    ("image: contents", image.contents),
    ("image: SBOM", image.sbom),
    ("image: contract", image.contract),
    ("image: push by digest", image.push),
    ("Cloud Run", cloudrun.releases),
    ("refresh from W&B", registries.wandb),
    ("refresh from MLflow", registries.mlflow),
    ("Cloud Scheduler", scheduler.schedule),
    ("identity token by federation", identity.federated),
    ("workflows under act", workflows.push_and_refresh),
    ("podman kube play", orchestrators.kube_play),
    ("compose", orchestrators.compose),
]


@contextmanager
def _registry(folder: Path) -> Iterator[None]:
    """A real image registry on loopback, where it is installed."""
    config = folder / "registry.yml"
    config.write_text(_REGISTRY.format(folder=folder))
    try:
        process = Popen(["docker-registry", "serve", str(config)], stdout=DEVNULL, stderr=DEVNULL)
    except FileNotFoundError:
        yield
        return
    try:
        yield
    finally:
        end(process, "docker-registry")


def main() -> int:
    """0 when nothing failed; what was skipped is named in the report."""
    parser = argparse.ArgumentParser(prog="python -m deploy.rehearsal", description=__doc__)
    parser.add_argument("--model", default="bundled:imdb-sentiment", help="what the image serves")
    parser.add_argument("--only", action="append", default=[], help="acts whose name has this in it")
    parser.add_argument("--without", action="append", default=[], help="acts to leave out, likewise")
    parser.add_argument("--keep-images", action="store_true", help="do not build what an earlier rehearsal has built")
    arguments = parser.parse_args()
    folder = Path(os.environ.get("REHEARSAL_DIR", ROOT / "build" / "rehearsal")).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(folder, arguments.model, keep_images=arguments.keep_images)
    started = monotonic()
    fine = True
    with _registry(folder):
        for name, play in ACTS:
            wanted = not arguments.only or any(word in name for word in arguments.only)
            if wanted and not any(word in name for word in arguments.without):
                fine &= stage.act(name, play)
    fine &= not any(outcome == "FAILED" for _, outcome, _, _ in stage.rows)
    stage.figures["whole rehearsal"] = f"{(monotonic() - started) / 60:.1f} minutes"
    (folder / "report.md").write_text(stage.report())
    print(f"\n{stage.report()}\nThis table is in {folder / 'report.md'}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
