"""A GPU gives what the CPU gives.

Run with `pytest -n 0 -m gpu --gpu 0`. `--gpu cpu` tries the tests themselves.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import numpy
import pytest
import spacy
import torch
import torch.utils.checkpoint
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Corpus
from spacy.vocab import Vocab
from thinc.api import fix_random_seed, get_torch_default_device, require_gpu, use_ops

from conll_ner.common.device import resolve_device
from conll_ner.common.pipelines import load_on_device
from conll_ner.data.columns.conll import read_corpus
from conll_ner.data.docs import read_gold, write_docs
from conll_ner.evaluation.split_scores import evaluate_file
from conll_ner.prediction import predict
from conll_ner.serving.app import create_app
from conll_ner.training import train
from tests.conftest import ROOT, SAMPLE
from tests.serve_helpers import serving
from token_ner.torch_model import forward

pytestmark = pytest.mark.gpu
PIPELINE = ROOT / "tests" / "data" / "pipeline"


@pytest.fixture(scope="module", autouse=True)
def device(request: pytest.FixtureRequest) -> str:
    name: str = request.config.getoption("--gpu")
    gpu = resolve_device(name)
    if gpu >= 0:
        require_gpu(gpu)
    return name


@pytest.fixture(scope="module")
def words() -> list[list[str]]:
    documents = read_corpus(SAMPLE / "valid.txt").documents[:12]
    rows = [[w for s in document.sentences for w in s.words] for document in documents]
    # One is much longer than those before: memory grows.
    return [*rows, [word for row in rows for word in row] * 2]


@pytest.fixture(scope="module")
def texts(words: list[list[str]]) -> list[str]:
    return [" ".join(row) for row in words]


@pytest.fixture(scope="module")
def gold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gold") / "train.spacy"
    write_docs(read_gold(SAMPLE / "train.txt", Vocab()), path)
    return path


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The pipeline in float32: in bfloat16, its random weights give other mentions in other
    batches."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    settings = {"components.transformer.model.precision": "float32"}
    with use_ops("numpy"):
        spacy.load(PIPELINE, config=settings).to_disk(folder)
    return str(folder)


def load(precision: str = "float32", *, on_cpu: bool = False, **windowing: Any) -> Language:
    """RETURNS (Language): On the device, or on the CPU."""
    if on_cpu:
        with use_ops("numpy"):
            nlp = spacy.load(PIPELINE)
    else:
        nlp = spacy.load(PIPELINE)
    transformer: Any = nlp.get_pipe("transformer")
    attrs = transformer.model.attrs
    attrs["windowing"] = replace(attrs["windowing"], precision=precision, **windowing)
    return nlp


def host(array: Any) -> numpy.ndarray:
    return numpy.asarray(array.get() if hasattr(array, "get") else array)


def logits(nlp: Language, words: list[list[str]]) -> tuple[numpy.ndarray, list[Any]]:
    """RETURNS: Logits of all words, and the mentions."""
    sentencizer: Any = nlp.get_pipe("sentencizer")
    docs = [sentencizer(Doc(nlp.vocab, words=row)) for row in words]
    transformer: Any = nlp.get_pipe("transformer")
    head: Any = nlp.get_pipe("token_ner")
    transformer.set_annotations(docs, transformer.predict(docs))
    scores = head.model.predict(docs)
    found = head.decode_docs(docs, scores)
    mentions = [[m[:3] for m in each.mentions] for each in found]
    return numpy.concatenate([host(s) for s in scores]), mentions


def gradients(nlp: Language, gold: Path, drop: float) -> dict[str, numpy.ndarray]:
    """RETURNS (dict[str, numpy.ndarray]): Of one update, by parameter."""
    examples = list(Corpus(gold)(nlp))[:8]
    no_optimizer: Any = False
    nlp.update(examples, sgd=no_optimizer, drop=drop, annotates=["sentencizer"])
    transformer: Any = nlp.get_pipe("transformer")
    head: Any = nlp.get_pipe("token_ner")
    parameters = transformer.model.shims[0]._model.named_parameters()
    found = {n: p.grad.float().cpu().numpy() for n, p in parameters if p.grad is not None}
    output = head.model.get_ref("output")
    return found | {name: host(output.get_grad(name)) for name in ("W", "b")}


def largest_difference(one: dict[str, numpy.ndarray], other: dict[str, numpy.ndarray]) -> float:
    """RETURNS (float): The largest relative difference of a parameter's gradient, in the Euclidean
    norm. Gradients that are nothing but rounding, as of attention's key biases, are left out."""
    assert one.keys() == other.keys()
    norm = numpy.linalg.norm
    largest = max(norm(g) for g in one.values())
    return float(
        max(norm(one[n] - other[n]) / norm(g) for n, g in one.items() if norm(g) > 1e-4 * largest)
    )


