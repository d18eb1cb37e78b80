"""Checkpoint import and export, compared with transformers on the same weights."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy
import pytest
import spacy
import torch
import transformers
from safetensors.torch import load_file
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam

from conll_ner.huggingface.exporting import export_pipeline
from conll_ner.huggingface.hf import app
from conll_ner.huggingface.importing import import_checkpoint
from conll_ner.huggingface.labels import read_labels
from conll_ner.huggingface.loading import MODEL_TYPES
from tests.hf_helpers import (
    FAMILIES,
    NAMES,
    WORDS,
    emissions,
    float32,
    make_checkpoint,
    pipe,
    reference_logits,
    runner,
)
from token_ner.torch_model.shim import most_wordpieces
from token_ner.windows import Windowing

# --- Import ---


# DeBERTa's module raises it on import.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_import_gives_the_checkpoints_logits(family: str, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path / family, family)
    nlp = import_checkpoint(str(folder))
    word_labels = pipe(nlp, "token_ner").word_labels
    assert sorted(word_labels) == sorted(NAMES)
    expected = reference_logits(folder, WORDS)[:, [NAMES.index(name) for name in word_labels]]
    numpy.testing.assert_allclose(emissions(nlp, WORDS), expected, atol=1e-4)
    nlp.to_disk(tmp_path / "pipeline")
    loaded = spacy.load(tmp_path / "pipeline")
    numpy.testing.assert_allclose(emissions(loaded, WORDS), expected, atol=1e-4)


def test_import_is_tried_with_all_types_that_it_takes() -> None:
    assert sorted(config.model_type for _, _, config, _ in FAMILIES.values()) == [*MODEL_TYPES]


def test_import_of_a_roberta_with_positions_for_the_tokenizers_maximum(tmp_path: Path) -> None:
    """Two of the positions aren't used, so the model reads 510 wordpieces."""
    folder = make_checkpoint(tmp_path / "roberta", "roberta")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, model_max_length=512)
    tokenizer.save_pretrained(folder)
    nlp = import_checkpoint(str(folder), sentences=False)
    shim = pipe(nlp, "transformer").model.shims[0]
    assert shim._model.config.max_position_embeddings == tokenizer.model_max_length == 512
    assert most_wordpieces(shim._hfmodel) == 510
    assert len(emissions(nlp, WORDS * 100)) == 100 * len(WORDS)


@pytest.mark.parametrize("sentences", [True, False])
def test_import_reads_sentences_or_documents(checkpoint: Path, sentences: bool) -> None:
    nlp = import_checkpoint(str(checkpoint), sentences=sentences)
    words = WORDS + WORDS[:4]  # the first ends with a full stop
    expected = [WORDS, WORDS[:4]] if sentences else [words]
    logits = numpy.concatenate([reference_logits(checkpoint, part) for part in expected])
    columns = [NAMES.index(name) for name in pipe(nlp, "token_ner").word_labels]
    numpy.testing.assert_allclose(emissions(nlp, words), logits[:, columns], atol=1e-4)


