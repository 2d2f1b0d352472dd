"""May we load it?

`inspect` turns a bundle into a verified one, or raises `ModelRejected` with every reason at once; `check` is the same
as a table. Nothing is loaded, imported or executed, and no more memory is taken than a few megabytes beside the names
that a file holds. `Policy` is what the operator allows beyond the safe defaults.
"""

from dataclasses import replace

from matinee.core.bundle import MANIFEST_NAME, Bundle, VerifiedBundle
from matinee.core.errors import InvalidManifest, ModelRejected
from matinee.core.manifest import MAX_MANIFEST_BYTES, Manifest
from matinee.verify.digests import check_digests
from matinee.verify.files import check_file, recognize_all
from matinee.verify.folder import Listing, printable, scan
from matinee.verify.formats import Kind
from matinee.verify.policy import Policy
from matinee.verify.reading import reading_problems
from matinee.verify.report import Check, Findings, Report

# The one way in which a manifest can tell a flavor which names to unpickle: verification writes it, nobody else.
PICKLE_NAMES = "pickle_names"
CUSTOM_CLASS = "class"
STRICT = Policy()
# Flavors whose loaders are matinee's own, and read only what was checked here.
FLAVORS = {"linear", "onnx", "sklearn", "keras", "transformers", "tensorflow", "cascade"}


def inspect(bundle: Bundle, policy: Policy = STRICT) -> VerifiedBundle:
    """Verify `bundle`; raises `ModelRejected` with every reason, and `MissingExtra` where a check needs a library."""
    report = check(bundle, policy)
    if report.manifest is None or report.reasons:
        raise ModelRejected(report.reasons)
    return VerifiedBundle(bundle.folder, bundle.revision, bundle.digest, report.manifest, bundle.stale)


def check(bundle: Bundle, policy: Policy = STRICT) -> Report:
    """Look at every file and at the whole; never raises for what is wrong with the bundle."""
    listing = scan(bundle.folder, policy)
    checks = [Check(name, "folder", "refused", problem) for name, problem in listing.problems]
    checks += [Check(printable(name), "folder", "note", "is hidden and not read") for name in listing.unread]
    if listing.problems:
        return Report(tuple(checks))
    kinds = recognize_all(listing)
    found = {name: check_file(listing, name, kind, policy) for name, kind in kinds.items()}
    manifest, lines = _manifest(bundle, listing, kinds, policy)
    if manifest is not None:
        manifest, more = _completed(manifest, kinds, found, policy)
        lines += more
    trusted = manifest is not None and manifest.flavor not in FLAVORS and manifest.flavor in {policy.flavor, "mlflow"}
    for name, findings in found.items():
        checks += _lines(printable(name), kinds[name], findings, trusted=trusted)
    return Report((*checks, *lines), manifest)


def _lines(subject: str, kind: Kind, findings: Findings, *, trusted: bool) -> list[Check]:
    """The operator's own class (or plugin, or python_function) reads what it likes: then reasons are only notes."""
    lines = [Check(subject, kind, "note" if trusted else "refused", reason) for reason in findings.reasons]
    lines += [Check(subject, kind, "note", note) for note in findings.notes]
    return lines or [Check(subject, kind, "ok")]


def _manifest(
    bundle: Bundle, listing: Listing, kinds: dict[str, Kind], policy: Policy
) -> tuple[Manifest | None, list[Check]]:
    """The manifest in the folder, with its digests compared; or the one that the files amount to."""
    try:
        if MANIFEST_NAME not in listing.files:
            from matinee.verify.infer import infer

            manifest = infer(listing, kinds, bundle.revision.reference, policy)
            return manifest, [Check("files", "manifest", "ok", f"recognized as {manifest.flavor}")]
        with listing.path(MANIFEST_NAME).open("rb") as file:
            manifest = Manifest.from_json(file.read(MAX_MANIFEST_BYTES + 1)[:MAX_MANIFEST_BYTES].decode())
    except ModelRejected as rejected:
        return None, [Check("files", "manifest", "refused", reason) for reason in rejected.reasons]
    except InvalidManifest as invalid:
        return None, [Check(MANIFEST_NAME, "manifest", "refused", problem) for problem in invalid.problems]
    except (UnicodeDecodeError, RecursionError):
        return None, [Check(MANIFEST_NAME, "manifest", "refused", "is not JSON in UTF-8")]
    return manifest, check_digests(listing, manifest)


def _completed(
    manifest: Manifest, kinds: dict[str, Kind], found: dict[str, Findings], policy: Policy
) -> tuple[Manifest, list[Check]]:
    """The manifest with what the operator's settings and the checks add to it."""
    flavor = policy.flavor if policy.custom_class else manifest.flavor
    options = {key: value for key, value in manifest.options.items() if key not in {PICKLE_NAMES, CUSTOM_CLASS}}
    read = replace(manifest, flavor=flavor, options=options)
    lines = [Check(MANIFEST_NAME, "options", "refused", problem) for problem in reading_problems(read, kinds)]
    if flavor == "custom":
        options[CUSTOM_CLASS] = policy.custom_class
        if not policy.custom_class:
            lines.append(Check("flavor", "policy", "refused", "a class of your own is named by MODEL_LOADER only"))
    if flavor == "mlflow" and not policy.allow_python_function:
        detail = "a python_function runs its own code, and ALLOW_PYTHON_FUNCTION is not set"
        lines.append(Check("flavor", "policy", "refused", detail))
    pickled = [name for name, kind in kinds.items() if kind in {"pickle", "skops"}]
    if flavor == "sklearn" and "file" not in options and len(pickled) == 1:
        options["file"] = pickled[0]
    if options.get("file") in pickled:
        options[PICKLE_NAMES] = sorted(found[str(options["file"])].names)
    labels = policy.labels or manifest.labels
    if policy.labels and manifest.labels and len(policy.labels) != len(manifest.labels):
        detail = f"names {len(policy.labels)} labels, and the model has {len(manifest.labels)}"
        lines.append(Check("LABELS", "policy", "refused", detail))
    return replace(manifest, flavor=flavor, options=options, labels=labels), lines


__all__ = ["Check", "Policy", "Report", "check", "inspect"]
