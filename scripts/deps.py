"""Update the script dependencies in project.yml from the imports of the scripts."""

import re
import shlex
from pathlib import Path
from typing import Annotated, Any

import srsly
import typer

from common.console import exit_on_input_error, msg
from common.files import atomic_write
from common.imports import import_closure
from common.paths import ROOT

LINE = '      - "{}"\n'


def script_deps(command: dict[str, Any]) -> list[str]:
    """RETURNS (list[str]): The files in scripts/ that a command of project.yml runs, sorted."""
    scripts = {
        ROOT / argument
        for line in command["script"]
        for argument in shlex.split(line)
        if re.fullmatch(r"scripts/\w+\.py", argument)
    }
    files = {path for script in scripts for path in import_closure(script)}
    return sorted(str(path.relative_to(ROOT)) for path in files)


def rewrite(text: str) -> str:
    """RETURNS (str): project.yml with the `scripts/` entries of all `deps` replaced. Comments and
    other entries are kept."""
    commands = {c["name"]: c for c in srsly.yaml_loads(text)["commands"]}
    lines: list[str] = []
    name, in_deps = "", False
    for line in text.splitlines(keepends=True):
        if match := re.match(r'  - name: "(.+)"', line):
            name = match[1]
        if line.startswith("    ") and not line.startswith("      "):
            in_deps = line == "    deps:\n"
        if not (in_deps and line.startswith('      - "scripts/')):
            lines.append(line)
        if line == "    deps:\n":
            lines += [LINE.format(path) for path in script_deps(commands[name])]
    return "".join(lines)


def main(
    check: Annotated[
        bool, typer.Option(help="Only check; exit with code 1 if out of date")
    ] = False,
) -> None:
    """Update the script dependencies in project.yml."""
    with exit_on_input_error():
        path = Path(ROOT / "project.yml")
        old = path.read_text(encoding="utf-8")
        new = rewrite(old)
        if new == old:
            msg.good("project.yml is up to date")
            return
        if check:
            msg.fail("project.yml is out of date: run python scripts/deps.py", exits=1)
        with atomic_write(path) as temporary:
            temporary.write_text(new, encoding="utf-8")
        msg.good("project.yml updated")


if __name__ == "__main__":
    typer.run(main)
