"""What a slim pipeline is made from: the recogniser, its transformer, and the components beside."""

from typing import Any, NamedTuple, cast

from spacy.language import Language
from thinc.api import Model

from conll_ner.common.console import InputError
from conll_ner.common.pipelines import find_single_head
from token_ner import ONNX_CLASSIFIER, WINDOWED_TRANSFORMER, TokenNER
from token_ner.checks import LISTENER
from token_ner.torch_model.shim import AdamWShim
from token_ner.windows import Windowing


class Source(NamedTuple):
    """The parts of a pipeline that become one model.

    name (str): The recogniser's, in the pipeline.
    dropped (str | None): The name of the transformer that the recogniser listens to; None if it
        has a transformer of its own.
    """

    name: str
    head: TokenNER
    dropped: str | None
    transformer: Model[Any, Any]

    @property
    def shim(self) -> AdamWShim:
        return cast(AdamWShim, self.transformer.shims[0])

    @property
    def windowing(self) -> Windowing:
        return cast(Windowing, self.transformer.attrs["windowing"])

    @property
    def output(self) -> Model[Any, Any]:
        """RETURNS (Model): The head's linear layer."""
        return self.head.model.get_ref("output")


def find_source(nlp: Language, path: str) -> Source:
    """RETURNS (Source): What a pipeline's slim one is made from.
    RAISES (InputError): If it can't be made."""
    name, head = find_single_head(nlp, path, "a slim pipeline")
    if head.model.name == ONNX_CLASSIFIER:
        raise InputError(f"{path} is a slim pipeline already")
    own = find_nodes(head.model, WINDOWED_TRANSFORMER)
    shared = {
        other: find_nodes(component.model, WINDOWED_TRANSFORMER)
        for other, component in cast(list[tuple[str, Any]], nlp.pipeline)
        if name in getattr(component, "listening_components", [])
    }
    dropped = next(iter(shared), None)
    found = own or (shared[dropped] if dropped else [])
    if len(found) != 1 or not head.model.has_ref("output"):
        raise InputError(
            f"{path}: {name} isn't a linear layer on a WindowedTransformer, which is what can be "
            "made slim"
        )
    refuse_listeners(nlp, path, {name, dropped})
    return Source(name, head, dropped, found[0])


def refuse_listeners(nlp: Language, path: str, turned: set[str | None]) -> None:
    """RAISES (InputError): If a component that is kept needs a transformer, or torch.
    turned (set[str | None]): The names of those that become one model."""
    needy = [
        name
        for name, component in nlp.components
        if name not in turned and needs_torch(getattr(component, "model", None))
    ]
    if needy:
        raise InputError(
            f"{path}: {', '.join(needy)} can't be made slim: only token_ner runs without torch; "
            "remove such components (nlp.remove_pipe) and save the pipeline first"
        )


def needs_torch(model: Any) -> bool:
    """RETURNS (bool): Whether a component's model listens to a transformer, or holds a model of
    another library."""
    if not isinstance(model, Model):
        return False
    return any(node.name == LISTENER or node.shims for node in model.walk())


def find_nodes(model: Model[Any, Any], name: str) -> list[Model[Any, Any]]:
    return [node for node in model.walk() if node.name == name]
