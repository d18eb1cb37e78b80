"""Hugging Face token-classification checkpoints in and out: the same model in both worlds."""

import copy
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, cast

import numpy
import torch
import transformers
import typer
from confection import Config
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_config, load_model_from_config

from conll import parse_tag
from console import InputError, clear_errors, msg
from evaluate import load_pipeline
from files import written_aside
from hf_data import label_names, said_plainly
from token_ner import TokenNER

app = typer.Typer(add_completion=False)
CONFIG = Path(__file__).parent.parent / "configs" / "token_ner.cfg"
SPACY_CONFIG = "spacy.cfg"  # in an exported folder: windows and settings, for the way back
TRANSFORMER = "windowed-transformer"  # the model's name in token_ner.py
EXPORTED = ("sentencizer", "transformer", "token_ner")  # factories
HEAD = "classifier"
# Schemes by the prefixes that they have, and what each is to token_ner's columns.
SCHEMES: dict[str, dict[str, str]] = {
    "bio": {"B": "B", "I": "I"},
    "bilou": {"B": "B", "I": "I", "L": "L", "U": "U"},
    "iobes": {"B": "B", "I": "I", "E": "L", "S": "U"},
}
NEVER = -1e4  # the logit of a label that the checkpoint doesn't have


class Labels(NamedTuple):
    """How a checkpoint's labels are those of `token_ner`."""

    scheme: str  # "bio" or "bilou"
    types: list[str]  # sorted
    ids: dict[str, int]  # token_ner's label: the checkpoint's column


# --- In ---


def read_labels(names: Sequence[str]) -> Labels:
    """Find the scheme that a checkpoint's labels are of.

    names (Sequence[str]): By column, as in the config's id2label.
    RAISES (InputError): If they are of none, or a type has no label that begins a mention.
    """
    listed = ", ".join(names)
    try:
        tags = [parse_tag(name) for name in names]
    except ValueError as error:
        raise InputError(f"{error}; the checkpoint's labels are {listed}") from None
    prefixes = {tag.prefix for tag in tags} - {"O"}
    scheme = next((s for s, known in SCHEMES.items() if prefixes <= known.keys()), None)
    if scheme is None or not prefixes or "O" not in names or len(set(names)) != len(names):
        raise InputError(
            f"labels must be O and B-, I- (BIO), or also L-, U- (BILOU) or E-, S- (IOBES), each "
            f"once; the checkpoint's are {listed}"
        )
    ours = SCHEMES[scheme]
    ids = {"O": names.index("O")} | {
        f"{ours[tag.prefix]}-{tag.type}": i for i, tag in enumerate(tags) if tag.type
    }
    types = sorted({tag.type for tag in tags if tag.type})
    for type_ in types:
        if f"B-{type_}" not in ids and f"U-{type_}" not in ids:
            raise InputError(
                f"no label begins a mention of {type_}: IOB1, or not all labels; the "
                f"checkpoint's are {listed}"
            )
    return Labels("bio" if scheme == "bio" else "bilou", types, ids)


