"""The release in steps. Whatever happens between the first and the last, the old revision ends with all traffic."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from deploy.release.caller import Caller, Golden, load_golden
from deploy.release.config import Config
from deploy.release.control import Control, Seen
from deploy.release.document import (
    CANDIDATE_TAG,
    STABLE_TAG,
    Document,
    Live,
    Notes,
    Share,
    revision_name,
    service,
    template,
)
from deploy.release.errors import ControlFailed, GateFailed, ReleaseError
from deploy.release.gates import Clock, Samples, smoke, verdict
from deploy.release.model import Pinned
from deploy.release.report import Report
from deploy.release.signals import held_off, interruptible

_RESTORE_TRIES = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """One release: what is to be live, under which revision name."""

    image: str
    model: Pinned
    name: str


class Release:
    """Deploys, watches, promotes, restores. One object for each run of the tool."""

    def __init__(self, config: Config, control: Control, report: Report, clock: Clock) -> None:
        self._config = config
        self._control = control
        self._report = report
        self._clock = clock
        self._golden: Sequence[Golden] = load_golden(config.golden)

    def live(self) -> Live:
        """The service as it is now."""
        return self._control.live(self._config.service.name)

    def deploy(self, image: str, model: Pinned) -> None:
        """Bring image and model to the users, or leave everything as it was and raise `ReleaseError`."""
        if "@sha256:" not in image:
            raise ReleaseError("the image must be named by digest, as in REPOSITORY@sha256:…: a tag can move")
        before = self._settled(self.live())
        plan = Plan(image, model, revision_name(self._config, image, model.reference))
        done = False
        with interruptible():
            try:
                self._place(plan, before)
                if before.stable:
                    self._canary(plan, before)
                self._promote(plan, before)
                done = True
            finally:
                if not done:
                    with held_off():
                        self._restore(before, plan)

    def rollback(self) -> str:
        """Give all traffic to the revision that was live before this one; gives its name back."""
        live = self.live()
        target = live.notes.previous
        if not target:
            raise ReleaseError("there is no earlier revision on record to go back to")
        revision = self._control.revision(target)
        notes = replace(
            live.notes,
            stable=target,
            previous=live.stable,
            model=model_of(revision),
            history=[*live.notes.history, self._entry(target, model_of(revision), live.stable, "rolled back")],
        )
        self._write(live.template, [Share(target, 100)], notes)
        self._report.step(f"all traffic is back on {target}, which replaced {live.stable}")
        return target

    def settle(self) -> bool:
        """Undo what a killed run may have left: split traffic and a candidate's tag. False if there was nothing."""
        live = self.live()
        if live.document is None or live.settled or not live.stable:
            return False
        self._settled(live)
        return True

    def refuse(self, key: str) -> None:
        """Remember a model revision that failed, so that the schedule does not try it for ever."""
        live = self.live()
        if live.document is None or key in live.notes.refused:
            return
        notes = replace(live.notes, refused=[*live.notes.refused, key])
        self._write(live.template, [Share(live.stable, 100)], notes)

    def _settled(self, live: Live) -> Live:
        if live.document is None or live.settled or not live.stable:
            return live
        self._report.step(f"an earlier run was cut off: all traffic goes back to {live.stable}")
        return self._write(self._template_of(live), [Share(live.stable, 100)], live.notes)

    def _place(self, plan: Plan, before: Live) -> None:
        """The candidate without traffic, and its smoke test; the very first revision gets traffic, as the only one."""
        stable = before.stable
        table = [Share(stable, 100), Share(plan.name, 0, CANDIDATE_TAG)] if stable else [Share(plan.name, 100)]
        notes = replace(before.notes, stable=stable) if stable else Notes()
        body = template(self._config, plan.image, plan.model.reference, plan.name)
        try:
            live = self._write(body, table if stable else [], notes)
        except ControlFailed as error:
            raise self._reason(plan.name, error) from None
        url = live.tag_url(CANDIDATE_TAG) if stable else live.url
        traffic = "no traffic" if stable else "all traffic, as the first revision"
        self._report.step(f"{plan.name} is ready with {traffic}: {plan.image}, model {plan.model.reference}")
        smoke(self._caller(live.url), url, self._golden, plan.model.version, self._config.limits, self._clock)
        self._report.step(f"smoke test passed: {len(self._golden)} golden reviews right at {url}")

    def _canary(self, plan: Plan, before: Live) -> None:
        limits = self._config.limits
        percent = limits.canary_percent
        body = template(self._config, plan.image, plan.model.reference, plan.name)
        table = [Share(before.stable, 100 - percent, STABLE_TAG), Share(plan.name, percent, CANDIDATE_TAG)]
        since = self._clock.stamp()
        live = self._write(body, table, replace(before.notes, stable=before.stable))
        self._report.step(f"canary: {percent} % of the callers get {plan.name} for {limits.watch_seconds:.0f} s")
        candidate, stable = self._watch(plan, live, since)
        self._report.step(
            f"canary passed: {candidate.errors} of {candidate.count} requests failed,"
            f" 95 % within {candidate.p95:.3f} s (old revision {stable.p95:.3f} s)",
        )

    def _watch(self, plan: Plan, live: Live, since: str) -> tuple[Samples, Samples]:
        """Probe both revisions for the set time; raises `GateFailed` as soon as the candidate errs."""
        limits = self._config.limits
        caller = self._caller(live.url)
        candidate, stable = Samples(), Samples()
        texts = [each.text for each in self._golden]
        end = self._clock.now() + limits.watch_seconds
        while True:
            stable.probe(caller.predict(live.tag_url(STABLE_TAG), texts), self._golden, "")
            candidate.probe(caller.predict(live.tag_url(CANDIDATE_TAG), texts), self._golden, plan.model.version)
            last = self._clock.now() >= end
            seen = candidate.with_requests(self._requests(plan.name, since)) if last else candidate
            reasons = verdict(seen, stable, limits, final=last)
            if reasons:
                raise GateFailed("canary: " + "; ".join(reasons))
            if last:
                return seen, stable
            self._clock.sleep(limits.probe_every_seconds)

    def _promote(self, plan: Plan, before: Live) -> None:
        body = template(self._config, plan.image, plan.model.reference, plan.name)
        notes = replace(
            before.notes,
            stable=plan.name,
            previous=before.stable,
            model=plan.model.reference,
            follows=plan.model.follows,
            history=[*before.notes.history, self._entry(plan.name, plan.model.reference, before.stable, "released")],
        )
        live = self._write(body, [Share(plan.name, 100)], notes)
        smoke(self._caller(live.url), live.url, self._golden, plan.model.version, self._config.limits, self._clock)
        self._report.step(f"{plan.name} has all traffic and answers at {live.url}")

    def _restore(self, before: Live, plan: Plan) -> None:
        """The old revision, its template too: a failed template left in place would be inherited by later changes.

        The later tries keep the template that is there and move only the traffic, should the platform not know
        the old template as that of the old revision.
        """
        for attempt in range(1, _RESTORE_TRIES + 1):
            try:
                if before.stable:
                    body = self._template_of(before) if attempt <= 2 else self.live().template
                    self._write(body, [Share(before.stable, 100)], before.notes)
                    self._report.step(f"restored: {before.stable} has all traffic, {plan.name} has no tag and none")
                elif self.live().document is not None:
                    self._control.delete(self._config.service.name)
                    self._report.step("removed the service: its first revision failed, and there is nothing older")
            except ControlFailed as error:
                self._report.step(f"restoring failed ({attempt} of {_RESTORE_TRIES}): {error}")
                self._clock.sleep(2.0**attempt)
            else:
                return
        self._report.step("NOT RESTORED: run `python -m deploy.release settle` as soon as the platform answers")

    def _template_of(self, live: Live) -> Document:
        """The stable revision's own template, read back from the revision when a later one has taken its place."""
        if live.template.get("metadata", {}).get("name") == live.stable:
            return live.template
        revision = self._control.revision(live.stable)
        annotations = revision["metadata"].get("annotations", {})
        kept = {key: value for key, value in annotations.items() if not key.startswith("serving.knative.dev/")}
        return {"metadata": {"name": live.stable, "annotations": kept}, "spec": _declared(revision["spec"])}

    def _reason(self, revision: str, error: ControlFailed) -> ReleaseError:
        """A candidate that did not start is a failed gate; a platform that cannot be asked is not."""
        try:
            conditions = self._control.revision(revision).get("status", {}).get("conditions", [])
        except ControlFailed:
            return error
        for condition in conditions:
            if condition.get("type") == "Ready" and condition.get("status") == "False":
                return GateFailed(f"{revision} did not become ready: {condition.get('message', '')}")
        return error

    def _write(self, body: Document, table: Sequence[Share], notes: Notes) -> Live:
        return self._control.replace(service(self._config, body, table, notes))

    def _requests(self, revision: str, since: str) -> list[Seen]:
        if not self._config.limits.request_logs:
            return []
        return self._control.requests(self._config.service.name, revision, since)

    def _caller(self, service: str) -> Caller:
        return Caller(lambda: self._control.identity_token(service))

    def _entry(self, revision: str, model: str, replaced: str, what: str) -> dict[str, str]:
        return {"at": self._clock.stamp(), "what": what, "revision": revision, "model": model, "replaced": replaced}


def _declared(spec: Document) -> Document:
    known = ("containerConcurrency", "timeoutSeconds", "serviceAccountName", "containers", "volumes")
    return {key: spec[key] for key in known if key in spec}


def model_of(revision: Document) -> str:
    """The model reference that a revision was given."""
    environment = revision["spec"]["containers"][0].get("env", [])
    return next((str(each.get("value", "")) for each in environment if each["name"] == "MODEL"), "")
