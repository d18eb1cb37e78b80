"""A slim pipeline: what torch gives, saved, copied, in threads and processes, and not trained."""

import copy
import gc
import multiprocessing
import pickle
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam

from tests.conftest import ROOT
from tests.token_ner.component_helpers import mentions
from tests.token_ner.test_registration import TORCH_HALF
from token_ner import TokenNER
from token_ner.onnx_model.onnx_shim import OnnxShim, count_threads

TEXTS = [
    "Ada Lindqvist left Varnholm. The Norden Bank fell.",
    "",
    " \n ",
    "One paragraph.\n\nAnother one of the Norden Bank.\t",
    "The Norden Bank of Varnholm fell in a minute. " * 40,  # several windows
    "a" * 700,  # a word that is longer than a window
]
FLOAT32 = {"components.transformer.model.precision": "float32"}
MODEL = "components.token_ner.model"


def head_of(nlp: Language) -> TokenNER:
    head = nlp.get_pipe("token_ner")
    assert isinstance(head, TokenNER)
    return head


def shim_of(nlp: Language) -> OnnxShim:
    shim = head_of(nlp).model.shims[0]
    assert isinstance(shim, OnnxShim)
    return shim


def logits(nlp: Language, texts: list[str]) -> list[numpy.ndarray]:
    """Of each text by itself, (n_words, n_labels)."""
    found = []
    for text in texts:
        doc = nlp.make_doc(text)
        for name in nlp.pipe_names[:-1]:
            nlp.get_pipe(name)(doc)
        found += head_of(nlp).model.predict([doc])
    return found  # type: ignore[return-value]


@pytest.fixture(scope="module")
def slim(slim_pipeline: Path) -> Language:
    return spacy.load(slim_pipeline)


@pytest.mark.parametrize(
    "windowing",
    [{}, {"window": 24}, {"window": 30, "context": 5}, {"window": 24, "sentence_windows": True}],
    ids=str,
)
def test_onnx_gives_the_logits_of_torch(
    pipeline: Path, slim_pipeline: Path, windowing: dict[str, Any]
) -> None:
    """With the windows of the config, words of whitespace included."""
    of_torch = {f"components.transformer.model.{name}": v for name, v in windowing.items()}
    of_slim = {f"{MODEL}.{name}": v for name, v in windowing.items()}
    texts = [text for text in TEXTS if text]
    expected = logits(spacy.load(pipeline, config=FLOAT32 | of_torch), texts)
    found = logits(spacy.load(slim_pipeline, config=of_slim), texts)
    for a, b in zip(found, expected, strict=True):
        numpy.testing.assert_allclose(a, b, atol=1e-4)
    assert numpy.ptp(numpy.concatenate(expected)) > 1


def test_onnx_gives_the_mentions_and_scores_of_torch(pipeline: Path, slim: Language) -> None:
    expected = [mentions(doc) for doc in spacy.load(pipeline, config=FLOAT32).pipe(TEXTS)]
    found = [mentions(doc) for doc in slim.pipe(TEXTS)]
    assert [[m[:3] for m in doc] for doc in found] == [[m[:3] for m in doc] for doc in expected]
    scores = [m[3] for doc in found for m in doc]
    assert len(scores) > 100
    assert scores == pytest.approx([m[3] for doc in expected for m in doc], abs=1e-4)


def test_onnx_pipe_equals_call(slim: Language) -> None:
    expected = [mentions(slim(text)) for text in TEXTS]
    for batch_size in (1, 4, 100):
        found = [mentions(doc) for doc in slim.pipe(TEXTS, batch_size=batch_size)]
        assert [[m[:3] for m in doc] for doc in found] == [[m[:3] for m in d] for d in expected]


def test_onnx_documents_without_words(slim: Language) -> None:
    model = head_of(slim).model
    n_labels = len(head_of(slim).word_labels)
    found = model.predict([Doc(slim.vocab), Doc(slim.vocab, words=["Ada"]), Doc(slim.vocab)])
    assert [part.shape for part in found] == [(0, n_labels), (1, n_labels), (0, n_labels)]
    assert [part.shape for part in model.predict([Doc(slim.vocab)])] == [(0, n_labels)]


