"""Small checkpoints and reference logits that the tests of import and export share."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import tokenizers
import torch
import transformers
from spacy.language import Language
from spacy.tokens import Doc
from typer.testing import CliRunner

from conll_ner.data.wordpiece_labels import label_names

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


def save_bert(folder: Path, letters: Sequence[str], **tokenizer: Any) -> None:
    """Save a BERT with random weights and a vocabulary of letters, which keeps their case."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{x}" for x in letters)]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    torch.manual_seed(0)
    config = transformers.BertConfig(vocab_size=len(pieces), max_position_embeddings=512, **SIZES)
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizerFast(
        str(folder / "vocab.txt"), do_lower_case=False, **tokenizer
    ).save_pretrained(folder)


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
    "albert": (
        bert_tokenizer,
        transformers.BertTokenizerFast,
        transformers.AlbertConfig,
        {"embedding_size": 16},
    ),
    "ernie": (bert_tokenizer, transformers.BertTokenizerFast, transformers.ErnieConfig, {}),
    "megatron-bert": (
        bert_tokenizer,
        transformers.BertTokenizerFast,
        transformers.MegatronBertConfig,
        {},
    ),
    "mobilebert": (
        bert_tokenizer,
        transformers.BertTokenizerFast,
        transformers.MobileBertConfig,
        {"embedding_size": 32, "true_hidden_size": 32, "intra_bottleneck_size": 32},
    ),
    "rembert": (bert_tokenizer, transformers.BertTokenizerFast, transformers.RemBertConfig, {}),
    "mpnet": (bert_tokenizer, transformers.MPNetTokenizerFast, transformers.MPNetConfig, {}),
    "roberta": (bpe_tokenizer, transformers.RobertaTokenizerFast, transformers.RobertaConfig, {}),
    "camembert": (
        bpe_tokenizer,
        transformers.RobertaTokenizerFast,
        transformers.CamembertConfig,
        {},
    ),
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
