"""The scheduled flow: does the registry's alias mean another model than the live one? Then release that model."""

from deploy.release.control import Control
from deploy.release.document import Live, image_of
from deploy.release.errors import GateFailed, ReleaseError
from deploy.release.model import Pinned, Resolve
from deploy.release.report import Report
from deploy.release.steps import Release, model_of


class Refresh:
    """Compares by "differs", not by "newer": an alias that moves back is a rollback, and wanted."""

    def __init__(self, release: Release, control: Control, resolve: Resolve, report: Report) -> None:
        self._release = release
        self._control = control
        self._resolve = resolve
        self._report = report

    def run(self, reference: str) -> bool:
        """True when another model was released, False when there was nothing to do; raises `ReleaseError`."""
        live = self._release.live()
        if not live.stable:
            raise ReleaseError("nothing is live yet: the first release is made by `deploy`")
        revision = self._control.revision(live.stable)
        target = self._resolve(reference)
        if not self._wanted(target, live, model_of(revision)):
            return False
        self._report.step(f"{reference} now is {target.reference}; live is {model_of(revision)}")
        try:
            self._release.deploy(image_of({"spec": revision["spec"]}), target)
        except GateFailed:
            self._release.refuse(target.key)
            self._report.step(f"{target.reference} is on record as refused and will not be tried again")
            raise
        return True

    def _wanted(self, target: Pinned, live: Live, current: str) -> bool:
        if target.reference == current:
            self._report.step(f"nothing to do: {current} is live already")
            return False
        if target.key in live.notes.refused:
            self._report.step(f"nothing to do: {target.reference} was refused before, {current} stays")
            return False
        return True


def model_for_deploy(live: Live, wanted: str, resolve: Resolve) -> Pinned:
    """The model of a code release: the one that is live while the declaration stays the same, else the declared one."""
    if live.notes.model and live.notes.follows == wanted:
        kept = live.notes.model
        version = "" if kept.startswith("bundled:") else resolve(kept).version
        return Pinned(kept, version, follows=wanted)
    return resolve(wanted)