def test_onnx_settings_of_the_config_win(slim_pipeline: Path) -> None:
    longest = spacy.load(slim_pipeline)
    shorter = spacy.load(slim_pipeline, config={f"{MODEL}.window": 12, f"{MODEL}.threads": 2})
    assert shim_of(shorter).threads == 2
    (a, b) = (logits(nlp, TEXTS[4:5])[0] for nlp in (longest, shorter))
    assert numpy.abs(a - b).max() > 1e-3


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"threads": 0}, "threads must be from 1 to 256, or null, not 0"),
        ({"threads": 1_000_000}, "threads must be from 1 to 256, or null, not 1000000"),
        ({"context": -1}, "context must be 0 or more"),
        ({"batch_wordpieces": 0}, "batch_wordpieces"),
        ({"batch_wordpieces": 10**12}, "batch_wordpieces"),
        ({"window": 513}, "window is 513 wordpieces, but the model reads 512"),
        ({"window": 2}, "a window of 2 wordpieces has no room for 2 special tokens"),
    ],
)
def test_onnx_impossible_settings_are_errors(
    slim_pipeline: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        spacy.load(slim_pipeline, config={f"{MODEL}.{name}": v for name, v in settings.items()})


# --- Saved and copied ---


def test_onnx_copies_give_the_same(slim: Language, tmp_path: Path) -> None:
    """None of them takes the session along."""
    expected = [mentions(slim(text)) for text in TEXTS]
    slim.to_disk(tmp_path / "disk")
    from_bytes = spacy.load(tmp_path / "disk").from_bytes(slim.to_bytes())
    copies = [
        spacy.load(tmp_path / "disk"),
        spacy.load(tmp_path / "disk"),
        from_bytes,
        pickle.loads(pickle.dumps(slim)),
        copy.deepcopy(slim),
    ]
    for nlp in copies:
        assert shim_of(nlp)._loaded is not shim_of(slim)._loaded
        assert [mentions(nlp(text)) for text in TEXTS] == expected
    assert head_of(slim).model.copy().predict([Doc(slim.vocab, words=["Ada"])])[0].shape[0] == 1
    saved = (tmp_path / "disk" / "token_ner" / "model").read_bytes()
    copies[2].to_disk(tmp_path / "again")
    assert (tmp_path / "again" / "token_ner" / "model").read_bytes() == saved


def test_onnx_with_new_weights_takes_them(slim_pipeline: Path) -> None:
    """`from_bytes` after a prediction."""
    nlp = spacy.load(slim_pipeline)
    before = logits(nlp, TEXTS[:1])[0]
    model = head_of(nlp).model
    saved = srsly.msgpack_loads(shim_of(nlp).to_bytes())
    shim_of(nlp).from_bytes(srsly.msgpack_dumps(saved | {"empty": [7.0] * len(saved["empty"])}))
    (found,) = model.predict([Doc(nlp.vocab, words=["\n", "Ada"])])
    assert (found[0] == 7).all()
    assert before.shape[1] == len(saved["empty"])


def test_onnx_without_weights_is_an_error(slim_pipeline: Path) -> None:
    config = spacy.load(slim_pipeline).config["components"]["token_ner"]
    nlp = spacy.blank("en")
    nlp.add_pipe("token_ner", config={"model": config["model"]})
    again = spacy.blank("en")
    again.add_pipe("token_ner", config={"model": config["model"]})
    again.from_bytes(nlp.to_bytes())
    with pytest.raises(ValueError, match="the model has no weights: load a slim pipeline"):
        again("Ada")


@pytest.mark.parametrize("saved", [["x"], {"graph": b""}, {"other": 1}])
def test_onnx_other_saved_models_are_errors(slim_pipeline: Path, saved: Any) -> None:
    shim = shim_of(spacy.load(slim_pipeline))
    with pytest.raises(ValueError, match="not of a slim pipeline"):
        shim.from_bytes(srsly.msgpack_dumps(saved))


# --- Threads and processes ---


def test_onnx_eight_threads_give_the_same(slim_pipeline: Path) -> None:
    """All of them come to a pipeline that has no session in this process yet."""
    texts = [text for text in TEXTS if text] * 2
    expected = [mentions(spacy.load(slim_pipeline)(text)) for text in texts]
    nlp = spacy.load(slim_pipeline)
    shim_of(nlp)._loaded = None  # as after a fork
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: [mentions(nlp(text)) for text in texts], range(8)))
    assert found == [expected] * 8


