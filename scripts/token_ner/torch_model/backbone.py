"""The backbone: a Hugging Face model on windows of whole documents, for spaCy's `transformer`."""

from typing import Any, Literal, cast

from spacy.tokens import Doc
from spacy_transformers.data_classes import FullTransformerBatch
from spacy_transformers.layers import split_trf_batch
from spacy_transformers.layers.transformer_model import huggingface_from_pretrained
from thinc.api import Model, chain
from thinc.types import Floats2d

from ..saving import LargeModel
from ..truecasing import TRUECASER, Truecaser
from ..windows import WINDOWED_TRANSFORMER, Precision, Windowing
from .forward import forward_windows
from .head import first_wordpiece
from .shim import (
    AdamWShim,
    ConfigClass,
    TokenizerClass,
    TransformerClass,
    add_case_embedding,
    drop_pooler,
    measure_window,
)


def build_windowed_transformer(
    name: str,
    window: int | None = None,
    context: int = 0,
    batch_wordpieces: int | Literal["auto"] = "auto",
    precision: Precision = "auto",
    sentence_windows: bool = False,
    case_embedding: bool | None = None,
    case_learn_rate_factor: float = 40.0,
    truecase: bool | None = None,
    tokenizer_config: dict[str, Any] = {},  # noqa: B006
    transformer_config: dict[str, Any] = {"attention_probs_dropout_prob": 0.0},  # noqa: B006
) -> Model[list[Doc], FullTransformerBatch]:
    """A pretrained model for the `transformer` factory that reads documents of any length.

    name (str): A hub id or a folder; its tokenizer must be a fast one.
    case_embedding (bool | None): Whether to add a learnt vector for the letter case of a word to
        the embeddings of its wordpieces. None does so where the tokenizer maps "A" and "a" to the
        same id. Decided when the weights are first loaded.
    case_learn_rate_factor (float): The learning rate of these vectors, as a multiple of the
        optimizer's.
    tokenizer_config (dict): Further arguments for the tokenizer.
    transformer_config (dict): Further values for the model's config.
    The other arguments are documented in Windowing.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise ValueError(f'precision must be "auto", "float32" or "bfloat16", not "{precision}"')
    shim = AdamWShim.unloaded(tokenizer_config, transformer_config)
    shim.case_rate = case_learn_rate_factor
    shim.windowing = Windowing(
        window, context, batch_wordpieces, precision, sentence_windows, truecase
    )
    return LargeModel(
        WINDOWED_TRANSFORMER,
        forward_windows,
        init=load_pretrained,
        dims={"nO": None},
        attrs={
            "pretrained": name,
            "windowing": shim.windowing,
            "case_embedding": case_embedding,
            TRUECASER: Truecaser(),
            # Language.replace_listeners asks for these two.
            "replace_listener": split_by_document,
            "replace_listener_cfg": own_transformer_config,
        },
        shims=[shim],
    )


def build_first_wordpiece_transformer(
    transformer: Model[list[Doc], FullTransformerBatch],
) -> Model[list[Doc], list[Floats2d]]:
    """WindowedTransformer and FirstWordpiece in one, for a head with its own transformer, as
    `nlp.replace_listeners` creates it.

    transformer (Model): A WindowedTransformer.
    """
    # A chain in a chain: the structure that replace_listeners creates.
    return chain(split_by_document(transformer), first_wordpiece())


def split_by_document(transformer: Model[list[Doc], FullTransformerBatch]) -> Model[Any, Any]:
    """RETURNS (Model): The transformer with one output per document. A module-level function,
    so that pipelines can be pickled."""
    return chain(transformer, split_trf_batch())


def own_transformer_config(
    transformer: dict[str, Any],
    listener: dict[str, Any],  # noqa: ARG001
) -> dict[str, Any]:
    """RETURNS (dict): The config of a head with its own transformer, from the shared one's."""
    architecture = "conll_ner.FirstWordpieceTransformer.v1"
    return {"@architectures": architecture, "transformer": transformer}


def load_pretrained(
    model: Model[list[Doc], FullTransformerBatch],
    X: list[Doc] | None = None,  # noqa: ARG001
    Y: Any = None,  # noqa: ARG001
) -> None:
    """Load tokenizer and weights, unless the model has them already."""
    shim = cast(AdamWShim, model.shims[0])
    if shim._model is not None:
        return
    hf = shim._hfmodel
    # RoBERTa's tokenizer accepts pre-split words only with this setting.
    tokenizer_config = {"add_prefix_space": True} | hf._init_tokenizer_config
    loaded = huggingface_from_pretrained(
        model.attrs["pretrained"],
        tokenizer_config,
        hf._init_transformer_config,
        config_cls=ConfigClass,
        model_cls=TransformerClass,
        tokenizer_cls=TokenizerClass,
    )
    if not loaded.tokenizer.is_fast:
        raise ValueError(
            f"{model.attrs['pretrained']}: {type(loaded.tokenizer).__name__} is a slow tokenizer; "
            "windows need a fast one (a tokenizer.json in the model's folder)"
        )
    drop_pooler(loaded.transformer)
    lower, upper = loaded.tokenizer(["a", "A"], add_special_tokens=False)["input_ids"]
    with_case, truecase = model.attrs["case_embedding"], shim.windowing.truecase
    if with_case or (with_case is None and lower == upper):
        add_case_embedding(loaded.transformer)
    model.attrs[TRUECASER].is_collecting = truecase or (truecase is None and lower != upper)
    shim._model, shim._hfmodel = loaded.transformer, loaded
    # Report an impossible window now, not at the first document.
    measure_window(loaded, model.attrs["windowing"])
    model.set_dim("nO", loaded.transformer.config.hidden_size)