@pytest.mark.parametrize(
    ("names", "scheme", "types"),
    [
        (["O", "B-A", "I-A"], "bio", ["A"]),
        (["B-X-Y", "I-X-Y", "O", "I-B", "B-B"], "bio", ["B", "X-Y"]),
        (["O", "B-A"], "bio", ["A"]),  # mentions of one word only
        (["O", "B-A", "I-A", "L-A", "U-A"], "bilou", ["A"]),
        (["O", "S-A", "B-A", "I-A", "E-A"], "bilou", ["A"]),
        (["O", "U-A"], "bilou", ["A"]),
    ],
)
def test_labels_of_each_scheme(names: list[str], scheme: str, types: list[str]) -> None:
    labels = read_labels(names)
    assert (labels.scheme, labels.types) == (scheme, types)
    assert sorted(labels.ids.values()) == list(range(len(names)))
    for label, i in labels.ids.items():
        prefix = {"L": "E", "U": "S"}.get(label[0], label[0]) if "S-A" in names else label[0]
        assert names[i] == prefix + label[1:]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["LABEL_0", "LABEL_1"], "fits no scheme.*LABEL_0, LABEL_1"),
        (["O", "B-A", "I-A", "A"], "fits no scheme.*B-A, I-A, A"),
        (["A", "B"], "fits no scheme.*A, B"),
        (["O", "[PAD]", "X"], "labels must be"),
        (["B-A", "I-A"], "labels must be O and B-, I-.*B-A, I-A"),
        (["O"], "labels must be"),
        (["O", "B-A", "L-A", "E-A"], "labels must be"),
        (["O", "B-A", "B-A"], "labels must be"),
        (["O", "I-A", "B-B", "I-B"], "no label begins a mention of A: the scheme is IOB1"),
    ],
)
def test_labels_without_a_scheme_are_listed_in_the_error(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_labels(names)


@pytest.mark.parametrize(
    ("names", "scheme", "ids"),
    [
        (["O", "B-A", "I-A", "X", "[CLS]", "[SEP]"], "bio", {"O": 0, "B-A": 1, "I-A": 2}),
        (["<PAD>", "O", "B-A", "I-A"], "bio", {"O": 1, "B-A": 2, "I-A": 3}),
        (["O", "A", "C-D"], "io", {"O": 0, "B-A": 1, "I-A": 1, "B-C-D": 2, "I-C-D": 2}),
        (["[PAD]", "I-A", "O"], "io", {"O": 2, "B-A": 1, "I-A": 1}),
    ],
)
def test_special_labels_and_types_without_prefix(
    names: list[str], scheme: str, ids: dict[str, int]
) -> None:
    labels = read_labels(names)
    assert (labels.scheme, labels.ids) == (scheme, ids)


def test_import_of_io_decodes_each_words_best_label(tmp_path: Path) -> None:
    """Also after export and import."""
    names = ["[PAD]", "O", "PER", "LOC"]
    folder = make_checkpoint(tmp_path / "io", names=names)
    nlp = import_checkpoint(str(folder))
    assert pipe(nlp, "token_ner").cfg["scheme"] == "io"
    best = reference_logits(folder, WORDS)[:, 1:].argmax(axis=1)
    expected = [names[1:][i] for i in best]
    assert len({*expected} - {"O"}) == 2  # else nothing is tested
    export_pipeline(nlp, "io", tmp_path / "again")
    for pipeline in (nlp, import_checkpoint(str(tmp_path / "again"))):
        doc = pipeline(Doc(pipeline.vocab, words=WORDS))
        assert [token.ent_type_ or "O" for token in doc] == expected
        assert all(a.end < b.start or a.label != b.label for a, b in pairwise(doc.ents))


def test_import_of_a_checkpoint_with_missing_labels(tmp_path: Path) -> None:
    """If all mentions have one word, there is no I-. The pipeline must never predict it."""
    folder = make_checkpoint(tmp_path / "b", names=["O", "B-A"])
    nlp = import_checkpoint(str(folder))
    logits = emissions(nlp, WORDS)
    assert pipe(nlp, "token_ner").word_labels == ["O", "B-A", "I-A"]
    numpy.testing.assert_allclose(logits[:, :2], reference_logits(folder, WORDS), atol=1e-4)
    assert (logits[:, 2] < -1000).all()


def test_imported_pipeline_predicts_evaluates_and_trains(checkpoint: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["import", str(checkpoint), str(tmp_path / "out" / "pipeline")])
    assert result.exit_code == 0, result.output
    nlp = spacy.load(tmp_path / "out" / "pipeline")
    doc = nlp(" ".join(WORDS * 200))  # much longer than the model's 512 positions
    assert doc.ents
    assert all(0 <= ent._.score <= 1 for ent in doc.ents)
    gold = Doc(nlp.vocab, words=WORDS, ents=["B-PER", "I-PER", "O", "B-LOC", *["O"] * 5])
    nlp.resume_training()
    optimizer = Adam(0.005, use_averages=False)
    for _ in range(80):
        nlp.update([Example(Doc(nlp.vocab, words=WORDS), gold)], sgd=optimizer)
    predicted = nlp(Doc(nlp.vocab, words=WORDS))
    assert [(ent.text, ent.label_) for ent in predicted.ents] == [
        ("Ada Lindqvist", "PER"),
        ("Varnholm", "LOC"),
    ]


# --- Export ---


def test_export_is_a_checkpoint_of_transformers(checkpoint: Path, tmp_path: Path) -> None:
    """Import and export give the same weights, labels and logits."""
    export_pipeline(import_checkpoint(str(checkpoint)), "pipeline", tmp_path / "out")
    numpy.testing.assert_allclose(
        reference_logits(tmp_path / "out", WORDS), reference_logits(checkpoint, WORDS), atol=1e-6
    )
    weights = load_file(tmp_path / "out" / "model.safetensors")
    originals = load_file(checkpoint / "model.safetensors")
    assert weights.keys() == originals.keys()
    assert all(torch.equal(weights[name], originals[name]) for name in weights)
    config = transformers.AutoConfig.from_pretrained(tmp_path / "out")
    assert list(config.id2label.values()) == NAMES
    assert config.label2id == {name: i for i, name in enumerate(NAMES)}
    assert config.architectures == ["BertForTokenClassification"]


def test_export_works_in_transformers_pipeline(checkpoint: Path, tmp_path: Path) -> None:
    """transformers takes the best label of each word's first wordpiece. Without I-, any sequence of
    labels is legal, so `token_ner` finds the same mentions."""
    nlp = import_checkpoint(str(checkpoint))
    output = pipe(nlp, "token_ner").model.get_ref("output")
    labels = pipe(nlp, "token_ner").word_labels
    bias = output.get_param("b")
    bias[[labels.index(label) for label in labels if label[0] == "I"]] -= 100.0
    output.set_param("b", bias)
    export_pipeline(nlp, "pipeline", tmp_path / "out")
    recognise = transformers.pipeline(
        "token-classification",
        model=str(tmp_path / "out"),
        aggregation_strategy="first",
        device="cpu",
    )
    text = " ".join(WORDS[:-1])
    found = recognise(text)
    assert found
    assert found[0].keys() == {"entity_group", "score", "word", "start", "end"}
    doc = nlp(text)
    assert [(ent.start_char, ent.end_char, ent.label_) for ent in doc.ents] == [
        (mention["start"], mention["end"], mention["entity_group"]) for mention in found
    ]


def test_predict_prints_the_format_of_transformers(checkpoint: Path, tmp_path: Path) -> None:
    text = "My name is Sylvain and I work at Hugging Face in Brooklyn."
    nlp = import_checkpoint(str(checkpoint))
    nlp.to_disk(tmp_path / "pipeline")
    printed = []
    for model in (checkpoint, tmp_path / "pipeline"):
        result = runner.invoke(app, ["predict", str(model), text])
        assert result.exit_code == 0, result.output
        printed.append([json.loads(line) for line in result.stdout.splitlines()])
    assert printed[0] == printed[1]
    assert printed[0]
    for group in printed[0]:
        assert list(group) == ["entity_group", "score", "word", "start", "end"]
        assert text[group["start"] : group["end"]] == group["word"]
        assert group["entity_group"] in ("PER", "ORG", "LOC", "MISC")
        assert 0 <= group["score"] <= 1


def test_export_leaves_truecasing_out_and_says_so(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint's words are read as they are, after import too, whatever the label names are."""
    nlp = import_checkpoint(str(checkpoint))
    export_pipeline(nlp, "pipeline", tmp_path / "plain")
    assert "truecasing" not in capsys.readouterr().out
    model = pipe(nlp, "transformer").model
    model.attrs["windowing"] = replace(float32(nlp), truecase=None)
    model.attrs["truecaser"].collect([Doc(nlp.vocab, words=["It", "left", "Ada"])])
    nlp.config["components"]["transformer"]["model"]["truecase"] = None
    export_pipeline(nlp, "pipeline", tmp_path / "out")
    assert "truecasing" in capsys.readouterr().out
    again = import_checkpoint(str(tmp_path / "out"))
    words = ["ADA", "LEFT"]
    columns = [NAMES.index(name) for name in pipe(again, "token_ner").word_labels]
    expected = reference_logits(checkpoint, words)[:, columns]
    numpy.testing.assert_allclose(emissions(again, words), expected, atol=1e-4)
    assert numpy.abs(emissions(nlp, words) - expected).max() > 0.01


@pytest.mark.parametrize("names", [NAMES, ["O", "B-A", "I-A", "L-A", "U-A"]])
def test_export_and_import_give_the_same_pipeline(tmp_path: Path, names: list[str]) -> None:
    nlp = import_checkpoint(str(make_checkpoint(tmp_path / "a", names=names)), "de")
    transformer = pipe(nlp, "transformer")
    transformer.model.attrs["windowing"] = Windowing(24, 3, 100, "float32", False)
    settings = {"window": 24, "context": 3, "sentence_windows": False}
    nlp.config["components"]["transformer"]["model"] |= settings
    nlp.config["components"]["transformer"]["model"]["precision"] = "float32"
    type_ = pipe(nlp, "token_ner").labels[0]
    pipe(nlp, "token_ner").cfg["threshold"] = {type_: 0.2}
    nlp._pipe_configs["token_ner"]["label_weights"] = {type_: 2.0}
    export_pipeline(nlp, "pipeline", tmp_path / "out")
    again = import_checkpoint(str(tmp_path / "out"))
    assert pipe(again, "token_ner").threshold == {type_: 0.2}
    assert pipe(again, "token_ner").label_weights == {type_: 2.0}
    assert again.lang == "de"
    assert again.pipe_names == nlp.pipe_names
    words = WORDS * 30
    docs = [pipeline(Doc(pipeline.vocab, words=words)) for pipeline in (nlp, again)]
    numpy.testing.assert_allclose(emissions(nlp, words), emissions(again, words), atol=1e-6)
    found = [
        [(ent.start, ent.end, ent.label_, round(ent._.score, 6)) for ent in doc.ents]
        for doc in docs
    ]
    assert found[0] == found[1]
    assert found[0]


def test_export_writes_scores_to_the_model_card(checkpoint: Path, tmp_path: Path) -> None:
    nlp = import_checkpoint(str(checkpoint))
    scores = {"p": 0.9, "r": 0.8, "f": 0.847}
    named = {f"ents_{key}": value for key, value in scores.items()}
    nlp.meta["performance"] = named | {"test": scores, "ents_per_type": {"PER": scores}}
    export_pipeline(nlp, "pipeline", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "| test | 90.00 | 80.00 | 84.70 |" in card
    assert card.startswith("---\nlibrary_name: transformers\n")
    assert "ents_per_type" not in card
