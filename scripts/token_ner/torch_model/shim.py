"""How thinc holds, saves and updates the Hugging Face model."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import IO, Any, cast

import srsly
import torch
from spacy_transformers.data_classes import HFObjects
from spacy_transformers.layers.hf_shim import HFShim
from thinc.api import Optimizer
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from ..saving import write_blob, write_map
from ..untrusted import check_saved, refuse_code, refuse_kernels
from ..windows import Windowing, window_size
from ..wordpieces import N_CASES, Specials, WordEncoder, largest_id, special_tokens


class ConfigClass:
    """Loads a model's config, for HFShim and huggingface_from_pretrained."""

    @staticmethod
    def from_pretrained(source: str, **settings: Any) -> Any:
        refuse_code(settings, "transformer_config")
        return AutoConfig.from_pretrained(source, **settings, trust_remote_code=False)


class TokenizerClass:
    """Loads a tokenizer, for huggingface_from_pretrained."""

    @staticmethod
    def from_pretrained(source: str, **settings: Any) -> Any:
        """RETURNS (PreTrainedTokenizerBase): The tokenizer. If it was loaded from a tokenizer.json
        only, as for many XLM-R models, it is converted, because HFShim would ask for the missing
        SentencePiece file."""
        refuse_code(settings, "tokenizer_config")
        settings["trust_remote_code"] = False
        tokenizer = AutoTokenizer.from_pretrained(source, **settings)
        # transformers 5 makes an empty one of a folder without a tokenizer's files.
        if not set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens):
            raise OSError(f"no tokenizer in {source}")
        if not tokenizer.is_fast or getattr(tokenizer, "vocab_file", source) is not None:
            return tokenizer
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer.backend_tokenizer,
            model_max_length=tokenizer.model_max_length,
            **tokenizer.special_tokens_map,
        )


class TransformerClass:
    """Loads a model, or creates that of a saved config, for HFShim, which then loads the
    weights."""

    @staticmethod
    def from_pretrained(source: str, **settings: Any) -> Any:
        refuse_kernels(PretrainedConfig.get_config_dict(source)[0], f"{source}/config.json")
        with without_progress_bar():
            model = AutoModel.from_pretrained(source, **settings, trust_remote_code=False)
        return model.float()  # transformers 5 keeps the precision of the checkpoint

    @staticmethod
    def from_config(config: Any) -> Any:
        """RETURNS (PreTrainedModel): The model of a config, with its case embedding if it has
        one."""
        if getattr(config, "layer_norm_eps", None) == 0:
            config.layer_norm_eps = 1e-12  # BERT's value, which HFShim's JSON rounds to 0
        transformer = AutoModel.from_config(config, trust_remote_code=False)
        drop_pooler(transformer)
        if getattr(config, "case_embedding", False):
            add_case_embedding(transformer)
        return transformer


