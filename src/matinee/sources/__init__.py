"""Where does a model come from?

`Sources` turns a reference into a revision (`resolve`, cheap enough for polling) and a revision into a bundle on
disk (`pull`, through a content-addressed cache). A registry's own client library does the talking, in a process of
its own that is ended when it takes too long; models of this machine are read directly.
"""

import errno
import logging
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import uniform

from matinee.core.bundle import Bundle, Revision
from matinee.core.errors import CorruptBundle, InvalidManifest, InvalidReference, SourceDenied, SourceUnavailable
from matinee.core.plugins import Builtin, Table
from matinee.core.reference import ModelRef
from matinee.sources.bundled import BundledSource
from matinee.sources.cache import Cache, CacheEntry, cache_folder
from matinee.sources.isolated import Isolated
from matinee.sources.placing import place
from matinee.sources.records import Record
from matinee.sources.source import InPlace, Progress, Publisher, Remote, Source, SourceFactory, SourceOptions
from matinee.sources.tree import read_manifest, wipe

__all__ = [
    "SOURCES",
    "CacheEntry",
    "InPlace",
    "Progress",
    "Publisher",
    "Remote",
    "Source",
    "SourceFactory",
    "SourceOptions",
    "Sources",
    "cache_folder",
]

SOURCES: Table[SourceFactory] = Table(
    "matinee.sources",
    {
        "bundled": Builtin("matinee.sources.bundled:BundledSource"),
        "folder": Builtin("matinee.sources.folder:FolderSource"),
        "wandb": Builtin("matinee.sources.wandb:WandbSource", extra="wandb"),
        "mlflow": Builtin("matinee.sources.mlflow:MlflowSource", extra="mlflow"),
        "huggingface": Builtin("matinee.sources.huggingface:HuggingFaceSource", extra="hf"),
        "objectstore": Builtin("matinee.sources.objectstore:ObjectStoreSource", extra="s3"),
        "web": Builtin("matinee.sources.web:WebSource"),
    },
)
_log = logging.getLogger("matinee.sources")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_ON_THIS_MACHINE = ("bundled", "folder")


