"""What an output may replace: nothing that is read, and nothing that others wrote."""

import json
import os
from pathlib import Path

import pytest

from conll_ner.common.console import InputError
from conll_ner.common.files import atomic_write, fresh_folder
from conll_ner.common.overwriting import (
    MARK,
    add_mark,
    check_list,
    check_outputs,
    check_replaceable,
    foreign_files,
)


def write_folder(target: Path, *names: str) -> None:
    with atomic_write(target) as folder:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text("ours", encoding="utf-8")


@pytest.mark.parametrize("name", ["notes.txt", "deep/notes.txt", "données.txt", "a\nb", "\udcff"])
def test_a_file_that_somebody_put_into_a_marked_folder_is_named_and_kept(
    name: str, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    write_folder(target, "a", "sub/b")
    theirs = target / name
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("years of work")
    for _ in range(2):
        with pytest.raises(InputError, match="contains files that this project didn't write"):
            write_folder(target, "new")
    assert foreign_files(target) == {name}
    assert theirs.read_text() == "years of work"
    theirs.unlink()
    write_folder(target, "new")
    assert not (target / "a").exists()


def test_a_link_that_somebody_put_there_is_a_file_too(tmp_path: Path) -> None:
    write_folder(tmp_path / "target", "a")
    (tmp_path / "target" / "link").symlink_to(tmp_path)
    with pytest.raises(InputError, match=r"\(link\)"):
        check_replaceable(tmp_path / "target")


def test_what_another_run_wrote_into_a_marked_folder_is_ours(tmp_path: Path) -> None:
    """As training/RUN/slim, in the folder of the training."""
    write_folder(tmp_path / "run", "model-best/cfg")
    write_folder(tmp_path / "run" / "slim", "cfg")
    check_replaceable(tmp_path / "run")
    (tmp_path / "run" / "slim" / "mine").touch()
    with pytest.raises(InputError, match=r"\(slim/mine\)"):
        check_replaceable(tmp_path / "run")


def test_folders_of_ours_in_a_folder_of_somebody_are_not_ours_to_delete(tmp_path: Path) -> None:
    write_folder(tmp_path / "packages" / "demo", "a")
    with pytest.raises(InputError, match=r"\(demo\)"):
        check_replaceable(tmp_path / "packages")


def test_a_folder_of_a_killed_run_is_replaced(tmp_path: Path) -> None:
    fresh_folder(tmp_path / "target")
    (tmp_path / "target" / "half").touch()
    check_replaceable(tmp_path / "target")
    add_mark(tmp_path / "target")
    (tmp_path / "target" / "later").touch()
    with pytest.raises(InputError, match=r"\(later\)"):
        check_replaceable(tmp_path / "target")


def test_what_a_desktop_leaves_may_be_replaced(tmp_path: Path) -> None:
    write_folder(tmp_path / "target", "a")
    (tmp_path / "target" / ".DS_Store").touch()
    check_replaceable(tmp_path / "target")


@pytest.mark.parametrize("damage", ["a line\nno json\n", 'a line\n"a"\n{\n'])
def test_a_damaged_mark_lists_nothing(damage: str, tmp_path: Path) -> None:
    write_folder(tmp_path / "target", "a")
    (tmp_path / "target" / MARK).write_text(damage)
    with pytest.raises(InputError, match=r"\(a\)"):
        check_replaceable(tmp_path / "target")


def test_many_files_are_not_all_named(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}").touch()
    with pytest.raises(InputError, match=r"\(0, 1, 2, 3, 4, …\)"):
        check_replaceable(tmp_path)


def test_an_output_that_is_another_name_of_an_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").write_text("text")
    os.link(tmp_path / "in", tmp_path / "hard")
    (tmp_path / "soft").symlink_to("in")
    for output in ("in", "hard", "soft", "x/../in"):
        with pytest.raises(InputError, match="is also an input; choose another output"):
            check_outputs([tmp_path / "in"], [tmp_path / output])
    check_outputs([tmp_path / "in", tmp_path / "missing"], [tmp_path / "missing"])


def test_two_outputs_in_one_place_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the place of two outputs"):
        check_outputs([], [tmp_path / "out", tmp_path / "x" / ".." / "out"])


@pytest.mark.parametrize("text", ["", "[]", "reason", '{"text": "x"}', "\udcff"])
def test_a_file_that_is_no_list_of_rejects_is_kept(text: str, tmp_path: Path) -> None:
    path = tmp_path / "out.rejects.jsonl"
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(InputError, match="is the place of a list"):
        check_list(path)
    path.write_text(json.dumps({"source": "a", "line": 1, "reason": "x"}) + "\n")
    check_list(path)
    check_list(tmp_path / "missing")
    check_list(path / "below")
