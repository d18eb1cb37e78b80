"""The benchmark's corpus, tables and chart."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from spacy.vocab import Vocab

from conll_ner.benchmarking.systems import OURS, SPACY_BATCH_SIZE
from conll_ner.common.markdown import join_rows
from conll_ner.data.columns.conll import format_corpus, read_corpus
from conll_ner.data.docs import make_doc, write_docs

SPLITS = {"train": "train", "valid": "dev", "test": "test"}  # column file: DocBin


def prepare_corpus(corpus: Path, folder: Path, documents: dict[str, int | None]) -> None:
    """Write the first documents of each split as column file and DocBin.

    documents (dict[str, int | None]): The number of documents per split; None for all.
    """
    folder.mkdir(parents=True)
    for name, docbin in SPLITS.items():
        chosen = read_corpus(corpus / f"{name}.txt").documents[: documents[name]]
        (folder / f"{name}.txt").write_text(format_corpus(chosen), encoding="utf-8")
        vocab = Vocab()
        write_docs([make_doc(document, vocab) for document in chosen], folder / f"{docbin}.spacy")


def seconds_until(curve: Iterable[Sequence[float]], f1: float) -> float | None:
    """Find the training time to an F1.

    curve (Iterable[Sequence[float]]): Pairs of training seconds and dev F1.
    RETURNS (float | None): Seconds until dev F1 reaches `f1`; None if it never does.
    """
    return next((seconds for seconds, value in curve if value >= f1), None)


def ratios(systems: dict[str, dict[str, Any]]) -> dict[str, float | None]:
    """RETURNS (dict[str, float | None]): The measurements of `token_ner` divided by those of the
    other systems; None if `token_ner` never reaches the F1."""
    ours = systems[OURS]
    best = max(ours["words_per_second"].values())
    found: dict[str, float | None] = {}
    for name, theirs in systems.items():
        if name == OURS:
            continue
        speeds = theirs["words_per_second"]
        if "curve" in theirs:
            found |= {f"{name}: {key}": ratio for key, ratio in training_ratios(ours, theirs)}
        found[f"{name}: words/s at its best batch size"] = best / max(speeds.values())
        if str(SPACY_BATCH_SIZE) in speeds and name == "transition_ner":
            found[f"{name}: words/s in spaCy's batches"] = best / speeds[str(SPACY_BATCH_SIZE)]
    return found


def training_ratios(
    ours: dict[str, Any], theirs: dict[str, Any]
) -> Iterator[tuple[str, float | None]]:
    """YIELDS (tuple[str, float | None]): What is compared of the training, and the ratio."""
    until = seconds_until(ours["curve"], theirs["dev_f1"])
    yield "seconds per epoch", ours["seconds_per_epoch"] / theirs["seconds_per_epoch"]
    yield "seconds until its dev F1", until and until / theirs["training_seconds"]
    yield "peak memory", ours["peak_memory_mb"] / theirs["peak_memory_mb"]
    if "peak_gpu_memory_mb" in ours:
        yield "peak GPU memory", ours["peak_gpu_memory_mb"] / theirs["peak_gpu_memory_mb"]


def format_results(systems: dict[str, dict[str, Any]]) -> str:
    """RETURNS (str): Two Markdown tables: the systems, and the ratios."""
    header = ["", "s/epoch", "training s", "dev F1", "test F1", "words/s", "MiB in training"]
    has_gpu = any("peak_gpu_memory_mb" in row for row in systems.values())
    header += ["GPU MiB in training"] if has_gpu else []
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for name, row in systems.items():
        speeds = ", ".join(f"{speed:,} ({n})" for n, speed in row["words_per_second"].items())
        if "curve" not in row:  # it isn't trained
            empty = [""] * (len(header) - 2)
            lines.append([f"`{name}`", *empty[:4], speeds, *empty[4:]])
            continue
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
                speeds,
                f"{row['peak_memory_mb']:,}",
                *([f"{row['peak_gpu_memory_mb']:,}"] if has_gpu else []),
            ]
        )
    lines += [[], [f"`{OURS}` divided by", "ratio"], ["---", "---:"]]
    for name, ratio in ratios(systems).items():
        lines.append([name, "never" if ratio is None else f"{ratio:.2f}"])
    return join_rows(lines)


def plot_curves(systems: dict[str, dict[str, Any]], path: Path) -> None:
    """Plot dev F1 against training seconds."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    trained = {name: row for name, row in systems.items() if "curve" in row}
    for name, row in trained.items():
        seconds, f1 = zip(*row["curve"], strict=True)
        axes.plot(seconds, [100 * value for value in f1], marker="o", markersize=3, label=name)
    best = max(value for row in trained.values() for _, value in row["curve"])
    axes.set_ylim(100 * best - 15, 100 * best + 1)
    axes.set_xlabel("training seconds (without evaluation)")
    axes.set_ylabel("dev F1 by word, %")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
