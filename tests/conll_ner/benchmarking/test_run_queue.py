"""Queues of runs: order, time limit, and what is done isn't done again."""

import json
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from conll_ner.benchmarking.benchmark import app
from conll_ner.benchmarking.run_queue import NER, Run, read_queue, run_all
from conll_ner.common.console import InputError
from tests.conftest import ROOT

SH = ("sh", "-c")
PIPELINE = ROOT / "tests" / "data" / "pipeline"


def make(name: str, script: str, seconds: float = 0.1, **settings: object) -> Run:
    fields = {"name": name, "commands": [f"'{script}'"], "seconds": seconds}
    return Run.model_validate(fields | settings)


def events(folder: Path) -> list[str]:
    return (folder / "events").read_text().split()


def test_runs_wait_for_what_they_need_and_are_done_once(tmp_path: Path) -> None:
    log = f"{tmp_path}/events"
    runs = [
        make("second", f"echo second >> {log}", needs=["first"]),
        make("first", f"sleep 0.3; echo first >> {log}"),
        make("third", f"echo third >> {log}", needs=["second"]),
    ]
    assert run_all(runs, tmp_path, 30, 2, SH) == []
    assert events(tmp_path) == ["first", "second", "third"]
    assert run_all(runs, tmp_path, 30, 2, SH) == []
    assert len(events(tmp_path)) == 3
    assert json.loads((tmp_path / "first.done.json").read_text())["seconds"] >= 0.3
    changed = [make("first", f"echo again >> {log}")]  # other commands
    assert run_all(changed, tmp_path, 30, 1, SH) == []
    assert events(tmp_path)[-1] == "again"


def test_a_run_that_measures_time_is_alone(tmp_path: Path) -> None:
    log = f"{tmp_path}/events"
    script = "echo {0}+ >> {1}; sleep 0.4; echo {0}- >> {1}"
    runs = [make(name, script.format(name, log), alone=name == "b") for name in "abcd"]
    assert run_all(runs, tmp_path, 30, 3, SH) == []
    found = events(tmp_path)
    assert found[:4] == ["a+", "a-", "b+", "b-"]
    assert set(found[4:6]) == {"c+", "d+"}  # beside each other


def test_a_failed_run_stops_those_that_need_it_only(tmp_path: Path) -> None:
    runs = [make("bad", "exit 3"), make("after", "true", needs=["bad"]), make("other", "true")]
    assert run_all(runs, tmp_path, 30, 1, SH) == ["bad", "after"]


def test_the_time_limit_stops_what_runs_and_starts_nothing_too_long(tmp_path: Path) -> None:
    trap = f'trap "echo kept > {tmp_path}/kept; exit 1" INT; sleep 60 & wait'
    runs = [
        make("too-long", "true", seconds=100),
        make("endless", trap),
        make("short", "true"),
    ]
    start = time.monotonic()
    assert run_all(runs, tmp_path, 1.5, 2, SH) == ["too-long", "endless"]
    assert time.monotonic() - start < 15
    assert (tmp_path / "kept").exists()  # as by Ctrl+C: train keeps its state


def test_a_run_goes_on_with_the_command_that_failed(tmp_path: Path) -> None:
    scripts = ["echo {0}1 >> {0}/events", "echo 2 >> {0}/events; test -e {0}/good", "true"]
    commands = [f"'{script.format(tmp_path)}'" for script in scripts]
    run = Run(name="a", commands=commands, seconds=0.1)
    assert run_all([run], tmp_path, 30, 1, SH) == ["a"]
    (tmp_path / "good").touch()
    assert run_all([run], tmp_path, 30, 1, SH) == []
    assert events(tmp_path) == [f"{tmp_path}1", "2", "2"]
    done = json.loads((tmp_path / "a.done.json").read_text())
    assert done["commands"] == commands


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_ended_queue_leaves_nothing_running(tmp_path: Path, number: int) -> None:
    (tmp_path / "queue.toml").write_text(
        f'[[runs]]\nname = "a"\ncommands = ["serve {PIPELINE} --port 0"]\nseconds = 1\n'
    )
    arguments = ["benchmark", "queue", str(tmp_path / "queue.toml"), str(tmp_path / "out")]
    process = psutil.Popen(
        [*NER, *arguments],
        stdout=subprocess.DEVNULL,
        # As in the background of a shell, which ignores Ctrl+C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    while not (children := process.children()):
        time.sleep(0.05)
        assert process.is_running()
    process.send_signal(number)
    _, alive = psutil.wait_procs([process, *children], timeout=30)
    assert not alive


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("runs = 1", r"runs: Input should be a valid list"),
        ("x =", "not TOML"),
        ('[[runs]]\nname = "a"\ncommands = ["{where}"]\nseconds = 1', "a: no value for 'where'"),
        ('[[runs]]\nname = "a"\ncommands = ["x"]\nseconds = 1\nneeds = ["b"]', "a is there twice"),
        (
            '[vars]\nb = "{b}x"\n[[runs]]\nname = "a"\ncommands = ["{b}"]\nseconds = 1',
            "its own name",
        ),
        ('[[runs]]\nname = "../a"\ncommands = ["x"]\nseconds = 1', "name: String should match"),
    ],
)
def test_bad_queues_are_named(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "queue.toml").write_text(text)
    with pytest.raises(InputError, match=reason):
        read_queue(tmp_path / "queue.toml", {})


def test_values_and_seeds_are_filled_in(tmp_path: Path) -> None:
    text = '[vars]\na = "{b} {name}"\nb = 1\n[[runs]]\nname = "x"\nseeds = [0, 7]\nseconds = 1\n'
    (tmp_path / "queue.toml").write_text(f'{text}commands = ["{{a}} {{seed}}"]')
    runs = read_queue(tmp_path / "queue.toml", {"b": "two"})
    assert [(run.name, run.commands) for run in runs] == [
        ("x-seed0", ["two x-seed0 0"]),
        ("x-seed7", ["two x-seed7 7"]),
    ]


def test_the_gpus_queue_is_complete() -> None:
    """Every name in its commands has a value, and every command is one of ours."""
    from conll_ner.cli import COMMANDS

    runs = read_queue(ROOT / "docs" / "results" / "gpu.toml", {"output": "out", "device": "0"})
    for run in runs:
        assert {line.split()[0] for line in run.commands} <= COMMANDS.keys()


def test_the_command_runs_ours(tmp_path: Path) -> None:
    queue = tmp_path / "queue.toml"
    run = '[[runs]]\nname = "info"\ncommands = ["info --device {on}"]\nseconds = 1\n'
    queue.write_text(f'[vars]\non = "nowhere"\n{run}')
    arguments = ["queue", str(queue), str(tmp_path / "out"), "--device", "cpu"]
    result = CliRunner().invoke(app, [*arguments, "--var", "on=cpu"])
    assert result.exit_code == 0, result.output
    assert "spacy:" in (tmp_path / "out" / "info.log").read_text()
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "not done: info" in result.output
