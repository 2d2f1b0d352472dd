"""The reference of commands lists every command and option."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from matinee.cli import app

PAGE = Path(__file__).parents[3] / "docs/reference/cli.md"


def commands(group: Any, prefix: str = "matinee") -> Iterator[tuple[str, Any]]:
    """Every command by its whole name; groups give their members."""
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def rows(command: Any) -> list[str]:
    """A table row for each parameter: its name or names, and what it means."""
    found = []
    for parameter in command.params:
        is_option = parameter.param_type_name == "option"
        names = parameter.opts if is_option else [(parameter.metavar or parameter.name).upper()]
        found.append(f"| {', '.join(f'`{name}`' for name in names)} | {parameter.help or ''} |")
    return found


def test_the_reference_lists_every_command_with_its_options() -> None:
    """And none that does not exist."""
    sections = PAGE.read_text("utf-8").split("\n## ")[1:]
    documented = {section.splitlines()[0]: section for section in sections if section.startswith("`matinee")}
    existing = {f"`{name}`": command for name, command in commands(typer.main.get_command(app))}

    assert sorted(documented) == sorted(existing)
    for name, command in existing.items():
        described = [line for line in documented[name].splitlines() if line.startswith("| `")]
        assert described == rows(command), name
