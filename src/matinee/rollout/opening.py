"""From a reference to a loaded classifier: resolve, pull, verify, load, and a cascade's members likewise."""

import asyncio
import hashlib
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from matinee.core.bundle import Bundle, Revision, VerifiedBundle
from matinee.core.errors import MatineeError, ModelRejected, RevisionNotFound, SourceUnavailable
from matinee.core.events import ModelOpened, Observe
from matinee.core.manifest import Example, Manifest
from matinee.core.prediction import Classifier, ModelIdentity
from matinee.core.reference import ModelRef
from matinee.flavors import LoadOptions, compose, load
from matinee.sources import Sources
from matinee.verify import Policy, inspect

CASCADE_FLAVOR = "cascade"


@dataclass(frozen=True, slots=True)
class Stages:
    """What opening a model needs: the sources, what verification allows, how to load, who listens.

    `quick` is the reference of a quick model that answers first when it is sure (the setting `CASCADE`).
    """

    sources: Sources
    policy: Policy
    load: LoadOptions
    observe: Observe
    quick: ModelRef | None = None


@dataclass(frozen=True, slots=True)
class Parcel:
    """Verified files that are ready to be loaded: of one model, or of a cascade with its quick and full member."""

    bundle: VerifiedBundle
    members: tuple["Parcel", "Parcel"] | None = None

    @property
    def version(self) -> str:
        """The registry's word; for two models that the setting `CASCADE` put together, both."""
        if self.members is None or self.bundle.manifest.flavor == CASCADE_FLAVOR:
            return self.bundle.revision.version
        return f"{self.bundle.revision.version}+{self.members[0].version}"

    @property
    def digest(self) -> str:
        """Names every byte that can have a part in an answer (a cascade's manifest names its members' digests)."""
        if self.members is None or self.bundle.manifest.flavor == CASCADE_FLAVOR:
            return self.bundle.digest
        both = f"{self.bundle.digest}\n{self.members[0].digest}"
        return f"sha256:{hashlib.sha256(both.encode()).hexdigest()}"

    @property
    def examples(self) -> list[Example]:
        """The manifest's examples; what two models give together has no known scores when a setting chose them."""
        examples = self.bundle.manifest.examples
        alone = self.members is None or self.bundle.manifest.flavor == CASCADE_FLAVOR
        return [example if alone else replace(example, scores=()) for example in examples]

    @property
    def fusion(self) -> VerifiedBundle:
        """The bundle that says how two members become one.

        A cascade's own says it. Nobody has fitted anything for two models that a setting puts together, so there the
        full model's answer stands alone whenever the quick one is not sure.
        """
        if self.bundle.manifest.flavor == CASCADE_FLAVOR:
            return self.bundle
        options = {"weights": {"quick": 0.0, "full": 1.0}}
        return replace(self.bundle, manifest=replace(self.bundle.manifest, flavor=CASCADE_FLAVOR, options=options))

    @property
    def bundles(self) -> list[Bundle]:
        """The folders that have a part in it, each once."""
        own = [self.bundle, *(member.bundle for member in self.members or () if member.bundle is not self.bundle)]
        return [Bundle(each.folder, each.revision, each.digest, each.stale) for each in own]

    @property
    def stale(self) -> bool:
        """The registry could not be asked about one of the models."""
        return self.bundle.stale or any(member.stale for member in self.members or ())


@dataclass(frozen=True, slots=True)
class Opened:
    """A loaded model and where it came from; `seconds` from the beginning of the transfer to the end of loading."""

    classifier: Classifier
    identity: ModelIdentity
    manifest: Manifest
    revision: Revision
    parcel: Parcel
    seconds: float

    @property
    def stale(self) -> bool:
        """It is the last good revision; the registry could not be asked for the current one."""
        return self.parcel.stale

    def renamed(self, names: Mapping[str, str]) -> "Opened":
        """The same with its labels under other names."""
        return replace(self, classifier=Renamed(self.classifier, names)) if names else self


class Renamed:
    """A classifier whose labels have the names that callers know."""

    def __init__(self, classifier: Classifier, names: Mapping[str, str]) -> None:
        self.labels = tuple(names.get(label, label) for label in classifier.labels)
        self.capacity = classifier.capacity
        self.encode = classifier.encode
        self.run = classifier.run
        self.finish = classifier.finish
        self.close = classifier.close