def test_the_weights_are_on_the_device(device: str) -> None:
    transformer: Any = load().get_pipe("transformer")
    shim = transformer.model.shims[0]
    assert shim.device.type == next(shim._model.parameters()).device.type
    assert (shim.device.type == "cpu") is (device == "cpu")


def test_logits_in_float32_are_the_cpus(words: list[list[str]]) -> None:
    expected, mentions = logits(load(on_cpu=True), words)
    found, same = logits(load(), words)
    numpy.testing.assert_allclose(found, expected, atol=2e-3)
    assert same == mentions


def test_logits_in_bfloat16_are_near(words: list[list[str]]) -> None:
    expected, _ = logits(load(on_cpu=True), words)
    found, _ = logits(load("bfloat16"), words)
    assert abs(found - expected).max() < 0.5


def test_gradients_without_dropout_are_the_cpus(gold: Path) -> None:
    found = []
    for on_cpu in (True, False):
        nlp = load(on_cpu=on_cpu)
        transformer: Any = nlp.get_pipe("transformer")
        for module in transformer.model.shims[0]._model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            if hasattr(module, "dropout_prob"):  # of the fused attention
                module.dropout_prob = 0.0
        found.append(gradients(nlp, gold, drop=0.0))
    assert largest_difference(*found) < 1e-2


def test_recomputed_batches_have_the_same_dropout(
    gold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for checkpoint in (torch.utils.checkpoint.checkpoint, lambda run, *inputs, **_: run(*inputs)):
        monkeypatch.setattr(forward, "checkpoint", checkpoint)
        nlp = load(batch_wordpieces=256)
        fix_random_seed(1)
        found.append(gradients(nlp, gold, drop=0.1))
    assert largest_difference(*found) < 1e-2


def test_training_learns_and_records_the_memory(device: str, gold: Path, tmp_path: Path) -> None:
    """Warnings are errors here: CuPy's deprecations among them."""
    backbone = tmp_path / "backbone"
    transformer: Any = load(on_cpu=True).get_pipe("transformer")
    transformer.model.shims[0]._model.save_pretrained(backbone)
    transformer.model.shims[0]._hfmodel.tokenizer.save_pretrained(backbone)
    arguments = [str(ROOT / "configs" / "token_ner.cfg"), str(tmp_path / "out")]
    arguments += ["--device", device, "--training.max_epochs", "3"]
    arguments += ["--paths.train", str(gold), "--paths.dev", str(gold)]
    arguments += ["--paths.backbone", str(backbone)]
    arguments += ["--training.optimizer.learn_rate.initial_rate", "1e-3"]
    train.app(arguments, standalone_mode=False)
    run = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert run.get("peak_gpu_memory_mb", 0) > 0 or device == "cpu"
    log = (tmp_path / "out" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [json.loads(line)["loss"] for line in log]
    assert losses[-1] < losses[0]


def test_evaluation_scores_are_the_cpus(gold: Path) -> None:
    scores = [evaluate_file(load(on_cpu=on_cpu), gold, {}) for on_cpu in (True, False)]
    f1 = [score["conlleval"]["overall"]["f1"] for score in scores]
    assert f1[0] == pytest.approx(f1[1], abs=1e-3)


def test_the_service_runs_on_the_device_in_its_thread(
    device: str, saved: str, texts: list[str]
) -> None:
    nlp, _ = load_on_device(saved, device)
    expected = [[ent.text for ent in nlp(text).ents] for text in texts]
    with serving(create_app(nlp)) as url:
        response = httpx.post(f"{url}/predict", json={"text": texts}, timeout=60)
    assert response.status_code == 200
    found = [[m["text"] for m in row["mentions"]] for row in response.json()["documents"]]
    assert found == expected


@pytest.mark.parametrize("processes", [1, 3])
def test_several_processes_share_the_gpu(
    device: str, saved: str, processes: int, texts: list[str], tmp_path: Path
) -> None:
    source, output = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("\n".join(texts * 5) + "\n", encoding="utf-8")
    predict.main(saved, source, output, device=device, processes=processes)
    rows = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
    nlp = load()
    expected = [[(e.start_char, e.end_char) for e in nlp(text).ents] for text in texts * 5]
    found = [[(m["start"], m["end"]) for m in row["mentions"]] for row in rows]
    assert found == expected


# Python 3.12 warns of every fork of a process with threads.
@pytest.mark.filterwarnings("ignore:.*use of fork.. may lead to deadlocks:DeprecationWarning")
@pytest.mark.skipif(sys.platform != "linux", reason="forks by default")
def test_a_forked_process_is_a_clear_error(texts: list[str]) -> None:
    nlp = load()
    assert list(nlp.pipe(texts[:1]))
    if get_torch_default_device().type == "cpu":
        assert len(list(nlp.pipe(texts, n_process=2))) == len(texts)
        return
    with (
        pytest.warns(UserWarning, match="W114"),  # spaCy's, of the same
        pytest.raises(ValueError, match="forked process can't use the GPU"),
    ):
        list(nlp.pipe(texts, n_process=2))
