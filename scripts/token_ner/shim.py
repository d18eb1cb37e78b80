"""How thinc holds, saves and updates the Hugging Face model."""

from typing import Any

import torch
from spacy_transformers.layers.hf_shim import HFShim
from thinc.api import Optimizer
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerFast

from .windows import N_CASES


class TokenizerClass:
    """Loads a tokenizer, for huggingface_from_pretrained."""

    @staticmethod
    def from_pretrained(source: str, **settings: Any) -> Any:
        """RETURNS (PreTrainedTokenizerBase): The tokenizer; one that was made of a tokenizer.json
        alone, as many of XLM-R are, without the SentencePiece file that HFShim would ask for."""
        tokenizer = AutoTokenizer.from_pretrained(source, **settings)
        if not tokenizer.is_fast or getattr(tokenizer, "vocab_file", source) is not None:
            return tokenizer
        return PreTrainedTokenizerFast(
            tokenizer_object=tokenizer.backend_tokenizer,
            model_max_length=tokenizer.model_max_length,
            **tokenizer.special_tokens_map,
        )


class TransformerClass:
    """Makes a saved model anew, for HFShim, which then loads the weights."""

    @staticmethod
    def from_config(config: Any) -> Any:
        """RETURNS (PreTrainedModel): The model of a config, with its case embedding if it has
        one."""
        if getattr(config, "layer_norm_eps", None) == 0:
            config.layer_norm_eps = 1e-12  # BERT's, which HFShim's JSON rounds off to 0
        transformer = AutoModel.from_config(config)
        drop_pooler(transformer)
        if getattr(config, "case_embedding", False):
            add_case_embedding(transformer)
        return transformer


def drop_pooler(transformer: Any) -> None:
    """Take away BERT's layer for whole texts, which no word looks at. Not every checkpoint has
    one: without it, all are alike."""
    if getattr(transformer, "pooler", None) is not None:
        transformer.pooler = None


def add_case_embedding(transformer: Any) -> None:
    """Give a model a vector for each `letter_case`, from zeros: at first it changes nothing. As
    part of the model it is trained, moved and saved with it."""
    transformer.config.case_embedding = True
    width = transformer.get_input_embeddings().embedding_dim
    transformer.case_embedding = torch.nn.Embedding(N_CASES, width, device=transformer.device)
    torch.nn.init.zeros_(transformer.case_embedding.weight)


class AdamWShim(HFShim):  # type: ignore[misc]
    """Updates the model by torch's fused AdamW, with the config's Adam numbers, instead of
    thinc's, one parameter at a time.

    Weight decay leaves out biases and norms, and gradients are clipped by their global norm, as
    in google-research/bert (optimization.py). Where the config asks for what this isn't (RAdam,
    SGD, L2 in the gradient, averages), thinc's optimizer works as ever.
    """

    _optimizer: torch.optim.AdamW | None

    def finish_update(self, optimizer: Optimizer) -> None:
        is_adam = optimizer.b1 > 0 and optimizer.b2 > 0 and not optimizer.use_radam
        if not is_adam or not optimizer.L2_is_weight_decay or optimizer.averages is not None:
            super().finish_update(optimizer)
            return
        parameters = [p for p in self._model.parameters() if p.requires_grad]
        if self._optimizer is None:
            self._optimizer = torch.optim.AdamW(
                [
                    {"params": [p for p in parameters if p.ndim >= 2]},
                    {"params": [p for p in parameters if p.ndim < 2]},
                ],
                betas=(optimizer.b1, optimizer.b2),
                eps=optimizer.eps,
                fused=True,
            )
        for group, decay in zip(self._optimizer.param_groups, (optimizer.L2, 0.0), strict=True):
            group["lr"] = optimizer.learn_rate
            group["weight_decay"] = decay
        if optimizer.grad_clip:
            torch.nn.utils.clip_grad_norm_(parameters, optimizer.grad_clip)
        self._optimizer.step()
        self._optimizer.zero_grad()

    def from_bytes(self, bytes_data: bytes) -> "AdamWShim":
        self._optimizer = None  # it belongs to the parameters that are replaced now
        super().from_bytes(bytes_data)
        return self