def load_checkpoint(checkpoint: str) -> Any:
    """RETURNS (PreTrainedModel): A checkpoint's token classifier.
    RAISES (InputError): If it isn't one that `token_ner` can take over."""
    if os.sep in checkpoint and not Path(checkpoint).is_dir() and not is_hub_id(checkpoint):
        raise InputError(f"{checkpoint}: no such folder; give a checkpoint's folder or a hub id")
    with said_plainly(f"{checkpoint} is no checkpoint that transformers can load"):
        config = transformers.AutoConfig.from_pretrained(checkpoint)
        architectures = config.architectures or ["none"]
        if not any(name.endswith("ForTokenClassification") for name in architectures):
            raise InputError(
                f"{checkpoint} holds {', '.join(architectures)}, no token classifier: train one "
                "with scripts/hf_train.py, or name another"
            )
        model, loading = transformers.AutoModelForTokenClassification.from_pretrained(
            checkpoint, output_loading_info=True
        )
    if loading["missing_keys"] or loading["mismatched_keys"]:
        lacking = [*loading["missing_keys"], *(key for key, *_ in loading["mismatched_keys"])]
        raise InputError(f"{checkpoint}: weights are missing or misshaped: {', '.join(lacking)}")
    check_head(model, checkpoint)
    with said_plainly(f"{checkpoint}: its tokenizer can't be loaded; save it beside the model"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    check_vocabulary(model, tokenizer, checkpoint)
    return model


def is_hub_id(name: str) -> bool:
    """RETURNS (bool): Whether a name can be a hub's, "organisation/model"."""
    return name.count("/") == 1 and not name.startswith((".", "/", "~"))


def check_head(model: Any, checkpoint: str) -> None:
    """RAISES (InputError): If the head is more than dropout and one linear layer."""
    head = {name: m for name, m in model.named_children() if m is not model.base_model}
    classifier = head.pop(HEAD, None)
    others = [name for name, module in head.items() if not isinstance(module, torch.nn.Dropout)]
    if not isinstance(classifier, torch.nn.Linear) or others:
        parts = ", ".join(f"{name} ({type(module).__name__})" for name, module in head.items())
        raise InputError(
            f"{checkpoint}: the head of {type(model).__name__} is not dropout and one linear "
            f"layer ({parts or 'nothing else'} beside {HEAD}: {type(classifier).__name__}); "
            "token_ner has no place for it"
        )


def check_vocabulary(model: Any, tokenizer: Any, checkpoint: str) -> None:
    """RAISES (InputError): If the tokenizer is another model's, or a slow one."""
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise InputError(
            f"{checkpoint}: the tokenizer has {len(tokenizer):,} wordpieces, the model {rows:,}: "
            "they don't belong together"
        )
    if not tokenizer.is_fast:
        raise InputError(
            f"{checkpoint}: {type(tokenizer).__name__} is a slow tokenizer; save a fast one "
            "(tokenizer.json) beside the model"
        )


def pipeline_config(checkpoint: str, scheme: str, lang: str, sentences: bool) -> Config:
    """RETURNS (Config): An exported checkpoint's own config; for any other this project's, with
    windows of the model's maximum, or of a sentence."""
    own = Path(checkpoint) / SPACY_CONFIG
    overrides: dict[str, Any] = {"components.transformer.model.name": checkpoint}
    if own.is_file():
        return load_config(own, overrides=overrides, interpolate=True)
    overrides |= {
        "nlp.lang": lang,
        "components.transformer.model.window": None,
        "components.transformer.model.sentence_windows": sentences,
        "components.transformer.model.case_embedding": False,
        "components.transformer.model.transformer_config": {},
        "components.token_ner.scheme": scheme,
    }
    return load_config(CONFIG, overrides=overrides, interpolate=True)


def import_checkpoint(checkpoint: str, lang: str = "en", *, sentences: bool = True) -> Language:
    """Make a pipeline of a token-classification checkpoint, without training: the emission
    scores of words are the checkpoint's logits at their first wordpieces.

    checkpoint (str): A hub id or a folder.
    sentences (bool): Whether the model reads single sentences, as most were trained, or as much
        of a document as it can. An exported checkpoint has its own windows.
    RAISES (InputError): If it can't be taken over.
    """
    classifier = load_checkpoint(checkpoint)
    names = [classifier.config.id2label[i] for i in range(classifier.config.num_labels)]
    labels = read_labels(names)
    nlp = load_model_from_config(
        pipeline_config(checkpoint, labels.scheme, lang, sentences), auto_fill=True, validate=True
    )
    # A word for each type: what spaCy needs to give all parts their shapes.
    gold = Doc(nlp.vocab, words=labels.types, ents=[f"B-{type_}" for type_ in labels.types])
    with said_plainly(checkpoint):
        nlp.initialize(lambda: [Example(Doc(nlp.vocab, words=labels.types), gold)])
    token_ner: TokenNER = find_component(nlp, "token_ner", checkpoint)
    weight, bias = (p.detach().float().numpy() for p in classifier.classifier.parameters())
    columns = [labels.ids.get(label) for label in token_ner.word_labels]
    output = token_ner.model.get_ref("output")
    rows = [numpy.zeros_like(weight[0]) if c is None else weight[c] for c in columns]
    output.set_param("W", output.ops.asarray2f(cast(Any, numpy.stack(rows))))
    biases = [NEVER if c is None else float(bias[c]) for c in columns]
    output.set_param("b", output.ops.asarray1f(biases))
    return nlp


def find_component(nlp: Language, factory: str, pipeline: str) -> Any:
    """RETURNS (Pipe): The pipeline's one component of a factory.
    RAISES (InputError): If there isn't exactly one."""
    found = [name for name in nlp.pipe_names if nlp.get_pipe_meta(name).factory == factory]
    if len(found) != 1:
        raise InputError(
            f"{pipeline}: its components are {', '.join(nlp.pipe_names)}; a checkpoint is made of "
            "one transformer and one token_ner that listens to it"
        )
    return nlp.get_pipe(found[0])


# --- Out ---


def build_classifier(nlp: Language, pipeline: str) -> tuple[Any, Any]:
    """RETURNS (tuple[Any, Any]): The pipeline's weights as a token classifier of transformers,
    and the tokenizer.
    RAISES (InputError): If transformers has no such model."""
    token_ner: TokenNER = find_component(nlp, "token_ner", pipeline)
    transformer = find_component(nlp, "transformer", pipeline).model
    if transformer.name != TRANSFORMER or not token_ner.model.has_ref("output"):
        raise InputError(
            f"{pipeline}: only conll_ner.WindowedTransformer under conll_ner.TokenClassifier can "
            "be exported"
        )
    shim = transformer.shims[0]
    if hasattr(shim._model, "case_embedding"):
        raise InputError(
            f"{pipeline}: its backbone is told the letter case of words, which no model of "
            "transformers is; train with --components.transformer.model.case_embedding false"
        )
    names = export_names(token_ner)
    config = copy.deepcopy(shim._model.config)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: i for i, name in enumerate(names)}
    with said_plainly(f"{pipeline}: transformers has no token classifier for its backbone"):
        model = transformers.AutoModelForTokenClassification.from_config(config)
        model.base_model.load_state_dict(shim._model.state_dict())
    check_head(model, pipeline)
    output = token_ner.model.get_ref("output")
    order = [token_ner.word_labels.index(name) for name in names]
    with torch.no_grad():
        for parameter, values in (
            (model.classifier.weight, output.get_param("W")),
            (model.classifier.bias, output.get_param("b")),
        ):
            parameter.copy_(torch.from_numpy(output.ops.to_numpy(values)[order]))
    return model.eval(), shim._hfmodel.tokenizer


