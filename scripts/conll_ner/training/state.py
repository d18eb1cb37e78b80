"""The state of a training after an evaluation, from which it can be resumed."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy
import torch
from spacy.language import Language
from thinc.api import Model, Optimizer, get_current_ops

from conll_ner.common.console import InputError
from conll_ner.common.files import atomic_write

STATE = "state.pt"
SLOTS = ("mom1", "mom2", "averages", "nr_update", "last_seen")  # of thinc's optimizer
Evaluation = tuple[float, dict[str, Any]]  # the score that is compared, and all scores
Key = tuple[int, str]  # of thinc's optimizer: the id of a node or shim, and a parameter's name


class State(NamedTuple):
    """How far a training has come.

    run (dict[str, Any]): The record of the training, which must be the same.
    step (int): The last step; -1 at the beginning.
    evaluations (Sequence[Evaluation]): All so far.
    """

    run: dict[str, Any]
    step: int = -1
    evaluations: Sequence[Evaluation] = ()

    def advance(self, info: dict[str, Any]) -> "State":
        """RETURNS (State): After a step that was evaluated, of which spaCy gives `info`."""
        evaluation = info["score"], info["other_scores"]
        return State(self.run, info["step"], [*self.evaluations, evaluation])


def load_state(folder: Path, run: dict[str, Any], *, strict: bool) -> State | None:
    """Load the state of an interrupted training.

    run (dict[str, Any]): The record of the training that resumes it. All but the hardware must be
        the same.
    strict (bool): Whether another training is an error instead of no state.
    RETURNS (State | None): The state in the folder; None if there is none.
    RAISES (InputError): If it is of another training, and `strict`.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    saved = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    state = State(**json.loads(saved["state"]))
    changed = [name for name in run if name != "hardware" and run[name] != state.run.get(name)]
    if changed and strict:
        raise InputError(
            f"{folder} is of a training with another {', '.join(changed)}; omit --resume to start "
            "over"
        )
    return None if changed else state


def save_state(folder: Path, state: State, nlp: Language, optimizer: Optimizer) -> None:
    """Write the state to the folder, with weights, optimizers and random states. It replaces the
    one before."""
    weights, keys, shims = list_parameters(nlp)
    slots = {name: getattr(optimizer, name) or {} for name in SLOTS}
    numpy_state = cast(tuple[Any, ...], numpy.random.get_state(legacy=True))
    saved = {
        "state": json.dumps(state._asdict()),
        "weights": [to_tensor(node.get_param(name)) for node, name in weights],
        "slots": {name: [to_tensor(slot.get(key)) for key in keys] for name, slot in slots.items()},
        "models": [shim._model.state_dict() for shim in shims],
        "torch_optimizers": [shim._optimizer and shim._optimizer.state_dict() for shim in shims],
        "python": random.getstate(),
        "numpy": [x.tolist() if isinstance(x, numpy.ndarray) else x for x in numpy_state],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all(),  # CuPy's can't be read
    }
    with atomic_write(folder / STATE) as temporary:
        torch.save(saved, temporary)


def restore_state(folder: Path, nlp: Language, optimizer: Optimizer) -> None:
    """Set weights, optimizers and random states to those that were saved."""
    saved = torch.load(folder / STATE, map_location="cpu", weights_only=True)
    weights, keys, shims = list_parameters(nlp)
    for (node, name), value in zip(weights, saved["weights"], strict=True):
        node.set_param(name, to_array(value))
    for name, values in saved["slots"].items():
        for key, value in zip(keys, values, strict=True):
            if value is not None:
                getattr(optimizer, name)[key] = to_array(value)
    for shim, model, moments in zip(shims, saved["models"], saved["torch_optimizers"], strict=True):
        shim._model.load_state_dict(model)
        if moments is not None:
            shim.make_optimizer(optimizer).load_state_dict(moments)
    random.setstate(saved["python"])
    numpy.random.set_state(tuple(saved["numpy"]))
    torch.set_rng_state(saved["torch"])
    torch.cuda.set_rng_state_all(saved["cuda"][: torch.cuda.device_count()])


def list_parameters(
    nlp: Language,
) -> tuple[list[tuple[Model[Any, Any], str]], list[Key], list[Any]]:
    """List what is trained, in the same order in every process, unlike the ids.

    RETURNS (tuple[list[tuple[Model, str]], list[Key], list[Shim]]): Node and name of thinc's
        parameters, the keys of these and of torch's, and the shims, which hold torch's models.
    """
    models = [getattr(component, "model", None) for _, component in nlp.pipeline]
    nodes = [node for model in models if isinstance(model, Model) for node in model.walk()]
    weights = [(node, name) for node in nodes for name in node.param_names if node.has_param(name)]
    shims: list[Any] = [shim for node in nodes for shim in node.shims]
    keys = [(node.id, name) for node, name in weights]
    keys += [(shim.id, name) for shim in shims for name, _ in shim._model.named_parameters()]
    return weights, keys, shims


def to_tensor(value: Any) -> Any:
    """RETURNS (Tensor | int | None): An array as a tensor, and another value as it is."""
    return value if value is None or isinstance(value, int) else torch.as_tensor(value)


def to_array(value: Any) -> Any:
    """RETURNS (ndarray | cupy.ndarray | int): A tensor as an array on the current device."""
    return value if isinstance(value, int) else get_current_ops().asarray(value.numpy())
