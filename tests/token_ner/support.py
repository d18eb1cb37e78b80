"""Backbones for the tests of this folder, and what transformers itself says about them."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import numpy
import torch
import transformers
from spacy.tokens import Doc
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import Model

WORDS = ["Ada", "Lindqvist", "left", "Varnholm", ".", "\n", "The", "Norden", "Bank", "fell", "."]


# What users write before `spacy init fill-config`.
SHORT_CONFIG = """
[paths]
train = null
dev = null

[nlp]
lang = "en"
pipeline = ["sentencizer", "transformer", "token_ner"]

[components]

[components.sentencizer]
factory = "sentencizer"

[components.transformer]
factory = "transformer"

[components.transformer.model]
@architectures = "conll_ner.WindowedTransformer.v1"
name = "backbone"

[components.token_ner]
factory = "token_ner"
"""
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def build(backbone: Path, **settings: Any) -> Model[list[Doc], Any]:
    settings = {"precision": "float32", "transformer_config": NO_DROPOUT} | settings
    build_model = registry.architectures.get("conll_ner.WindowedTransformer.v1")
    model: Model[list[Doc], Any] = build_model(name=str(backbone), **settings)
    model.initialize()
    return model


def hugging_face_states(backbone: Path, words: list[str]) -> numpy.ndarray:
    """Last hidden states of the words' wordpieces, by transformers alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(backbone, add_prefix_space=True)
    model = transformers.AutoModel.from_pretrained(backbone).eval()
    inputs = tokenizer(words, is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        states = model(**inputs).last_hidden_state[0]
    chosen = [i for i, word in enumerate(inputs.word_ids()) if word is not None]
    return states[chosen].numpy()  # type: ignore[no-any-return]


def uncased(backbone: Path, folder: Path) -> Path:
    """RETURNS (Path): A copy whose tokenizer lower-cases."""
    shutil.copytree(backbone, folder)
    tokenizer = transformers.BertTokenizerFast.from_pretrained(folder, do_lower_case=True)
    tokenizer.save_pretrained(folder)
    return folder


def states_of(model: Model[list[Doc], Any], vocab: Vocab, words: list[str]) -> numpy.ndarray:
    (data,) = model.predict([Doc(vocab, words=words)]).doc_data
    return data.model_output.last_hidden_state[0]  # type: ignore[no-any-return]


# A process that has imported what is slow to import, but not `token_ner`, runs every case in a
# fork of its own. A case prints one line of JSON.
FORKING = """
import json, os, sys, traceback
import spacy, spacy.cli, spacy_transformers, torch, transformers
assert "token_ner" not in sys.modules
for case in json.loads(sys.argv[1]):
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            sys.path[:0] = case["path"]
            exec(case["code"], {"arguments": case["arguments"]})
        except SystemExit as error:
            os._exit(error.code or 0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        finally:
            sys.stdout.flush()
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        sys.exit(f"case {case['arguments']} ended with {status}")
"""


def link_packages(folder: Path, left_out: tuple[str, ...]) -> Path:
    """RETURNS (Path): A folder with what is installed, for `python -S`, without the names that
    begin with one of `left_out`."""
    folder.mkdir()
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith(left_out):
            (folder / path.name).symlink_to(path)
    return folder


def run_cases(
    cases: list[dict[str, Any]],
    folder: Path,
    *,
    installed: bool = True,
    python: Path = Path(sys.executable),
) -> subprocess.CompletedProcess[str]:
    """Run code in fresh interpreters, as a new user's process would: each case has `code`,
    `arguments` for it and a `path` in front of sys.path.

    installed (bool): Whether `conll-ner` is installed there.
    python (Path): Of the interpreter.
    """
    path = "" if installed else str(link_packages(folder / "installed", ("conll_ner",)))
    return subprocess.run(
        [str(python), *([] if installed else ["-S"]), "-c", FORKING, json.dumps(cases)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
    )
