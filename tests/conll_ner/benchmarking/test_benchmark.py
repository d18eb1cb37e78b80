"""The benchmark: alternating time slices, ratios, tables, and a complete small run."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from conll_ner.benchmarking import benchmark, results, trainer, turns
from conll_ner.benchmarking.systems import SYSTEMS
from conll_ner.common.console import InputError
from tests.conftest import SAMPLE, SPLITS
from tests.project_helpers import cut

# Runs for 1.2 seconds of its own clock, and prints the elapsed time on both clocks.
COUNTER = """
import time
from conll_ner.benchmarking import turns
real, start = time.perf_counter, time.perf_counter()
turns.install_clock()
while time.perf_counter() - start < 1.2:
    time.sleep(0.01)
print(time.perf_counter() - start, real() - start)
"""
SPEEDS = {"words_per_second": {"1": 100, "8": 200}}


def system(**values: Any) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "seconds_per_epoch": 100.0,
        "training_seconds": 300.0,
        "peak_memory_mb": 1000,
        "curve": [[100.0, 0.5], [200.0, 0.8], [300.0, 0.9]],
        "dev_f1": 0.9,
        "test_f1": 0.85,
        "words_per_second": {"1": 100, "8": 200},
    }
    return defaults | values


@pytest.fixture
def systems() -> dict[str, dict[str, Any]]:
    return {
        "trainer-2e-5": system(dev_f1_wordpiece=0.88, test_f1_wordpiece=0.83),
        "trainer-2e-4": system(),
        "transition_ner": system(words_per_second={"16": 300, "128": 150}),
        "token_ner": system(
            seconds_per_epoch=25.0,
            curve=[[10.0, 0.6], [60.0, 0.9], [75.0, 0.92]],
            words_per_second={"32": 800, "128": 700},
            peak_memory_mb=1100,
        ),
    }


@pytest.mark.slow
@pytest.mark.alone
def test_clock_of_alternating_workers_excludes_pauses(tmp_path: Path) -> None:
    command = [sys.executable, "-c", COUNTER]
    names = ("a", "b")
    turns.take_turns(dict.fromkeys(names, command), tmp_path, turn=0.4)
    for name in names:
        own, real = map(float, (tmp_path / f"{name}.log").read_text().split())
        assert 1.2 <= own < 1.5
        assert real > own + 0.4  # it was stopped while the other one ran


@pytest.mark.parametrize("gpu", [-1, 0])
def test_trainer_uses_the_device_of_the_benchmark(gpu: int, tmp_path: Path) -> None:
    """Otherwise it would train on the GPU of a machine on which the others run on the CPU."""
    arguments = trainer.make_arguments(
        tmp_path, learn_rate=2e-5, epochs=1, seed=0, gpu=gpu, bfloat16=False
    )
    assert arguments.use_cpu is (gpu < 0)


def test_commands_without_turns_run_one_after_another(tmp_path: Path) -> None:
    """As on a GPU, where a stopped process leaves its work running."""
    code = "import sys, time; print(time.time()); time.sleep(0.3); print(time.time())"
    commands = {name: [sys.executable, "-c", code] for name in ("a", "b")}
    turns.take_turns(commands, tmp_path, turn=None)
    times = [float(t) for name in commands for t in (tmp_path / f"{name}.log").read_text().split()]
    assert times == sorted(times)


def test_failing_worker_is_named_in_the_error(tmp_path: Path) -> None:
    commands = {
        "good": [sys.executable, "-c", "import time; time.sleep(60)"],
        "bad": [sys.executable, "-c", "raise SystemExit(3)"],
    }
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"bad failed; see .*bad\.log"):
        turns.take_turns(commands, tmp_path, turn=0.5)
    assert time.perf_counter() - start < 30  # it doesn't wait for the other one


@pytest.mark.slow
@pytest.mark.alone
def test_stop_waits_until_the_worker_is_stopped() -> None:
    command = [sys.executable, "-c", COUNTER]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, process_group=0)
    turns.stop(worker)
    assert turns.is_stopped(worker.pid)
    worker.send_signal(signal.SIGCONT)
    worker.communicate()
    assert worker.returncode == 0
    assert turns.is_stopped(worker.pid)


@pytest.mark.parametrize(("f1", "seconds"), [(0.5, 100.0), (0.51, 200.0), (0.95, None)])
def test_seconds_until(f1: float, seconds: float | None) -> None:
    assert results.seconds_until(system()["curve"], f1) == seconds


def test_ratios_equal_a_calculation_by_hand(systems: dict[str, dict[str, Any]]) -> None:
    trainer, transition = "trainer-2e-5", "transition_ner"
    found = results.ratios(systems)
    assert found == pytest.approx(
        {
            f"{name}: {what}": value
            for name in ("trainer-2e-5", "trainer-2e-4", "transition_ner")
            for what, value in {
                "seconds per epoch": 25 / 100,
                "seconds until its dev F1": 60 / 300,
                "peak memory": 1100 / 1000,
                "words/s at its best batch size": 800 / (300 if name == transition else 200),
            }.items()
        }
        | {f"{transition}: words/s in spaCy's batches": 800 / 150}
    )
    for name, row in systems.items():
        row["peak_gpu_memory_mb"] = 500 if name == trainer else 250
    assert results.ratios(systems)[f"{trainer}: peak GPU memory"] == 0.5
    assert "| 1,100 | 250 |" in results.format_results(systems)


def test_ratios_without_reaching_the_f1(systems: dict[str, dict[str, Any]]) -> None:
    systems["token_ner"]["curve"] = [[10.0, 0.6]]
    assert None in results.ratios(systems).values()
    assert "| never |" in results.format_results(systems)


def test_systems_that_are_not_trained_are_compared_in_prediction_only(
    systems: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    before = results.ratios(systems)
    systems["token_ner-slim"] = {"words_per_second": {"16": 1600, "128": 1200}}
    assert results.ratios(systems) == before | {
        "token_ner-slim: words/s at its best batch size": 800 / 1600
    }
    row = "| `token_ner-slim` |  |  |  |  | 1,600 (16), 1,200 (128) |  |"
    assert row in results.format_results(systems)
    results.plot_curves(systems, tmp_path / "curves.png")


def test_systems_that_can_not_run_are_left_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "has_optimum", lambda: False)
    everything = ",".join(system.name for system in SYSTEMS)
    assert "trainer-onnx" not in benchmark.check_names(everything, -1)
    assert "trainer-onnx is left out: pip install optimum optimum-onnx" in capsys.readouterr().out
    assert benchmark.check_names("token_ner-slim,token_ner", -1) == ["token_ner", "token_ner-slim"]
    assert benchmark.check_names("token_ner-slim,token_ner", 0) == ["token_ner"]
    assert "token_ner-slim is left out: it runs on the CPU only" in capsys.readouterr().out


def test_results_are_tables(systems: dict[str, dict[str, Any]]) -> None:
    table = results.format_results(systems)
    assert "| `trainer-2e-5` | 100.0 | 300 | 90.00 (88.00) | 85.00 (83.00) |" in table
    assert "| 800 (32), 700 (128) | 1,100 |" in table
    assert "| trainer-2e-5: seconds per epoch | 0.25 |" in table
    blocks = [block.splitlines() for block in table.split("\n\n")]
    for block in blocks:
        assert len({line.count("|") for line in block}) == 1


def test_plot_is_written(systems: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    results.plot_curves(systems, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def run(*arguments: object) -> Any:
    return CliRunner().invoke(benchmark.app, ["run", *map(str, arguments)])


def test_invalid_input_is_reported_in_one_line(tmp_path: Path, tiny_backbone: Path) -> None:
    (tmp_path / "empty").mkdir()
    no_corpus = run(tmp_path / "empty", tiny_backbone, tmp_path / "out")
    assert no_corpus.exit_code == 1
    assert "train.txt: no such file; run fetch first" in " ".join(no_corpus.output.split())
    no_backbone = run(SAMPLE, tmp_path / "empty", tmp_path / "out")
    assert no_backbone.exit_code == 1
    assert "contains no backbone; run fetch first" in " ".join(no_backbone.output.split())
    for names in ("token_ner,bert", "trainer-2e-5", "token_ner,trainer-onnx"):
        result = run(SAMPLE, tiny_backbone, tmp_path / "out", "--systems", names)
        assert result.exit_code == 1
        assert f"--systems {names.removeprefix('token_ner,')}"[:10] in result.output
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_benchmark_runs_completely(tiny_backbone: Path, tmp_path: Path) -> None:
    for split, documents in zip(SPLITS, (20, 5, 5), strict=True):
        cut(SAMPLE / f"{split}.txt", tmp_path / "corpus" / f"{split}.txt", documents)
    # trainer-2e-4 is trainer-2e-5 with another rate.
    runnable = {s.name for s in SYSTEMS if benchmark.can_run(s, -1)} - {"trainer-2e-4"}
    few = ("--quick", "--epochs", 1, "--passes", 1, "--systems", ",".join(runnable))
    result = run(tmp_path / "corpus", tiny_backbone, tmp_path / "out", *few)
    assert result.exit_code == 0, result.output
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["quick"] is True
    assert results["systems"].keys() == runnable >= {"token_ner", "token_ner-slim"}
    for system in SYSTEMS:
        row = results["systems"].get(system.name)
        if row and system.model_of is None:
            assert row["seconds_per_epoch"] > 0
            assert row["peak_memory_mb"] > 100
    for row in results["systems"].values():
        assert all(speed > 0 for speed in row["words_per_second"].values())
    assert {"dev_f1_bfloat16", "dev_f1_float32"} <= results["systems"]["token_ner"].keys()
    assert (tmp_path / "out" / "results.md").read_text() in result.output
    assert (tmp_path / "out" / "results.png").exists()