def test_onnx_forked_processes_do_not_use_the_session_of_their_parent(slim: Language) -> None:
    expected = [mentions(doc) for doc in slim.pipe(TEXTS * 2)]
    assert shim_of(slim)._loaded is not None
    found = [mentions(doc) for doc in slim.pipe(TEXTS * 2, n_process=2, batch_size=3)]
    assert [[m[:3] for m in doc] for doc in found] == [[m[:3] for m in d] for d in expected]


def test_onnx_forked_process_does_not_wait_for_threads_of_its_parent(slim: Language) -> None:
    """Freeing the parent's session would, when its threads were idle, and never end."""
    shim = shim_of(slim)
    shim.threads = 4
    slim(TEXTS[0])
    time.sleep(0.5)  # until the threads have stopped to spin, and sleep

    def free() -> None:
        shim._loaded = None
        gc.collect()

    process = multiprocessing.get_context("fork").Process(target=free)
    process.start()
    process.join(20)
    process.kill()
    assert process.exitcode == 0


def test_onnx_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert count_threads(3) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert count_threads(None) == 5
    assert count_threads(2) == 2
    for other in ("", "4,2"):
        monkeypatch.setenv("OMP_NUM_THREADS", other)
        assert count_threads(None) == 0
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert count_threads(None) == 0


@pytest.mark.slow
def test_onnx_workers_have_one_thread() -> None:
    program = (
        "import multiprocessing, sys\n"
        f"sys.path.insert(0, {str(ROOT / 'scripts')!r})\n"
        "from token_ner.onnx_model.onnx_shim import count_threads\n"
        "if __name__ == '__main__':\n"
        "    for method in ('fork', 'spawn'):\n"
        "        with multiprocessing.get_context(method).Pool(1) as pool:\n"
        "            print(pool.map(count_threads, [None, 2]))\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.stdout.splitlines() == ["[1, 2]", "[1, 2]"], result.stderr


# --- Without torch ---

WITHOUT_TORCH = """
import json, sys
sys.path[:0] = sys.argv[1:3]
import token_ner, spacy
nlp = spacy.load(sys.argv[3])
print(json.dumps([[(e.start, e.end, e.label_, e._.score) for e in doc.ents]
                  for doc in nlp.pipe(json.loads(sys.argv[4]))]))
assert not {"torch", "transformers", "spacy_transformers"} & set(sys.modules)
"""


def test_onnx_needs_no_torch(slim: Language, slim_pipeline: Path, tmp_path: Path) -> None:
    """In an environment where torch, transformers and spacy-transformers are not installed."""
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(TORCH_HALF):
            (tmp_path / path.name).symlink_to(path)
    paths = [str(tmp_path), str(ROOT / "scripts"), str(slim_pipeline)]
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", WITHOUT_TORCH, *paths, srsly.json_dumps(TEXTS)],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    expected = [m for doc in slim.pipe(TEXTS) for m in mentions(doc)]
    found = [m for doc in srsly.json_loads(result.stdout) for m in doc]
    assert [tuple(m[:3]) for m in found] == [m[:3] for m in expected]
    assert [m[3] for m in found] == pytest.approx([m[3] for m in expected], abs=1e-6)


def test_onnx_runtime_that_is_missing_is_an_error(
    slim_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match="needs ONNX Runtime: pip install onnxruntime"):
        spacy.load(slim_pipeline)


# --- Training ---


def test_onnx_can_not_be_trained(slim_pipeline: Path) -> None:
    nlp = spacy.load(slim_pipeline)
    head = head_of(nlp)
    example = Example.from_dict(nlp.make_doc("Ada left."), {"entities": [(0, 3, "PER")]})
    (scores,) = head.model.predict([example.predicted])
    for train in (
        lambda: nlp.initialize(lambda: [example]),
        lambda: nlp.update([example], sgd=Adam()),
        lambda: head.update([example]),
        lambda: head.get_loss([example], [scores]),
        lambda: head.finish_update(Adam()),
        lambda: head.add_label("NEW"),
    ):
        with pytest.raises(ValueError, match="a slim pipeline can't be trained: train the"):
            train()
    assert head.add_label("PER") == 0