class Opening:
    """Opens what one reference means, again and again; `stage` says how far the present attempt has come."""

    def __init__(self, name: str, reference: ModelRef, stages: Stages) -> None:
        self.name = name
        self.reference = reference
        self.stage = "resolve"
        self._stages = stages
        self._began = time.perf_counter()

    def resolve(self) -> Revision:
        """Ask the registry what the reference means right now."""
        self.stage = "resolve"
        with refusing("asking the registry"):
            return self._stages.sources.resolve(self.reference)

    def fetch(self, revision: Revision) -> Parcel:
        """Pull and verify; raises `CorruptBundle`, `ModelRejected`, `SourceUnavailable` and the like."""
        self.stage = "pull"
        self._began = time.perf_counter()
        with refusing("the transfer"):
            bundle = self._stages.sources.pull(revision)
        return self._verified(bundle)

    def unpack(self, bundle: Bundle) -> Parcel:
        """Verify a bundle that is here already, and fetch what belongs to it; gives all back when it is refused."""
        self._began = time.perf_counter()
        return self._verified(bundle)

    def _verified(self, bundle: Bundle) -> Parcel:
        self.stage = "verify"
        with ExitStack() as undo, refusing("verifying"):
            undo.callback(self._stages.sources.release, bundle)
            parcel = self._unpack(bundle, undo)
            undo.pop_all()
            return parcel

    def release(self, parcel: Parcel) -> None:
        """Its files are not used any more."""
        for bundle in parcel.bundles:
            self._stages.sources.release(bundle)

    def confirm(self, parcel: Parcel) -> None:
        """It was loaded and answers: it is what to start with when the registry is away."""
        for bundle in parcel.bundles:
            self._stages.sources.confirm(bundle)

    def _unpack(self, bundle: Bundle, undo: ExitStack) -> Parcel:
        verified = inspect(bundle, self._stages.policy)
        if verified.manifest.flavor == CASCADE_FLAVOR:
            members = verified.manifest.options.get("members")
            listed: Mapping[str, Any] = members if isinstance(members, Mapping) else {}
            return Parcel(verified, (self._member(listed, "quick", undo), self._member(listed, "full", undo)))
        if self._stages.quick is not None:
            return Parcel(verified, (self._other(self._stages.quick, undo), Parcel(verified)))
        return Parcel(verified)

    def load(self, parcel: Parcel) -> Opened:
        """Load the files into memory; raises `ModelRejected` for whatever the model's own code raises."""
        self.stage = "load"
        classifier = load_parcel(parcel, self._stages.load)
        opened = Opened(
            classifier=classifier,
            identity=self.identity(parcel),
            manifest=parcel.bundle.manifest,
            revision=parcel.bundle.revision,
            parcel=parcel,
            seconds=time.perf_counter() - self._began,
        )
        self._stages.observe(ModelOpened(opened.identity, opened.seconds))
        return opened

    def identity(self, parcel: Parcel) -> ModelIdentity:
        """Who answers once `parcel` is loaded."""
        return ModelIdentity(self.name, parcel.version, parcel.digest, str(self.reference))

    def _member(self, members: Mapping[str, Any], role: str, undo: ExitStack) -> Parcel:
        entry = members.get(role)
        reference = entry.get("reference") if isinstance(entry, Mapping) else None
        if not isinstance(reference, str):
            raise ModelRejected([f"options.members.{role} must name a model: {{'reference': …, 'digest': …}}"])
        parcel = self._other(ModelRef.parse(reference), undo)
        promised = entry.get("digest") if isinstance(entry, Mapping) else None
        if promised != parcel.digest:
            raise ModelRejected([f"options.members.{role} promises {promised}, and {reference} is {parcel.digest}"])
        return parcel

    def _other(self, reference: ModelRef, undo: ExitStack) -> Parcel:
        """A second model: the settings that force flavor and labels were meant for the first one.

        While its registry is away, the last good one from the cache will do; a cascade's manifest says its digest.
        """
        sources = self._stages.sources
        try:
            bundle = sources.pull(sources.resolve(reference))
        except (SourceUnavailable, RevisionNotFound):
            if (last := sources.last_good(reference)) is None:
                raise
            bundle = last
        undo.callback(sources.release, bundle)
        return Parcel(inspect(bundle, Policy()))


def load_parcel(parcel: Parcel, options: LoadOptions) -> Classifier:
    """The classifier of one model, or of two models put together; raises `ModelRejected`."""
    with refusing("loading"):
        if parcel.members is None:
            return load(parcel.bundle, options)
        quick, full = parcel.members
        return compose(parcel.fusion, load_parcel(quick, options), load_parcel(full, options))


@contextmanager
def refusing(what: str) -> Iterator[None]:
    """Make a refusal of whatever is raised inside, so that no candidate can end the following of its reference.

    That is also what is no `Exception`: `sys.exit`, or the panic of a library written in Rust (the tokenizers are).
    """
    try:
        yield
    except (MatineeError, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # a model's own code, or a library that reads it, may raise anything at all
        words = str(error).strip().split("\n")[0][:200]
        raise ModelRejected([f"{what} raised {type(error).__name__}: {words}"]) from error


def open_model(name: str, reference: ModelRef, stages: Stages) -> Opened:
    """Open what `reference` means right now; raises what its stages raise, each a `MatineeError`."""
    opening = Opening(name, reference, stages)
    return opening.load(opening.fetch(opening.resolve()))
