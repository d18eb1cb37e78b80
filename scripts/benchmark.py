"""Three recognisers side by side: speed, F1 and memory, in one run on one machine.

The systems take turns of some seconds, stopped and continued by signals, so that whatever else
slows the machine slows them alike: compare their seconds as ratios.
"""

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
import typer

from conll import format_corpus, read_corpus
from console import InputError, clear_errors, msg
from convert import convert_to_docs
from device import describe_hardware, package_versions, peak_memory_mb
from files import written_aside

app = typer.Typer(add_completion=False)
CONFIGS = Path(__file__).parent.parent / "configs"
SPLITS = {"train": "train", "valid": "dev", "test": "test"}  # column file: DocBin
BATCH_SIZES = (1, 8, 32)  # sentences, for the transformers pipeline
SPACY_BATCH_SIZE = 128  # documents: nlp.batch_size of spaCy's quickstart for transformers
TURN = 15.0  # seconds


class System(NamedTuple):
    """What is compared. `recipe` is "trainer" or the name of a config."""

    name: str
    recipe: str
    learn_rate: float


# 2e-5 is the recipe's own rate; 2e-4 is tuned for the small backbone.
SYSTEMS = (
    System("trainer-2e-5", "trainer", 2e-5),
    System("trainer-2e-4", "trainer", 2e-4),
    System("transition_ner", "transition_ner", 2e-4),
    System("token_ner", "token_ner", 2e-4),
)
REFERENCE = SYSTEMS[0].name


# --- Turns ---


class PausableClock:
    """A clock of a worker that stands still while the worker is stopped."""

    def __init__(self) -> None:
        self.now = time.perf_counter  # the real one: `time` gets this clock instead
        self.paused = 0.0

    def __call__(self) -> float:
        return self.now() - self.paused

    def pause(self, *_: object) -> None:
        start = self.now()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.paused += self.now() - start


def install_clock() -> None:
    """Make `time.perf_counter` leave out the pauses, for all that this process times."""
    clock = PausableClock()
    signal.signal(signal.SIGTSTP, clock.pause)
    time.perf_counter = clock


def take_turns(commands: dict[str, list[str]], logs: Path, turn: float) -> None:
    """Run commands by turns until all have ended.

    commands (dict[str, list[str]]): By name; each writes logs/NAME.log.
    turn (float): Seconds.
    RAISES (InputError): If one fails.
    """
    workers: dict[str, subprocess.Popen[bytes]] = {}
    waiting = list(commands)
    try:
        while waiting:
            name = waiting.pop(0)
            if name in workers:
                workers[name].send_signal(signal.SIGCONT)
            else:
                with (logs / f"{name}.log").open("wb") as log:
                    # A process group of its own: SIGTSTP stops none that is orphaned, as all are
                    # under nohup, before the worker has its handler.
                    workers[name] = subprocess.Popen(
                        commands[name], stdout=log, stderr=log, process_group=0
                    )
            if not ended(workers[name], turn):
                stop(workers[name])
                waiting.append(name)
            elif workers[name].returncode != 0:
                raise InputError(f"{name} failed; see {logs / name}.log")
            else:
                msg.text(f"{name}: done")
    finally:
        for worker in workers.values():
            worker.kill()
            worker.wait()


