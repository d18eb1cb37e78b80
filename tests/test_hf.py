"""Checkpoint import and export, compared with transformers on the same weights."""

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import tokenizers
import torch
import transformers
from safetensors.torch import load_file, save_file
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Adam
from typer.testing import CliRunner

from corpus.wordpiece_labels import label_names
from hf import app
from huggingface.exporting import export_pipeline
from huggingface.importing import import_checkpoint
from huggingface.labels import read_labels
from huggingface.loading import check_head
from tests.conftest import ROOT
from token_ner.shim import add_case_embedding
from token_ner.windows import Windowing

runner = CliRunner()
NAMES = label_names({"PER", "ORG", "LOC", "MISC"})
WORDS = ["Ada", "Lindqvist", "left", "Varnholm", "for", "the", "Norden", "Bank", "."]
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,-"
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


def bert_tokenizer(folder: Path, cls: Any) -> Any:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    if cls is transformers.MPNetTokenizerFast:
        special = ["<s>", "<pad>", "</s>", "[UNK]", "<mask>", "<unk>"]
    pieces = [*special, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    return cls(str(folder / "vocab.txt"), do_lower_case=False)


def bpe_tokenizer(folder: Path, cls: Any) -> Any:
    trainer = tokenizers.ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer.train_from_iterator([" ".join(WORDS)], vocab_size=300, special_tokens=special)
    trainer.save_model(str(folder))
    return cls(str(folder / "vocab.json"), str(folder / "merges.txt"), add_prefix_space=True)


def unigram_tokenizer(folder: Path, cls: Any) -> Any:
    """A tokenizer.json, as XLM-R and DeBERTa have on the hub."""
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    pieces = [*special, "▁", *LETTERS]
    model = tokenizers.models.Unigram([(piece, -float(len(piece))) for piece in pieces], unk_id=3)
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    names = dict(zip(("cls_token", "pad_token", "sep_token", "unk_token"), special, strict=False))
    return cls(tokenizer_file=str(folder / "tokenizer.json"), mask_token="<mask>", **names)


FAMILIES: dict[str, tuple[Callable[[Path, Any], Any], Any, Any, dict[str, Any]]] = {
    "bert": (bert_tokenizer, transformers.BertTokenizerFast, transformers.BertConfig, {}),
    "distilbert": (
        bert_tokenizer,
        transformers.DistilBertTokenizerFast,
        transformers.DistilBertConfig,
        {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 64},
    ),
    "electra": (
        bert_tokenizer,
        transformers.ElectraTokenizerFast,
        transformers.ElectraConfig,
        {"embedding_size": 16},
    ),
    "mpnet": (bert_tokenizer, transformers.MPNetTokenizerFast, transformers.MPNetConfig, {}),
    "roberta": (bpe_tokenizer, transformers.RobertaTokenizerFast, transformers.RobertaConfig, {}),
    "deberta": (bpe_tokenizer, transformers.DebertaTokenizerFast, transformers.DebertaConfig, {}),
    "deberta-v2": (
        unigram_tokenizer,
        transformers.DebertaV2TokenizerFast,
        transformers.DebertaV2Config,
        {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    ),
    "xlm-r": (
        unigram_tokenizer,
        transformers.XLMRobertaTokenizerFast,
        transformers.XLMRobertaConfig,
        {},
    ),
}


def make_checkpoint(folder: Path, family: str = "bert", names: list[str] = NAMES) -> Path:
    """A small classifier. Its random weights are large enough for different labels."""
    folder.mkdir(parents=True)
    make_tokenizer, tokenizer_class, config_class, settings = FAMILIES[family]
    tokenizer = make_tokenizer(folder, tokenizer_class)
    sizes = settings if family == "distilbert" else SIZES | settings
    config = config_class(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(names)),
        label2id={name: i for i, name in enumerate(names)},
        initializer_range=0.2,
        **sizes,
    )
    torch.manual_seed(0)
    model = transformers.AutoModelForTokenClassification.from_config(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return make_checkpoint(tmp_path / "checkpoint")


def reference_logits(checkpoint: Path, words: list[str]) -> numpy.ndarray:
    """Logits of transformers at the first wordpieces of words, (n_words, n_labels)."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint, add_prefix_space=True)
    model = transformers.AutoModelForTokenClassification.from_pretrained(checkpoint).eval()
    inputs = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    word_ids = inputs.word_ids()
    firsts = [word_ids.index(i) for i in range(len(words))]
    with torch.no_grad():
        return model(**inputs).logits[0, firsts].numpy()  # type: ignore[no-any-return]


def pipe(nlp: Language, name: str) -> Any:
    return nlp.get_pipe(name)


def emissions(nlp: Language, words: list[str]) -> numpy.ndarray:
    """The pipeline's logits, (n_words, n_labels)."""
    pipe(nlp, "transformer").model.attrs["windowing"] = float32(nlp)
    doc = Doc(nlp.vocab, words=words)
    for name in nlp.pipe_names[:-1]:
        nlp.get_pipe(name)(doc)
    (logits,) = pipe(nlp, "token_ner").model.predict([doc])
    return logits  # type: ignore[no-any-return]


def float32(nlp: Language) -> Any:
    return replace(pipe(nlp, "transformer").model.attrs["windowing"], precision="float32")


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
        (["O", "B-A", "I-A", "[CLS]"], r"fits no scheme.*\[CLS\]"),
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


@pytest.mark.parametrize("names", [NAMES, ["O", "B-A", "I-A", "L-A", "U-A"]])
def test_export_and_import_give_the_same_pipeline(tmp_path: Path, names: list[str]) -> None:
    nlp = import_checkpoint(str(make_checkpoint(tmp_path / "a", names=names)), "de")
    transformer = pipe(nlp, "transformer")
    transformer.model.attrs["windowing"] = Windowing(24, 3, 100, "float32", False)
    settings = {"window": 24, "context": 3, "sentence_windows": False}
    nlp.config["components"]["transformer"]["model"] |= settings
    nlp.config["components"]["transformer"]["model"]["precision"] = "float32"
    pipe(nlp, "token_ner").cfg["threshold"] = 0.2
    export_pipeline(nlp, "pipeline", tmp_path / "out")
    again = import_checkpoint(str(tmp_path / "out"))
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


# --- Invalid input ---


def broken(checkpoint: Path, what: str) -> str:
    """RETURNS (str): The path of the checkpoint, after breaking it in one way."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    weights = load_file(checkpoint / "model.safetensors")
    if what == "no tokenizer":
        for path in checkpoint.glob("*token*"):
            path.unlink()
        (checkpoint / "vocab.txt").unlink()
    elif what == "no weights":
        (checkpoint / "model.safetensors").unlink()
    elif what == "half the weights":
        data = (checkpoint / "model.safetensors").read_bytes()
        (checkpoint / "model.safetensors").write_bytes(data[: len(data) // 2])
    elif what == "no head":
        config["architectures"] = ["BertModel"]
    elif what == "head not saved":
        weights = {name: w for name, w in weights.items() if "classifier" not in name}
        save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    elif what == "another vocabulary":
        config["vocab_size"] = 50
        weights["bert.embeddings.word_embeddings.weight"] = torch.zeros(50, 32)
        save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    elif what == "labels without a scheme":
        config["id2label"] = {i: f"LABEL_{i}" for i in range(len(NAMES))}
    elif what == "no json":
        (checkpoint / "config.json").write_text("{", encoding="utf-8")
        return str(checkpoint)
    elif what == "no such folder":
        return str(checkpoint / "x" / "y")
    elif what == "an empty folder":
        shutil.rmtree(checkpoint)
        checkpoint.mkdir()
        return str(checkpoint)
    (checkpoint / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(checkpoint)


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no tokenizer", "tokenizer"),
        ("no weights", "is not a checkpoint that transformers can load"),
        ("half the weights", "is not a checkpoint that transformers can load"),
        ("no head", "contains BertModel, not a token classifier; train one with"),
        ("head not saved", "weights are missing or have the wrong shape: classifier"),
        ("another vocabulary", "tokenizer has 135 wordpieces, the model 50"),
        ("labels without a scheme", "LABEL_0, LABEL_1"),
        ("no json", "is not a checkpoint that transformers can load"),
        ("no such folder", "no such folder"),
        ("an empty folder", "is not a checkpoint that transformers can load"),
    ],
)
def test_import_of_a_broken_checkpoint(
    checkpoint: Path, tmp_path: Path, what: str, message: str
) -> None:
    output = tmp_path / "out"
    result = runner.invoke(app, ["import", broken(checkpoint, what), str(output)])
    assert result.exit_code == 1
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not output.exists()


def test_import_rejects_a_head_of_more_than_one_layer() -> None:
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=10, **SIZES)
    model = transformers.BertForTokenClassification(config)
    check_head(model, "plain")
    model.classifier = torch.nn.Sequential(torch.nn.Linear(32, 8), torch.nn.Linear(8, 2))
    with pytest.raises(ValueError, match="not dropout and one linear layer"):
        check_head(model, "deep")
    model = transformers.BertForTokenClassification(config)
    model.crf = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"other modules: .*crf \(Linear\)"):
        check_head(model, "crf")


def test_export_rejects_what_transformers_does_not_support(
    checkpoint: Path, tmp_path: Path
) -> None:
    spacy.blank("en").to_disk(tmp_path / "blank")
    nlp = import_checkpoint(str(checkpoint))
    add_case_embedding(pipe(nlp, "transformer").model.shims[0]._model)
    nlp.to_disk(tmp_path / "case")
    for pipeline, message in [
        ("blank", "a checkpoint needs one transformer and one token_ner"),
        ("case", "has a letter-case embedding"),
        ("nothing", "is not a pipeline"),
    ]:
        arguments = ["export", str(tmp_path / pipeline), str(tmp_path / "out")]
        result = runner.invoke(app, arguments)
        assert result.exit_code == 1
        assert message in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["import", "export"])
def test_a_full_disk_keeps_the_previous_output(
    checkpoint: Path, tmp_path: Path, command: str
) -> None:
    """A limit of 50 kB per file has the effect of a full disk."""
    import_checkpoint(str(checkpoint)).to_disk(tmp_path / "pipeline")
    source = checkpoint if command == "import" else tmp_path / "pipeline"
    output = tmp_path / "out"
    output.mkdir()
    (output / "old").write_text("old", encoding="utf-8")
    result = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "hf.py"), command, str(source), str(output)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)),
    )
    assert result.returncode == 1, result.stderr
    assert f"{output} can't be written" in result.stderr
    assert [path.name for path in output.iterdir()] == ["old"]
    assert not list(tmp_path.glob(".out*"))
