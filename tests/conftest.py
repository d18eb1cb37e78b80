"""Shared fixtures: tiny backbones, a tiny corpus and pipelines. Skips slow tests by default."""

import gc
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"  # the suite runs offline; tests of the hub unset this
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"  # a worker per core; torch reads it at import

import hypothesis
import pytest
import spacy
from spacy.vocab import Vocab

from conll_ner.data.columns.conll import read_corpus
from conll_ner.data.fetching import backbones
from tests.forkserver import fork_server
from tests.stress_helpers import ROWS

# Examples may be slow on a shared machine, and these tests don't measure time.
hypothesis.settings.register_profile("project", deadline=None)
hypothesis.settings.load_profile("project")
# Otherwise a failed assertion in a helper module doesn't show the values.
pytest.register_assert_rewrite("tests.annotate_helpers")

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "assets" / "sample"
CONLL2003 = ROOT.parent / "shared" / "conll2003"
SPLITS = ("train", "valid", "test")
# Slow files by their time, longest first: begun last, one would keep a single worker busy.
LONGEST = (
    "test_project_runs.py",
    "test_docs.py",
    "test_docs_training.py",
    "test_spacy_commands.py",
    "test_predict.py",
    "test_benchmark.py",
    "test_annotate.py",
    "test_hf_train.py",
    "test_serve_process.py",
    "test_pickle.py",
    "test_pipeline.py",
    "test_curve.py",
    "test_train_resume.py",
)
# Variables for a short run: the sample corpus, one epoch; and the small backbone.
SHORT = (
    "--vars.corpus sample --vars.epochs 1 --vars.teach_epochs 1 --vars.eval_frequency 80 "
    "--vars.device cpu --vars.learn_rate 5e-4 "
    "--vars.package en_ner_conll03_trf --vars.slim_package en_ner_conll03_slim"
)
SMALL = f"{SHORT} --vars.backbone minilm"

# Invented text: a document of two sentences and a document of one headline, with B- and I-.
TINY = """\
-DOCSTART- -X- -X- O

Ada NNP B-NP B-PER
Lindqvist NNP I-NP I-PER
left VBD B-VP O
Varnholm NNP B-NP B-LOC
. . O O

The DT B-NP O
Norden NNP I-NP B-ORG
Bank NNP I-NP I-ORG
fell VBD B-VP O
. . O O

-DOCSTART- -X- -X- O

VARNHOLM NNP B-NP B-LOC
1998-03-14 CD I-NP O"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run slow tests too")
    parser.addoption("--stress", type=int, help="run the stress tests this many times as long as 1")
    parser.addoption("--gpu", help="run tests of a GPU on this one: its number")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        rank = {name: i for i, name in enumerate(LONGEST)}
        items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
    for option, mark in (("--slow", "slow"), ("--gpu", "gpu"), ("--stress", "stress")):
        if not config.getoption(option):
            skip = pytest.mark.skip(reason=f"{mark}: run with {option}")
            for item in items:
                if item.get_closest_marker(mark):
                    item.add_marker(skip)


def pytest_collection_finish() -> None:
    """What is imported by now stays: without this, the garbage collector looks at all of it again
    and again, which takes 6 % of the suite's time."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The table of the stress tests, for docs/reliability.md."""
    rows = config.stash.get(ROWS, [])
    if rows:
        terminalreporter.write_line("| what | how often | result |\n| --- | ---: | --- |")
    for row in rows:
        terminalreporter.write_line(f"| {' | '.join(row)} |")


@pytest.fixture(scope="session")
def stress(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--stress"))


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[str, str, str], None]:
    """Adds a row to the table of the stress tests."""
    rows = request.config.stash.setdefault(ROWS, [])
    return lambda *row: rows.append(row)


@pytest.fixture
def vocab() -> Vocab:
    return spacy.blank("en").vocab