class Sources:
    """Every source behind one cache; safe to use from several threads.

    A pulled bundle is kept in the cache until `release`; only then may newer ones push it out.
    """

    def __init__(self, options: SourceOptions | None = None) -> None:
        self._options = options or SourceOptions()
        self._making = threading.Lock()  # several deployments begin at the same time
        self._made: dict[str, Source] = {}
        self._opened: Cache | None = None

    def resolve(self, ref: ModelRef) -> Revision:
        """What the reference means right now.

        Raises `InvalidReference`, `UnknownPlugin`, `MissingExtra`, `RevisionNotFound`, `SourceUnavailable` (the
        registry does not answer) or `SourceDenied` (it does not accept our credentials).
        """
        return self._source(ref).resolve(ref)

    def pull(self, revision: Revision) -> Bundle:
        """The revision's files, from the cache or through one transfer however many processes ask.

        Transfers that fail are wiped and tried again with growing pauses. Raises `CorruptBundle` when the bytes
        are wrong every time, and what `resolve` raises.
        """
        source = self._source(revision.reference)
        if isinstance(source, InPlace):
            return Bundle(source.locate(revision), revision, revision.digest)
        with self._writing():
            folder, digest = self._cache.transferred(
                Record.of(revision), lambda into: self._fill(source, revision, into), self._options.pull_seconds
            )
        return Bundle(folder, revision, digest)

    def confirm(self, bundle: Bundle) -> None:
        """Say that the bundle was loaded and answers, so that `last_good` prefers it to what was only pulled.

        Now it is also copied where `SourceOptions.copies` wants it; when that fails, the log says so. And the next look
        at the registry is prepared, since an alias will be followed.
        Raises `SourceUnavailable` when the cache cannot be written to.
        """
        if (target := self._options.copies.get(bundle.revision.reference.text)) is not None:
            _copy_to(target, bundle)
        source = self._source(bundle.revision.reference)
        if isinstance(source, InPlace):
            return
        with self._writing():
            self._cache.records.confirm(bundle.revision.reference.text, bundle.digest)
        if isinstance(source, Isolated) and not bundle.revision.pinned:
            source.prepare()

    def last_good(self, ref: ModelRef, passing_over: Collection[tuple[str, str]] = ()) -> Bundle | None:
        """The newest confirmed revision of the reference that is still cached, else the newest pulled; marked stale.

        Asks nobody. A pinned revision cannot have changed and is not stale. Those whose keys are in `passing_over`
        are not wanted. Raises `SourceUnavailable` when the cache cannot be used.
        """
        with self._writing():
            history = self._cache.records.of_reference(ref.text)
            wanted = [record for record in history if record.revision().key not in passing_over]
            for record in sorted(wanted, key=lambda record: not record.confirmed):
                if (folder := self._cache.open(record.bundle)) is not None:
                    return Bundle(folder, record.revision(), record.bundle, stale=not record.pinned)
        return None

    def release(self, bundle: Bundle) -> None:
        """The bundle is not used any more; call it once for each `pull` or `last_good`."""
        if self._opened is not None:
            self._opened.release(bundle.digest)

    def push(self, folder: Path, ref: ModelRef) -> Revision:
        """Publish a folder; raises `InvalidManifest` without a manifest, `InvalidReference` where nothing is taken."""
        if read_manifest(folder) is None:
            raise InvalidManifest([f"{folder} has none that can be read; `matinee verify` says what is wrong"])
        source = self._source(ref)
        if not isinstance(source, Publisher):
            raise InvalidReference(f"{ref}: this source takes no models; push to wandb:, models:, a bucket or a folder")
        return source.push(folder, ref)

    def bundled(self) -> list[str]:
        """Names of the models that ship with the package."""
        return BundledSource(self._options).names()

    def cached(self) -> list[CacheEntry]:
        """What the cache holds, used last first."""
        return self._cache.entries()

    def close(self) -> None:
        """End client processes; locks are given back when this process ends."""
        for source in self._made.values():
            if isinstance(source, Isolated):
                source.close()

    @property
    def _cache(self) -> Cache:
        """Opened when first needed: the bundled models need no cache at all."""
        with self._making:
            if self._opened is None:
                options = self._options
                folder = cache_folder(options.cache_dir)
                self._opened = Cache(folder, options.cache_bytes, options.max_files, options.max_bytes)
            return self._opened

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """What may go wrong with the cache folder, said with the setting that names it."""
        try:
            yield
        except TimeoutError as error:
            raise SourceUnavailable(f"another process is slow to transfer the model: {error}") from None
        except OSError as error:
            folder = cache_folder(self._options.cache_dir)
            raise SourceUnavailable(
                f"cannot write to the cache folder {folder}: {error.strerror}; CACHE_DIR names another"
            ) from error

    @contextmanager
    def _workspace(self) -> Iterator[Path]:
        """A private folder for a client, on the disk that models go to."""
        with self._writing(), self._cache.private_folder() as folder:
            yield folder

    def _source(self, ref: ModelRef) -> Source:
        with self._making:
            if ref.source not in self._made:
                if ref.source in _ON_THIS_MACHINE:
                    self._made[ref.source] = SOURCES.get(ref.source)(self._options)
                elif ref.source in SOURCES.names():
                    self._made[ref.source] = Isolated(ref.source, self._options, self._workspace)
                else:
                    SOURCES.get(ref.source)  # raises, with the names that are known
            return self._made[ref.source]

    def _fill(self, source: Source, revision: Revision, into: Path) -> None:
        """Pull; after a failure that may pass, wipe and pull again."""
        for attempt in range(1, self._options.attempts + 1):
            try:
                source.pull(revision, into)
            except SourceDenied:
                raise
            except OSError as error:
                if error.errno in _DISK_FULL:
                    raise
                raise SourceUnavailable(f"{revision.reference}: cannot be read: {error.strerror}") from error
            except (CorruptBundle, SourceUnavailable):
                if attempt == self._options.attempts:
                    raise
            else:
                return
            wipe(into)
            time.sleep(self._options.backoff_seconds * 2 ** (attempt - 1) * uniform(0.75, 1.25))  # noqa: S311 - jitter


def _copy_to(target: Path, bundle: Bundle) -> None:
    """The bundle answers already, from the cache: a place that cannot be had is a warning."""
    reference = bundle.revision.reference
    try:
        if not place(bundle.folder, target):
            _log.warning("%s holds something else, and is left alone; %s is served", target, reference)
    except OSError as error:
        _log.warning("%s cannot be written: %s; %s is served", target, error.strerror or error, reference)
