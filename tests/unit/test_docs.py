"""The documentation is true: links lead somewhere, and the commands in it exist, with the options that they show."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from matinee.cli import app

ROOT = Path(__file__).parents[2]
ORIGINAL = ROOT / "docs" / "reference" / "coming-from-the-original.md"  # names the original's targets, too
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)


def name(page: Path) -> str:
    """Of a page, in the repository."""
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def lines_of_code(text: str) -> Iterator[str]:
    """Lines of fenced and indented blocks, and what stands between backticks; continued lines are one."""
    joined = text.replace("\\\n", " ")
    for block in FENCE.findall(joined):
        yield from block.splitlines()[1:-1]
    prose = FENCE.sub("", joined)
    yield from (line for line in prose.splitlines() if line.startswith("    "))
    yield from re.findall(r"`([^`\n]+)`", prose)


def commands(text: str, program: str) -> Iterator[list[str]]:
    """The words behind ``program`` wherever it is what a line runs."""
    for line in lines_of_code(text):
        found = re.match(rf"^\s*(?:\$ )?(?:[A-Z_]+=\S* +)*(?:\S*/bin/)?{program} +(?![=:])(.*)$", line)
        if found:
            yield found[1].partition("  #")[0].split("|")[0].replace("&&", ";").split(";")[0].split()


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the repository and, where it names one, to a heading in it."""
    for link in LINK.findall(FENCE.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", [page for page in PAGES if page != ORIGINAL], ids=name)
def test_every_make_target_exists(page: Path) -> None:
    """Those of the Makefile and of what it includes."""
    files = (ROOT / "Makefile", ROOT / "deploy" / "deploy.mk")
    known = {target for file in files for target in TARGET.findall(file.read_text("utf-8"))}
    for words in commands(page.read_text("utf-8"), "make"):
        targets = [word for word in words if re.fullmatch(r"[a-z][a-z-]*", word)]
        assert set(targets[:1]) <= known, words


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_command_and_option_exists(page: Path) -> None:
    """Subcommands too; a name in capitals or an ellipsis stands for whatever the reader has."""
    for words in commands(page.read_text("utf-8"), "matinee"):
        node: Any = typer.main.get_command(app)
        while hasattr(node, "commands") and words and re.fullmatch(r"[a-z]+", words[0]):
            assert words[0] in node.commands, words
            node = node.commands[words.pop(0)]
        options = {option for parameter in node.params for option in (*parameter.opts, *parameter.secondary_opts)}
        used = {word.partition("=")[0].strip("[]`") for word in words if word.startswith("--")}
        assert used <= options | {"--help"}, words


def test_the_readme_starts_with_the_two_commands() -> None:
    """Whoever copies the first block gets a server and a green test run."""
    text = (ROOT / "README.md").read_text("utf-8")
    first = FENCE.findall(text)[0]
    found = [words[0] for words in commands(first, "make")]
    assert found == ["run", "test"]
    assert shlex.split(first.splitlines()[1])[:2] == ["git", "clone"]
