"""What the operator allows, beyond what is safe by itself."""

from dataclasses import dataclass

GIB = 1024**3

# MODEL_LOADER also takes the words that the original endpoint used.
_LOADER_FLAVORS = {"joblib": "sklearn", "pickle": "sklearn", "skops": "sklearn"}


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that verification looks at; every default is the strict one.

    `loader` is the setting MODEL_LOADER: empty (recognize the files), a flavor's name, `joblib`, or
    `package.module:Class` for a class of the operator's own. `labels` is LABELS, in the order of the model's
    outputs. `pickle_names` are further `module.name` pairs that a pickle may refer to, `keras_names` further
    Keras classes (`package>Name` or `module.Name`). Sizes are in bytes; `max_unpacked_bytes` bounds what one
    compressed file may grow to.
    """

    loader: str = ""
    labels: tuple[str, ...] = ()
    pickle_names: frozenset[str] = frozenset()
    keras_names: frozenset[str] = frozenset()
    allow_python_function: bool = False
    max_files: int = 2_000
    max_bundle_bytes: int = 16 * GIB
    max_unpacked_bytes: int = 2 * GIB

    @property
    def flavor(self) -> str:
        """The flavor that `loader` asks for, or an empty string."""
        if self.custom_class:
            return "custom"
        return _LOADER_FLAVORS.get(self.loader, self.loader)

    @property
    def custom_class(self) -> str:
        """`package.module:Class` when the operator named a class, or an empty string."""
        return self.loader if ":" in self.loader else ""
