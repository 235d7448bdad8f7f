"""The page of commands, made from the program when the site is built (a MkDocs hook)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

PAGE = "commands.md"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page to the site's files."""
    from mkdocs.structure.files import File

    files.append(File.generated(config, PAGE, content=reference()))
    return files


def reference() -> str:
    """Return the reference of all commands as Markdown."""
    from typer.main import get_command

    from kernprof.cli.app import app

    program: Any = get_command(app)
    context = program.make_context("kernprof", [], resilient_parsing=True)
    parts = ["# Commands", str(program.help)]
    for name in program.list_commands(context):
        parts += _command(name, program.get_command(context, name), context)
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Any, parent: Any) -> list[str]:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True)
    usage = command.get_usage(context).removeprefix("Usage: ")
    parts = [f"## kernprof {name}", _plain(command.help or ""), f"```\n{usage}\n```"]
    rows = [
        f"| {_code(names)} | {_plain(help_text)} |"
        for parameter in command.get_params(context)
        if (record := _record(parameter, context)) is not None
        for names, help_text in [record]
    ]
    if rows:
        parts.append("\n".join(["| option | meaning |", "| --- | --- |", *rows]))
    return parts


def _record(parameter: Any, context: Any) -> tuple[str, str] | None:
    record = parameter.get_help_record(context)
    if record is None and parameter.param_type_name == "argument":
        return parameter.make_metavar(context), parameter.help or ""
    return record


def _code(text: str) -> str:
    # A pipe within backticks ends no cell.
    return f"`{' '.join(text.split())}`"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
