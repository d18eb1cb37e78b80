"""The component `token_ner`: saving, streaming, and other components in the pipeline."""

from pathlib import Path

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import Adam

from tests.token_ner.component_helpers import TEXTS, add_backbone, make_examples, mentions, train

# --- Saved and streamed ---


def test_disk_and_bytes_keep_mentions_and_scores(
    trained: Language, tiny_backbone: Path, tmp_path: Path
) -> None:
    expected = [mentions(trained(text)) for text, _ in TEXTS]
    trained.to_disk(tmp_path / "pipeline")
    from_disk = spacy.load(tmp_path / "pipeline")
    assert [mentions(from_disk(text)) for text, _ in TEXTS] == expected
    from_bytes = spacy.blank("en")
    add_backbone(from_bytes, tiny_backbone, window=64)
    from_bytes.add_pipe("token_ner")
    from_bytes.from_bytes(trained.to_bytes())
    assert [mentions(from_bytes(text)) for text, _ in TEXTS] == expected


def test_docbin_keeps_scores(trained: Language) -> None:
    doc = trained(TEXTS[0][0])
    saved = DocBin(store_user_data=True, docs=[doc]).to_bytes()
    (loaded,) = DocBin().from_bytes(saved).get_docs(trained.vocab)
    assert mentions(loaded) == mentions(doc) != []


def test_spans_key_of_the_config_wins_over_the_saved_one(trained: Language, tmp_path: Path) -> None:
    trained.to_disk(tmp_path)
    assert not spacy.load(tmp_path)(TEXTS[0][0]).spans
    grouped = spacy.load(tmp_path, config={"components.token_ner.spans_key": "sc"})
    grouped.to_disk(tmp_path)
    again = spacy.load(tmp_path)(TEXTS[0][0])
    assert [s.text for s in again.spans["sc"]] == [e.text for e in again.ents] != []


def test_pipe_equals_call(trained: Language) -> None:
    texts = [text for text, _ in TEXTS] * 3 + ["", " ", "x"]
    expected = [mentions(trained(text)) for text in texts]
    for batch_size in (1, 4, 100):
        found = [mentions(doc) for doc in trained.pipe(texts, batch_size=batch_size)]
        assert [[m[:3] for m in doc] for doc in found] == [[m[:3] for m in d] for d in expected]
        scores = [m[3] for doc in found for m in doc]
        assert scores == pytest.approx([m[3] for doc in expected for m in doc], abs=1e-5)


def test_pipe_in_two_processes(trained: Language) -> None:
    texts = [text for text, _ in TEXTS] * 4
    expected = [mentions(doc) for doc in trained.pipe(texts, batch_size=3)]
    found = [mentions(doc) for doc in trained.pipe(texts, n_process=2, batch_size=3)]
    assert [[m[:3] for m in doc] for doc in found] == [[m[:3] for m in d] for d in expected]
    assert [m[3] for doc in found for m in doc] == pytest.approx(
        [m[3] for doc in expected for m in doc], abs=1e-5
    )


# --- Beside other components ---


def test_select_pipes_and_switching_off(trained: Language) -> None:
    with trained.select_pipes(disable=["token_ner"]):
        assert trained(TEXTS[0][0]).ents == ()
    assert trained(TEXTS[0][0]).ents != ()


def test_tagger_on_the_same_transformer(tiny_backbone: Path) -> None:
    nlp = spacy.blank("en")
    add_backbone(nlp, tiny_backbone)
    nlp.add_pipe("token_ner")
    listener = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    tagger = {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}
    nlp.add_pipe("tagger", config={"model": tagger})
    examples = []
    for text, gold in TEXTS:
        doc = nlp.make_doc(text)
        tags = ["UPPER" if token.text[0].isupper() else "LOWER" for token in doc]
        examples.append(Example.from_dict(doc, gold | {"tags": tags}))
    history = train(nlp, examples, updates=80)
    assert history[-1]["token_ner"] < 0.05
    scores = nlp.evaluate(examples)
    assert (scores["ents_f"], scores["tag_acc"]) == (1.0, 1.0)


def test_replaced_listeners_give_the_same(trained: Language, tmp_path: Path) -> None:
    expected = [mentions(trained(text)) for text, _ in TEXTS]
    trained.to_disk(tmp_path / "shared")
    nlp = spacy.load(tmp_path / "shared")
    nlp.replace_listeners("transformer", "token_ner", ["model.tok2vec"])
    nlp.remove_pipe("transformer")
    assert [mentions(nlp(text)) for text, _ in TEXTS] == expected
    nlp.to_disk(tmp_path / "own")
    loaded = spacy.load(tmp_path / "own")
    assert loaded.pipe_names == ["token_ner"]
    assert [mentions(loaded(text)) for text, _ in TEXTS] == expected
    # It goes on learning.
    before = mentions(loaded(TEXTS[0][0]))
    loaded.update(make_examples(loaded), sgd=Adam(0.001, use_averages=False))
    assert mentions(loaded(TEXTS[0][0])) != before


def test_sourced_into_another_pipeline_and_frozen(trained: Language) -> None:
    expected = mentions(trained(TEXTS[0][0]))
    nlp = spacy.blank("en", vocab=trained.vocab)
    nlp.add_pipe("transformer", source=trained)
    nlp.add_pipe("token_ner", source=trained)
    nlp.add_pipe("sentencizer", first=True)
    assert mentions(nlp(TEXTS[0][0])) == expected
    nlp.update(make_examples(nlp), exclude=["transformer", "token_ner"], sgd=Adam(0.1))
    assert mentions(nlp(TEXTS[0][0])) == expected


def test_head_on_a_frozen_transformer(trained: Language, tmp_path: Path) -> None:
    """As `spacy train` does it: frozen and annotating."""
    trained.to_disk(tmp_path / "pipeline")
    nlp = spacy.load(tmp_path / "pipeline")
    text = TEXTS[0][0]
    before = nlp(text)._.trf_data.model_output.last_hidden_state.copy()
    nlp.update(
        make_examples(nlp),
        exclude=["transformer"],
        annotates=["transformer"],
        sgd=Adam(0.1, use_averages=False),
    )
    doc = nlp(text)
    numpy.testing.assert_array_equal(doc._.trf_data.model_output.last_hidden_state, before)
    assert [m[3] for m in mentions(doc)] != [m[3] for m in mentions(trained(text))]


def test_any_language_and_label(tiny_backbone: Path) -> None:
    nlp = spacy.blank("xx")
    add_backbone(nlp, tiny_backbone)
    nlp.add_pipe("token_ner", name="erkenner", config={"spans_key": "erkannt"})
    text = "Kyiv grüßt Żółć !"
    gold = {"entities": [(0, 4, "地名-L-U-X"), (11, 15, "B-PER")]}
    train(nlp, [Example.from_dict(nlp.make_doc(text), gold)], updates=60)
    doc = nlp(text)
    assert [(e.text, e.label_) for e in doc.ents] == [("Kyiv", "地名-L-U-X"), ("Żółć", "B-PER")]
    assert doc.spans["erkannt"].attrs["scores"] == [e._.score for e in doc.ents]