@contextmanager
def without_progress_bar() -> Iterator[None]:
    """transformers 5 shows one for the weights."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def drop_pooler(transformer: Any) -> None:
    """Remove BERT's layer for whole texts, which token classification doesn't use and not every
    checkpoint has."""
    if getattr(transformer, "pooler", None) is not None:
        transformer.pooler = None


def add_case_embedding(transformer: Any) -> None:
    """Add a vector for each `letter_case` to a model, initialized to zero, so that it changes
    nothing at first. It is trained, moved and saved with the model."""
    transformer.config.case_embedding = True
    width = transformer.get_input_embeddings().embedding_dim
    transformer.case_embedding = torch.nn.Embedding(N_CASES, width, device=transformer.device)
    torch.nn.init.zeros_(transformer.case_embedding.weight)


def most_wordpieces(hf: HFObjects) -> int:
    """RETURNS (int): The most wordpieces that a model reads, with special tokens; very large where
    neither the model nor its tokenizer has a limit."""
    maximum = int(hf.tokenizer.model_max_length)
    positions = getattr(hf.transformer.config, "max_position_embeddings", None)
    table = getattr(getattr(hf.transformer, "embeddings", None), "position_embeddings", None)
    # RoBERTa and its kind count positions from the one after padding's.
    padding = getattr(table, "padding_idx", None)
    unused = 0 if padding is None else padding + 1
    return min(maximum, positions - unused) if positions else maximum


def measure_window(hf: HFObjects, windowing: Windowing) -> tuple[Specials, int]:
    """RETURNS (tuple[Specials, int]): The model's special tokens, and the wordpieces in a window.
    RAISES (ValueError): As `window_size`."""
    specials = special_tokens(hf.tokenizer.backend_tokenizer)
    return specials, window_size(most_wordpieces(hf), specials, windowing)


class AdamWShim(HFShim):  # type: ignore[misc]
    """Updates the model with torch's fused AdamW and the Adam settings of the config, instead of
    thinc's optimizer, which updates one parameter at a time.

    Weight decay excludes biases and norms, and gradients are clipped by their global norm, as in
    google-research/bert (optimization.py). For other settings (RAdam, SGD, L2 in the gradient,
    averages), thinc's optimizer is used.
    """

    _optimizer: torch.optim.AdamW | None
    case_rate = 1.0  # learning rate of the case embedding, as a multiple of the optimizer's
    windowing: Windowing  # of the config, to be checked when a model is loaded
    _word_encoder: WordEncoder | None = None
    _model: Any

    @classmethod
    def unloaded(
        cls, tokenizer_config: Mapping[str, Any], transformer_config: Mapping[str, Any]
    ) -> "AdamWShim":
        """RETURNS (AdamWShim): Before its model is loaded. The settings are further arguments for
        the tokenizer, and further values for the model's config."""
        return cls(
            HFObjects(None, None, None, dict(tokenizer_config), dict(transformer_config)),
            config_cls=ConfigClass,
            model_cls=TransformerClass,
            tokenizer_cls=TokenizerClass,
            grad_scaler_config={},
        )

    def word_encoder(self) -> WordEncoder:
        """RETURNS (WordEncoder): Of the current tokenizer, with the words that it has seen."""
        tokenizer = self._hfmodel.tokenizer.backend_tokenizer
        if self._word_encoder is None or self._word_encoder.tokenizer is not tokenizer:
            self._word_encoder = WordEncoder(tokenizer)
        return self._word_encoder

    def finish_update(self, optimizer: Optimizer) -> None:
        is_adam = optimizer.b1 > 0 and optimizer.b2 > 0 and not optimizer.use_radam
        if not is_adam or not optimizer.L2_is_weight_decay or optimizer.averages is not None:
            super().finish_update(optimizer)
            return
        adam = self._optimizer or self.make_optimizer(optimizer)
        for group in adam.param_groups:
            group["lr"] = optimizer.learn_rate * group["rate"]
            group["weight_decay"] = optimizer.L2 if group["decays"] else 0.0
        if optimizer.grad_clip:
            parameters = [p for group in adam.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, optimizer.grad_clip)
        adam.step()
        adam.zero_grad()

    def make_optimizer(self, optimizer: Optimizer) -> torch.optim.AdamW:
        """RETURNS (AdamW): A new optimizer for the model's parameters, without moments."""
        self._optimizer = torch.optim.AdamW(
            self.group_parameters(),
            betas=(optimizer.b1, optimizer.b2),
            eps=optimizer.eps,
            fused=True,
        )
        return self._optimizer

    def group_parameters(self) -> list[dict[str, Any]]:
        """RETURNS (list[dict]): Parameter groups: `params`, `rate` (the learning rate as a multiple
        of the optimizer's), and `decays` (whether weight decay applies)."""
        case = getattr(self._model, "case_embedding", None)
        own = [] if case is None else [case.weight]
        rest = [
            p for p in self._model.parameters() if p.requires_grad and not (own and p is own[0])
        ]
        groups = [
            {"params": own, "rate": self.case_rate, "decays": True},
            {"params": [p for p in rest if p.ndim >= 2], "rate": 1.0, "decays": True},
            {"params": [p for p in rest if p.ndim < 2], "rate": 1.0, "decays": False},
        ]
        return [group for group in groups if group["params"]]

    def to_bytes(self) -> bytes:
        """RETURNS (bytes): As HFShim's, with one copy of the weights instead of three."""
        model = self._model
        if model is None:
            return cast(bytes, super().to_bytes())
        self._model = torch.nn.Module()  # without weights
        try:
            saved = srsly.msgpack_loads(super().to_bytes())
        finally:
            self._model = model
        file = BytesIO()

        def write_state(file: IO[bytes]) -> None:
            write_blob(file, lambda target: torch.save(model.state_dict(), target))

        write_map(file, saved, {"state": write_state})
        return file.getvalue()

    def from_bytes(self, bytes_data: bytes) -> "AdamWShim":
        """RAISES (ValueError): If the saved model could run code, or write to another folder, or if
        its weights, its tokenizer and the windows of the config don't fit together."""
        check_saved(srsly.msgpack_loads(bytes_data))
        self._optimizer = None  # it belongs to the parameters that are replaced
        with warnings.catch_warnings():
            # HFShim would go on with random weights where saved ones are missing.
            warnings.filterwarnings("error", "Error loading saved torch state_dict")
            try:
                super().from_bytes(bytes_data)
            except UserWarning:
                raise ValueError("the saved weights are not those of the saved config") from None
        if self._model is not None:
            self.check_loaded()
        return self

    def check_loaded(self) -> None:
        """RAISES (ValueError): If the tokenizer has wordpieces that the model lacks, or the config
        a window that is impossible."""
        rows = self._model.get_input_embeddings().num_embeddings
        last = largest_id(self._hfmodel.tokenizer.backend_tokenizer)
        if last >= rows:
            raise ValueError(f"the saved tokenizer has a wordpiece {last}, and the model {rows}")
        measure_window(self._hfmodel, self.windowing)
