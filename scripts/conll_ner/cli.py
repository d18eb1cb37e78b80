"""`python -m spacy ner NAME`: the commands, by stage.

spaCy loads this module whenever its command line starts (entry point `spacy_cli`), so it imports
nothing else of the package. A command's module is imported when the command is called. Before
`spacy project run`, the variables of our projects are checked: nothing else of ours runs before
weasel reads them.
"""

import sys
from importlib import import_module
from typing import Any, NamedTuple

import typer
from spacy.cli._util import app as spacy_app
from typer.core import TyperGroup


class Entry(NamedTuple):
    """A command.

    place (str): Its module in this package, and behind a colon the function or app in it; without
        one, `app`, or else `main`.
    help (str): A line for the overview.
    """

    place: str
    help: str


STAGES: dict[str, dict[str, Entry]] = {
    "Data": {
        "fetch": Entry("data.fetch", "Fetch and verify a corpus or a backbone"),
        "convert": Entry("data.convert", "Convert annotations of any format to DocBin, and back"),
    },
    "Training": {
        "init-config": Entry("training.init_config", "Write a complete config for your project"),
        "train": Entry("training.train", "Train a pipeline from a config, with resume and a log"),
        "teach": Entry("training.teach", "Annotate texts as training data for a smaller pipeline"),
        "curve": Entry("training.curve", "Train on growing parts of the documents"),
        "learn-more": Entry("training.learn_more", "Prepare data that teach a pipeline more"),
        "calibrate": Entry("training.calibrate", "Fit the calibration of the scores"),
    },
    "Evaluation": {
        "evaluate": Entry("evaluation.evaluate", "Score a pipeline on gold with seqeval"),
        "robustness": Entry("evaluation.robustness", "Score raw text, changed case and typos"),
        "info": Entry("evaluation.info", "Print versions, and what a pipeline is"),
        "compare": Entry("evaluation.compare", "Compare two pipelines by the paired bootstrap"),
        "scores": Entry("evaluation.scores", "Print the scores of runs as a Markdown table"),
        "report": Entry("evaluation.report", "Write the report page of a run"),
        "correct": Entry("evaluation.correct", "Apply the corrections of gold from the report"),
    },
    "Prediction": {
        "predict": Entry("prediction.predict", "Annotate files of any size"),
        "redact": Entry("prediction.redact", "Replace the mentions in texts"),
        "review": Entry("prediction.review", "Choose the texts most worth annotating"),
        "annotate": Entry("prediction.annotate", "Annotate Parquet files on a Ray cluster"),
        "serve": Entry("serving.serve", "Serve a pipeline over HTTP, with a page to try it"),
    },
    "Packaging": {
        "package": Entry("packaging.package", "Build a wheel of a pipeline"),
        "slim": Entry("packaging.slim", "Convert a trained pipeline to ONNX Runtime"),
        "check-wheel": Entry("packaging.check_wheel", "Install a wheel in a new venv and check it"),
    },
    "Hugging Face": {
        "hf-train": Entry("huggingface.hf_train", "Fine-tune by the course's Accelerate recipe"),
        "hf-import": Entry("huggingface.hf:import_command", "Convert a checkpoint to a pipeline"),
        "hf-export": Entry("huggingface.hf:export_command", "Convert a pipeline to a checkpoint"),
        "hf-predict": Entry("huggingface.hf:predict_command", "Predict with either of them"),
        "push": Entry("huggingface.push", "Upload a pipeline to the hub, with its model card"),
    },
    "Benchmarks": {
        "benchmark": Entry("benchmarking.benchmark", "Compare speed, F1 and memory of systems"),
        "benchmark-host": Entry("benchmarking.benchmark_host", "Measure the host's time per word"),
        "benchmark-serve": Entry("benchmarking.benchmark_serve", "Measure the service under load"),
    },
}
COMMANDS = {name: entry for entries in STAGES.values() for name, entry in entries.items()}


class LazyGroup(TyperGroup):
    """A group that imports a command's module when the command is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        return load_command(cmd_name) if cmd_name in COMMANDS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        width = max(map(len, COMMANDS))
        for stage, entries in STAGES.items():
            with formatter.section(stage):
                formatter.write_dl([(name.ljust(width), e.help) for name, e in entries.items()])

    def invoke(self, ctx: Any) -> Any:
        from conll_ner.common.console import exit_on_input_error

        with exit_on_input_error():  # also that a command's module needs an extra
            return super().invoke(ctx)


def load_command(name: str) -> Any:
    """RETURNS (Command): A command of COMMANDS, from its module."""
    module_name, _, attribute = COMMANDS[name].place.partition(":")
    module = import_module(f"{__package__}.{module_name}")
    found = getattr(module, attribute or ("app" if hasattr(module, "app") else "main"))
    if not isinstance(found, typer.Typer):
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(name)(found)
        found = app
    command = typer.main.get_command(found)
    command.name = name
    return command


app = typer.Typer(cls=LazyGroup, no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def ner() -> None:
    """Named-entity recognition: from a corpus to a wheel. --help shows a command's options."""


spacy_app.add_typer(app, name="ner")

if sys.argv[1:3] == ["project", "run"]:
    from conll_ner.common.console import exit_on_input_error
    from conll_ner.common.variables import check_run

    with exit_on_input_error():
        check_run(sys.argv[3:])