def ended(worker: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        worker.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def stop(worker: subprocess.Popen[bytes]) -> None:
    """Ask a worker to stop, and wait until it has: its handler runs between two steps of
    Python, after the current call into torch."""
    while worker.poll() is None:
        worker.send_signal(signal.SIGTSTP)
        for _ in range(20):
            if is_stopped(worker.pid):
                return
            time.sleep(0.05)


def is_stopped(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return True  # it has ended
    return status.rpartition(")")[2].split()[0] in "TZ"


# --- Work: what a worker does ---


def train_spacy(system: System, corpus: Path, backbone: Path, epochs: int) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): Seconds, memory, F1, and the curve of dev F1."""
    from train import load_checked_config, run_training

    output = corpus.parent / system.name
    output.mkdir()
    overrides = {
        "paths.train": str(corpus / "train.spacy"),
        "paths.dev": str(corpus / "dev.spacy"),
        "paths.backbone": str(backbone),
        "training.max_epochs": epochs,
        "training.optimizer.learn_rate.initial_rate": system.learn_rate,
    }
    config = load_checked_config(CONFIGS / f"{system.recipe}.cfg", overrides)
    run = run_training(config, output, -1)
    rows = read_log(output / "log.jsonl")
    curve = [
        [round(row["seconds_per_update"] * (row["step"] + 1), 1), row["scores"]["ents_f"]]
        for row in rows
    ]
    (output / "model-best").rename(output / "model")
    return {
        "seconds_per_epoch": run["seconds_per_epoch"],
        "training_seconds": curve[-1][0],
        "peak_memory_mb": run["peak_memory_mb"],
        "curve": curve,
        **score_spacy(output / "model", corpus),
    }


def score_spacy(model: Path, corpus: Path) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): F1 on dev and test; for `token_ner` in either precision."""
    from convert import read_gold
    from evaluate import load_pipeline, predict, score
    from token_ner import has_bfloat16

    nlp = load_pipeline(str(model))
    transformer: Any = nlp.get_pipe("transformer")
    windowing = transformer.model.attrs.get("windowing")
    result = {}
    for split in ("dev", "test"):
        gold = read_gold(corpus / f"{split}.spacy", nlp.vocab)
        if windowing is None:
            result[f"{split}_f1"] = score(gold, predict(nlp, gold))["conlleval"]["overall"]["f1"]
            continue
        for precision in ("float32", "bfloat16"):
            transformer.model.attrs["windowing"] = replace(windowing, precision=precision)
            f1 = score(gold, predict(nlp, gold))["conlleval"]["overall"]["f1"]
            result[f"{split}_f1_{precision}"] = f1
        native = "bfloat16" if has_bfloat16(torch.device("cpu")) else "float32"
        result[f"{split}_f1"] = result[f"{split}_f1_{native}"]  # what "auto" is
    return result


def train_trainer(system: System, corpus: Path, backbone: Path, epochs: int) -> dict[str, Any]:
    """RETURNS (dict[str, Any]): As `train_spacy`, and F1 by wordpiece too."""
    import hf_baseline

    output = corpus.parent / system.name
    output.mkdir()
    test = hf_baseline.train(
        corpus, backbone, output, learn_rate=system.learn_rate, epochs=epochs, seed=0
    )
    rows = read_log(output / "log.jsonl")
    return {
        "seconds_per_epoch": round(rows[-1]["training_seconds"] / epochs, 1),
        "training_seconds": rows[-1]["training_seconds"],
        "peak_memory_mb": round(peak_memory_mb()),
        "curve": [[row["training_seconds"], row["word_f1"]] for row in rows],
        "dev_f1": rows[-1]["word_f1"],
        "test_f1": test["word_f1"],
        "dev_f1_wordpiece": rows[-1]["wordpiece_f1"],
        "test_f1_wordpiece": test["wordpiece_f1"],
    }


def predict_spacy(system: System, corpus: Path, passes: int) -> dict[str, float]:
    """RETURNS (dict[str, float]): Words per second by batch size, in documents."""
    from convert import read_gold
    from evaluate import bare_copy, load_pipeline

    nlp = load_pipeline(str(corpus.parent / system.name / "model"))
    gold = read_gold(corpus / "dev.spacy", nlp.vocab)
    words = sum(map(len, gold))

    def run(batch_size: int) -> Callable[[], object]:
        return lambda: sum(
            len(doc.ents)
            for doc in nlp.pipe((bare_copy(doc, nlp) for doc in gold), batch_size=batch_size)
        )

    sizes = sorted({nlp.batch_size, SPACY_BATCH_SIZE})
    return time_passes({str(size): run(size) for size in sizes}, words, passes)


def predict_trainer(system: System, corpus: Path, passes: int) -> dict[str, float]:
    """RETURNS (dict[str, float]): Words per second by batch size, in sentences."""
    import transformers

    from hf_data import read_sentences

    folder = corpus.parent / system.name / "model"
    recognise = transformers.pipeline(
        "token-classification",
        model=str(folder),
        tokenizer=str(folder),
        aggregation_strategy="simple",
        device="cpu",
    )
    sentences = read_sentences(corpus / "valid.txt")
    texts = [" ".join(sentence.words) for sentence in sentences]
    words = sum(len(sentence.words) for sentence in sentences)

    def run(batch_size: int) -> Callable[[], object]:
        return lambda: recognise(texts, batch_size=batch_size)

    return time_passes({str(size): run(size) for size in BATCH_SIZES}, words, passes)


def time_passes(runs: dict[str, Callable[[], object]], words: int, passes: int) -> dict[str, float]:
    """RETURNS (dict[str, float]): Words per second, the median of some passes; the first pass
    of all warms up."""
    next(iter(runs.values()))()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(passes):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: round(words / statistics.median(times)) for name, times in seconds.items()}


