"""The reference page and the example file say what the code says."""

import re
from pathlib import Path

from pydantic_core import PydanticUndefined

from matinee.settings import Settings

ROOT = Path(__file__).parents[2]


def rows() -> dict[str, tuple[str, str, str]]:
    """Field -> the row of the table: name, default and meaning."""
    found = {}
    for name, field in Settings.model_fields.items():
        assert field.default is not PydanticUndefined
        found[name] = (f"`{name.upper()}`", default_of(field.default), field.description or "")
    return found


def default_of(value: object) -> str:
    """A default as the documents write it."""
    if value is None or value in ("", (), {}):
        return "none"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_the_reference_lists_every_setting() -> None:
    """Each with its default and its meaning, and none that does not exist."""
    text = (ROOT / "docs/reference/settings.md").read_text("utf-8")
    table = re.findall(r"^\| (`[A-Z_]+`) \| (.+?) \| (.+) \|$", text, re.MULTILINE)

    assert sorted(table) == sorted(rows().values())


def test_the_example_file_lists_every_setting() -> None:
    """Commented out, so that a copy of it changes nothing."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    names = [line.removeprefix("# ").partition("=") for line in lines if re.match(r"# [A-Z_]+=", line)]

    expected = {row[0].strip("`"): "" if row[1] == "none" else row[1].strip("`") for row in rows().values()}
    assert {name: value for name, _, value in names} == expected
    assert all(line.startswith("#") or not line for line in lines)


def test_every_setting_says_what_it_means() -> None:
    """In one line, without an end mark, as the table wants it."""
    for name, (_, _, meaning) in rows().items():
        assert meaning, name
        assert not meaning.endswith("."), name