def export_names(token_ner: TokenNER) -> list[str]:
    """RETURNS (list[str]): The labels in the usual order: O, then those of each type."""
    prefixes = "BILU" if token_ner.cfg["scheme"] == "bilou" else "BI"
    return label_names(set(token_ner.labels), prefixes)


def export_config(nlp: Language) -> Config:
    """RETURNS (Config): What of the pipeline the checkpoint keeps: windows, settings."""
    kept = [name for name in nlp.pipe_names if nlp.get_pipe_meta(name).factory in EXPORTED]
    config = nlp.config.interpolate()
    for name in kept:
        settings = config["components"][name]
        if settings["factory"] == "transformer":
            settings["model"]["name"] = ""  # the checkpoint itself, wherever it is
        if settings["factory"] == "token_ner":
            settings["threshold"] = nlp.get_pipe(name).cfg["threshold"]  # type: ignore[attr-defined]
    components = {name: config["components"][name] for name in kept}
    return Config({"nlp": {"lang": nlp.lang, "pipeline": kept}, "components": components})


def model_card(nlp: Language, names: Sequence[str]) -> str:
    """RETURNS (str): The checkpoint's README, with the scores that the pipeline knows of."""
    performance = nlp.meta.get("performance", {})
    rows = {"": performance} | {
        name: {f"ents_{key}": value for key, value in scores.items()}
        for name, scores in performance.items()
        if isinstance(scores, dict) and scores.keys() == {"p", "r", "f"}
    }
    table = [
        f"| {name or nlp.meta['name']} | "
        + " | ".join(f"{100 * row[f'ents_{key}']:.2f}" for key in "prf")
        + " |"
        for name, row in rows.items()
        if row.get("ents_f") is not None
    ]
    scores = ["| | precision | recall | F1 |", "| --- | ---: | ---: | ---: |", *table]
    parts = [
        "---\nlibrary_name: transformers\npipeline_tag: token-classification\n"
        f"language: {nlp.lang}\n---",
        f"# {nlp.lang}_{nlp.meta['name']}",
        nlp.meta.get("description") or "Named entities, exported from a spaCy pipeline.",
        f"Labels: {', '.join(names)}. A word's label is its first wordpiece's: "
        '`pipeline("token-classification", aggregation_strategy="first")`.',
        *(["\n".join(scores)] if table else []),
    ]
    return "\n\n".join(parts) + "\n"