def read_log(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# --- Results ---


def prepare(corpus: Path, folder: Path, documents: dict[str, int | None]) -> None:
    """Write the first documents of each split as columns and DocBin.

    documents (dict[str, int | None]): How many of each split; None for all.
    """
    folder.mkdir(parents=True)
    for name, docbin in SPLITS.items():
        chosen = read_corpus(corpus / f"{name}.txt").documents[: documents[name]]
        (folder / f"{name}.txt").write_text(format_corpus(chosen), encoding="utf-8")
        convert_to_docs(folder / f"{name}.txt", folder / f"{docbin}.spacy", "auto", "en")


def seconds_until(curve: Iterable[Sequence[float]], f1: float) -> float | None:
    """RETURNS (float | None): Training seconds until dev F1 is `f1`; None if it never is."""
    return next((seconds for seconds, value in curve if value >= f1), None)


def ratios(systems: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """RETURNS (dict[str, float | None]): What `token_ner` needs or gives, against the others."""
    ours, theirs = systems["token_ner"], systems[REFERENCE]
    pipeline = max(theirs["words_per_second"].values())
    transition = systems["transition_ner"]["words_per_second"]
    until = seconds_until(ours["curve"], theirs["dev_f1"])
    best = max(ours["words_per_second"].values())
    return {
        "seconds per epoch": ours["seconds_per_epoch"] / theirs["seconds_per_epoch"],
        f"seconds until the dev F1 of {REFERENCE}": until and until / theirs["training_seconds"],
        "words/s, against the transformers pipeline": best / pipeline,
        "words/s, against transition_ner in spaCy's batches": best
        / transition[str(SPACY_BATCH_SIZE)],
        "words/s, against transition_ner at its best": best / max(transition.values()),
        "peak memory": ours["peak_memory_mb"] / theirs["peak_memory_mb"],
    }


def format_results(systems: dict[str, dict[str, Any]]) -> str:
    """RETURNS (str): Two Markdown tables, of the systems and of the ratios."""
    header = ["", "s/epoch", "training s", "dev F1", "test F1", "words/s", "MiB in training"]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for name, row in systems.items():
        wordpiece = {
            split: f" ({100 * row[key]:.2f})" if (key := f"{split}_f1_wordpiece") in row else ""
            for split in ("dev", "test")
        }
        lines.append(
            [
                f"`{name}`",
                f"{row['seconds_per_epoch']:,.1f}",
                f"{row['training_seconds']:,.0f}",
                *(f"{100 * row[f'{s}_f1']:.2f}{wordpiece[s]}" for s in ("dev", "test")),
                ", ".join(f"{speed:,} ({n})" for n, speed in row["words_per_second"].items()),
                f"{row['peak_memory_mb']:,}",
            ]
        )
    lines += [[], [f"`token_ner` against `{REFERENCE}`", "ratio"], ["---", "---:"]]
    for name, ratio in ratios(systems).items():
        lines.append([name, "never" if ratio is None else f"{ratio:.2f}"])
    return "\n".join(f"| {' | '.join(line)} |" if line else "" for line in lines)


def plot_curves(systems: dict[str, dict[str, Any]], path: Path) -> None:
    """Draw dev F1 against training seconds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for name, row in systems.items():
        seconds, f1 = zip(*row["curve"], strict=True)
        axes.plot(seconds, [100 * value for value in f1], marker="o", markersize=3, label=name)
    best = max(value for row in systems.values() for _, value in row["curve"])
    axes.set_ylim(100 * best - 15, 100 * best + 1)
    axes.set_xlabel("training seconds (evaluation left out)")
    axes.set_ylabel("dev F1 by word, %")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


# --- Commands ---


@app.command()
def work(
    phase: Annotated[str, typer.Argument(help="train or predict")],
    name: str,
    corpus: Path,
    backbone: Path,
    number: Annotated[int, typer.Argument(help="Epochs, or passes")],
) -> None:
    """One system's part; `run` calls it."""
    install_clock()
    (system,) = [system for system in SYSTEMS if system.name == name]
    trainer = system.recipe == "trainer"
    result: dict[str, Any]
    if phase == "train":
        result = (train_trainer if trainer else train_spacy)(system, corpus, backbone, number)
    else:
        result = (predict_trainer if trainer else predict_spacy)(system, corpus, number)
    (corpus.parent / f"{name}.{phase}.json").write_text(json.dumps(result), encoding="utf-8")


@app.command()
def run(
    corpus: Annotated[Path, typer.Argument(help="Folder of the column files")],
    backbone: Annotated[Path, typer.Argument(help="Folder of the backbone")],
    output: Annotated[Path, typer.Argument(help="Folder for results and models, made anew")],
    quick: Annotated[bool, typer.Option(help="A cut of the corpus: minutes, F1 of no use")] = False,
    epochs: Annotated[int, typer.Option()] = 3,
    passes: Annotated[int, typer.Option(help="Over dev, to time prediction")] = 3,
) -> None:
    """Train and time all systems: OUTPUT/results.json, results.md, results.png."""
    with clear_errors():
        for name in SPLITS:
            if not (corpus / f"{name}.txt").is_file():
                raise InputError(f"{corpus / name}.txt: no such file; run fetch first")
        if not (backbone / "config.json").is_file():
            raise InputError(f"{backbone}: no backbone in it; run fetch first")
        shutil.rmtree(output, ignore_errors=True)
        cut: dict[str, int | None] = {"train": 100, "valid": 40, "test": 40}
        prepare(corpus, output / "corpus", cut if quick else dict.fromkeys(SPLITS))
        systems: dict[str, dict[str, Any]] = {system.name: {} for system in SYSTEMS}
        for phase, number in (("train", epochs), ("predict", passes)):
            paths = [str(output / "corpus"), str(backbone), str(number)]
            commands = {
                name: [sys.executable, __file__, "work", phase, name, *paths] for name in systems
            }
            take_turns(commands, output, TURN)
            for name in systems:
                found = json.loads((output / f"{name}.{phase}.json").read_text(encoding="utf-8"))
                systems[name] |= found if phase == "train" else {"words_per_second": found}
        results = {
            "quick": quick,
            "epochs": epochs,
            "hardware": describe_hardware(-1),
            "versions": package_versions(),
            "systems": systems,
            "ratios": ratios(systems),
        }
        with written_aside(output / "results.json") as aside:
            aside.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        table = format_results(systems)
        with written_aside(output / "results.md") as aside:
            aside.write_text(table + "\n", encoding="utf-8")
        plot_curves(systems, output / "results.png")
        print(table)
        msg.good(f"{output / 'results.json'}, results.md, results.png")


if __name__ == "__main__":
    app()