@pytest.fixture
def tiny_file(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.txt"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer BERT with random weights and a vocabulary of letters, saved as by fetch."""
    from tests.hf_helpers import save_bert

    folder = tmp_path_factory.mktemp("backbone")
    raw = folder / "raw"
    raw.mkdir()
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,-()'\""
    save_bert(raw, letters)
    backbones.save_backbone(raw, folder / "tiny", {"name": "tiny", "source": "folder"})
    return folder / "tiny"


@pytest.fixture(scope="session")
def tiny_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-layer RoBERTa with random weights and a vocabulary of bytes."""
    import tokenizers
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("roberta")
    trainer = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer.train_from_iterator([TINY], vocab_size=300, special_tokens=special)
    trainer.save_model(str(folder))
    tokenizer = transformers.RobertaTokenizerFast(
        str(folder / "vocab.json"), str(folder / "merges.txt"), add_prefix_space=True
    )
    torch.manual_seed(0)
    config = transformers.RobertaConfig(
        vocab_size=300,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    transformers.RobertaModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`token_ner` on a tiny backbone with random weights: many mentions, with any score."""
    from conll_ner.huggingface.importing import import_checkpoint
    from tests.hf_helpers import make_checkpoint

    folder = tmp_path_factory.mktemp("pipeline")
    nlp = import_checkpoint(str(make_checkpoint(folder / "checkpoint")))
    nlp.to_disk(folder / "model")
    return folder / "model"


@pytest.fixture(scope="session")
def slim_pipeline(pipeline: Path) -> Path:
    """The same in float32 without torch."""
    from conll_ner.packaging.slimming.pipeline import make_slim
    from conll_ner.packaging.slimming.source import find_source

    nlp = spacy.load(pipeline)
    slim = make_slim(nlp, find_source(nlp, "pipeline"), "pipeline", "float32")
    slim.to_disk(pipeline.parent / "slim")
    return pipeline.parent / "slim"


@pytest.fixture(scope="session")
def python() -> Iterator[Path]:
    """A replacement for `python` without its import time."""
    with tempfile.TemporaryDirectory(prefix="fork") as folder, fork_server(Path(folder)) as client:
        yield client


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Path:
    """A copy of the project after `all`: the sample corpus, the small backbone, one epoch. All
    workers have the same; `project` is a copy of one's own."""
    from tests.project_helpers import copy_project, run, shared  # imports from this file

    def make(folder: Path) -> None:
        copy_project(folder)
        result = run(folder, "all", ".", python=python, WEASEL_CONFIG_OVERRIDES=SMALL)
        assert result.returncode == 0, result.stdout + result.stderr

    return shared(tmp_path_factory, "trained", make)


@pytest.fixture
def project(trained: Path, python: Path, tmp_path: Path) -> Path:
    """A copy of the trained project, with its wheel unpacked, and files of one's own."""
    from tests.docs_helpers import add_own_files

    folder = tmp_path / "project"
    shutil.copytree(trained, folder)
    (wheel,) = folder.glob("packages/*/*/dist/*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    (folder / ".venv" / "bin").mkdir(parents=True)
    (folder / ".venv" / "bin" / "python").symlink_to(python)
    add_own_files(folder)
    return folder


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    documents = read_corpus(SAMPLE / "valid.txt").documents
    return [" ".join(s.words) for document in documents for s in document.sentences]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    from tests.hf_helpers import make_checkpoint

    return make_checkpoint(tmp_path / "checkpoint")


@pytest.fixture
def source(tmp_path: Path, sentences: list[str]) -> Path:
    """The sentences as a Parquet file."""
    from tests.annotate_helpers import write

    return write(tmp_path / "in.parquet", sentences)


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything but Ray: one worker, in this process, with small partitions."""
    from conll_ner.prediction import annotate
    from conll_ner.prediction.cluster import partitions
    from tests.annotate_helpers import in_this_process

    monkeypatch.setattr(annotate, "annotate_partitions", in_this_process)
    monkeypatch.setattr(partitions, "PARTITION_ROWS", 50)