def export_pipeline(nlp: Language, pipeline: str, output: Path) -> None:
    """Write a folder that transformers loads as a token classifier.

    pipeline (str): What to call the pipeline in errors.
    RAISES (InputError): If it can't be one, or can't be written; `output` is then as it was.
    """
    model, tokenizer = build_classifier(nlp, pipeline)
    names = list(model.config.id2label.values())
    with said_plainly(f"{output} can't be written"), written_aside(output) as aside:
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
        export_config(nlp).to_disk(aside / SPACY_CONFIG)
        (aside / "README.md").write_text(model_card(nlp, names), encoding="utf-8")
    left = [name for name in nlp.pipe_names if nlp.get_pipe_meta(name).factory not in EXPORTED]
    if left:
        msg.warn(f"Not in the checkpoint, which has no place for them: {', '.join(left)}")


# --- The familiar output ---


def entity_groups(doc: Doc) -> list[dict[str, Any]]:
    """RETURNS (list[dict[str, Any]]): The mentions as transformers' pipeline gives them, but that
    `score` is the probability of exactly that span with that label."""
    return [
        {
            "entity_group": ent.label_,
            "score": ent._.score,
            "word": ent.text,
            "start": ent.start_char,
            "end": ent.end_char,
        }
        for ent in doc.ents
    ]


# --- Commands ---


def folder_size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1024**2


@app.command("import")
def import_command(
    checkpoint: Annotated[str, typer.Argument(help="Folder or hub id")],
    output: Annotated[Path, typer.Argument(help="Folder for the pipeline")],
    lang: Annotated[str, typer.Option(help="spaCy's code of the language")] = "en",
    sentences: Annotated[
        bool,
        typer.Option(
            "--sentences/--documents",
            help="What the model reads at once: a sentence, or as much as it can",
        ),
    ] = True,
) -> None:
    """Turn a token-classification checkpoint into a pipeline, without training."""
    transformers.utils.logging.set_verbosity_error()  # the head that AutoModel leaves out
    with clear_errors():
        start = time.perf_counter()
        nlp = import_checkpoint(checkpoint, lang, sentences=sentences)
        with said_plainly(f"{output} can't be written"), written_aside(output) as aside:
            nlp.to_disk(aside)
        seconds = time.perf_counter() - start
        msg.good(f"{output}: {folder_size_mb(output):,.0f} MiB in {seconds:.1f} s")


@app.command("export")
def export_command(
    pipeline: Annotated[str, typer.Argument(help="Folder or installed package")],
    output: Annotated[Path, typer.Argument(help="Folder for the checkpoint")],
) -> None:
    """Turn a pipeline into a checkpoint that transformers loads."""
    with clear_errors():
        start = time.perf_counter()
        export_pipeline(load_pipeline(pipeline), pipeline, output)
        seconds = time.perf_counter() - start
        msg.good(f"{output}: {folder_size_mb(output):,.0f} MiB in {seconds:.1f} s")


@app.command("predict")
def predict_command(
    model: Annotated[str, typer.Argument(help="Checkpoint, pipeline or installed package")],
    text: Annotated[str, typer.Argument(help="The text itself")],
) -> None:
    """Print a text's mentions in the form of transformers' pipeline, one a line."""
    transformers.utils.logging.set_verbosity_error()
    with clear_errors():
        is_checkpoint = (Path(model) / "config.json").is_file()
        nlp = import_checkpoint(model) if is_checkpoint else load_pipeline(model)
        for group in entity_groups(nlp(text)):
            print(json.dumps(group, ensure_ascii=False))


if __name__ == "__main__":
    app()
