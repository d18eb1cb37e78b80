"""The script dependencies of project.yml are what the scripts import."""

from pathlib import Path

import deps
from common.imports import import_closure
from tests.conftest import ROOT


def test_deps_in_the_project_are_up_to_date() -> None:
    """Not one too few, not one too many."""
    text = (ROOT / "project.yml").read_text(encoding="utf-8")
    assert deps.rewrite(text) == text


def test_deps_missing_and_extra_ones_are_corrected() -> None:
    text = (ROOT / "project.yml").read_text(encoding="utf-8")
    spoiled = text.replace('      - "scripts/common/console.py"\n', "")
    spoiled = spoiled.replace("    deps:\n", '    deps:\n      - "scripts/other.py"\n')
    assert spoiled != text
    assert deps.rewrite(spoiled) == text


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / f"{name.replace('__', '/', 1)}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_deps_follow_every_kind_of_import(tmp_path: Path) -> None:
    write(
        tmp_path,
        command=(
            "import os\nimport plain\nfrom room import member\nfrom room.named import thing\n"
            "def main():\n    import lazy\n    from lazy_from import thing\n"
        ),
        plain="import importlib\nimportlib.import_module('by_name')\nother = 'template.html'",
        lazy="",
        lazy_from="",
        by_name="",
        room__member="from . import relative",
        room__named="from ..unrelated import x",  # outside the package's own parent
        room__relative="",
        room__unused="",
        unused="",
    )
    (tmp_path / "room" / "__init__.py").touch()
    (tmp_path / "template.html").touch()
    (tmp_path / "other.html").touch()
    found = import_closure(tmp_path / "command.py", tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in found) == [
        "by_name.py",
        "command.py",
        "lazy.py",
        "lazy_from.py",
        "plain.py",
        "room/__init__.py",
        "room/member.py",
        "room/named.py",
        "room/relative.py",
        "template.html",
    ]


def test_deps_end_where_imports_are_mutual(tmp_path: Path) -> None:
    write(tmp_path, a="import b", b="import a")
    assert len(import_closure(tmp_path / "a.py", tmp_path)) == 2
