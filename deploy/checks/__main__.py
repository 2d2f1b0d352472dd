"""Static checks of pipelines, image and manifests: python -m deploy.checks [--crds FOLDER].

Runs in the environment of deploy/requirements-lint.txt. What a machine lacks is skipped, by name, at the end.
"""

import argparse
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from deploy.checks.charts import base_differences, chart_problems
from deploy.checks.custom_resources import custom_resource_problems
from deploy.checks.manifests import BASE, OVERLAYS, render

ROOT = Path(__file__).parents[2]
KUBERNETES = "1.33"


class Checks:
    """Runs one check after another and remembers what failed and what could not run."""

    def __init__(self) -> None:
        self.failed: list[str] = []
        self.skipped: list[str] = []

    def program(self, name: str, arguments: Sequence[str], stdin: str | None = None) -> None:
        """A linter of the environment; its output is shown when it complains."""
        program = shutil.which(name, path=sysconfig.get_path("scripts")) or name
        done = subprocess.run([program, *arguments], cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)
        self._note(f"{name} {' '.join(arguments)}"[:110], "" if done.returncode == 0 else done.stdout + done.stderr)

    def problems(self, name: str, problems: Sequence[str]) -> None:
        """What a check of ours found."""
        self._note(name, "".join(f"      {problem}\n" for problem in problems))

    def skip(self, what: str) -> None:
        """Say now, and again at the end, what was not checked."""
        self.skipped.append(what)

    def _note(self, name: str, complaint: str) -> None:
        sys.stdout.write(f"{'FAIL' if complaint else 'ok  '}  {name}\n{complaint}")
        sys.stdout.flush()
        if complaint:
            self.failed.append(name)


def _files(*patterns: str) -> list[str]:
    found = [path for pattern in patterns for path in ROOT.glob(pattern)]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def pipelines(checks: Checks) -> None:
    """Workflows, Cloud Build, image, compose, shell."""
    workflows = _files(".github/workflows/*.yml")
    checks.program("actionlint", workflows)
    checks.program("zizmor", ["--offline", "--no-progress", "--quiet", ".github"])
    checks.program("check-jsonschema", ["--builtin-schema", "vendor.github-workflows", *workflows])
    checks.program("check-jsonschema", ["--builtin-schema", "custom.github-workflows-require-timeout", *workflows])
    checks.program("check-jsonschema", ["--builtin-schema", "vendor.dependabot", ".github/dependabot.yml"])
    checks.program("check-jsonschema", ["--builtin-schema", "vendor.cloudbuild", *_files("cloudbuild*.yaml")])
    checks.program("check-jsonschema", ["--builtin-schema", "vendor.compose-spec", "compose.yaml"])
    checks.program("docker-compose", ["--profile", "*", "--file", "compose.yaml", "config", "--quiet"])
    checks.program("hadolint", ["Dockerfile", *_files("deploy/rehearsal/Dockerfile.*")])
    checks.program("shellcheck", ["-x", "-P", "SCRIPTDIR", *_files("deploy/**/*.sh")])


def manifests(checks: Checks, crds: Path | None) -> None:
    """Kustomize, Helm, and the custom resources among what they render."""
    checks.problems("helm lint and render", chart_problems())
    if shutil.which("kubectl") is None and shutil.which("kustomize") is None:
        checks.skip("kustomize: neither kubectl nor kustomize is installed")
        return
    for overlay in OVERLAYS:
        core, custom = render(overlay)
        if core:
            checks.program("kubernetes-validate", ["--strict", "-k", KUBERNETES, "-"], stdin=core)
        if custom and crds is None:
            checks.skip(f"{overlay}: the schemas of its custom resources (give their folder with --crds)")
        elif custom and crds is not None:
            checks.problems(f"{overlay}: custom resources", custom_resource_problems(custom, crds))
    checks.problems("the chart and the kustomize base say the same", base_differences(render(BASE)[0]))


def main() -> int:
    """0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m deploy.checks", description=__doc__)
    parser.add_argument("--crds", type=Path, help="a folder with the CRDs of KServe and the Prometheus operator")
    arguments = parser.parse_args()
    checks = Checks()
    pipelines(checks)
    manifests(checks, arguments.crds)
    for what in checks.skipped:
        sys.stdout.write(f"SKIPPED  {what}\n")
    return 1 if checks.failed else 0


if __name__ == "__main__":
    sys.exit(main())
