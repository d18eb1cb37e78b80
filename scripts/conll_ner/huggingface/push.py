"""Upload a pipeline to the Hugging Face Hub: wheel, folder and model card."""

import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]
from spacy.cli.package import generate_readme

from conll_ner.common.command import command
from conll_ner.common.console import InputError, msg
from conll_ner.common.files import read_json
from conll_ner.common.hub import hub_errors
from conll_ner.common.overwriting import MARK
from conll_ner.huggingface.card import hub_metadata

CARD = "README.md"
BESIDE = {CARD, ".gitattributes"}  # what a repository without a pipeline may have


@contextmanager
def upload_files(source: Path, repo: str) -> Iterator[Path]:
    """Put together what a repository gets.

    source (Path): The wheel of `package`, or a pipeline's folder.
    YIELDS (Path): A temporary folder: the pipeline's files, a wheel beside them, and the card with
        the hub's metadata.
    RAISES (InputError): If it isn't a pipeline.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "upload"
        ignored = shutil.ignore_patterns(MARK)
        shutil.copytree(find_pipeline(source, Path(temporary)), folder, ignore=ignored)
        meta = read_json(folder / "meta.json", "train or package the pipeline again")
        card = folder / CARD
        text = card.read_text(encoding="utf-8") if card.is_file() else generate_readme(meta)
        if source.is_file():
            shutil.copyfile(source, folder / source.name)
        parts = [f"---\n{hub_metadata(meta)}\n---", text.strip(), usage(repo, source)]
        card.write_text("\n\n".join(parts), encoding="utf-8")
        yield folder


def find_pipeline(source: Path, temporary: Path) -> Path:
    """RETURNS (Path): The folder of the pipeline; of a wheel, unpacked in `temporary`.
    RAISES (InputError): If it isn't a pipeline."""
    folder = source
    if source.suffix == ".whl" and zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as archive:
            archive.extractall(temporary / "wheel")
        configs = (temporary / "wheel").glob("*/*/config.cfg")
        folder = next(configs, source).parent
    if not all((folder / name).is_file() for name in ("config.cfg", "meta.json")):
        raise InputError(
            f"{source} is not a pipeline: pass a wheel of package (packages/…/dist/*.whl) or a "
            "folder that training wrote (training/…/model-best)"
        )
    return folder


def usage(repo: str, source: Path) -> str:
    """RETURNS (str): The end of the card: how to get the pipeline from the hub."""
    lines = [f"python -m spacy ner predict {repo} texts.jsonl -o mentions.jsonl"]
    if source.is_file():
        lines.insert(0, f"pip install {constants.ENDPOINT}/{repo}/resolve/main/{source.name}")
    return "\n".join(["## From the hub", "", "```console", *lines, "```", ""])


def push(folder: Path, repo: str, message: str, *, private: bool) -> str:
    """Upload a folder in one commit, in place of the pipeline that the repository has.

    RETURNS (str): The commit's URL.
    RAISES (InputError): If it can't be written, or has files that are no pipeline's.
    """
    api = HfApi()
    with hub_errors(f"{repo} is not uploaded"):
        api.create_repo(repo, private=private, exist_ok=True)
        files = set(api.list_repo_files(repo))
        if files - BESIDE and "config.cfg" not in files:
            listed = ", ".join(sorted(files - BESIDE)[:5])
            raise InputError(f"it has other files than a pipeline's: {listed}; choose another")
        info: Any = api.upload_folder(
            repo_id=repo, folder_path=folder, commit_message=message, delete_patterns=["*"]
        )
    return str(info.commit_url)


@command
def main(
    pipeline: Annotated[
        Path, typer.Argument(metavar="WHEEL_OR_PIPELINE", help="Wheel of package, or folder")
    ],
    repo: Annotated[str, typer.Argument(help="Repository on the hub: OWNER/NAME")],
    private: Annotated[
        bool, typer.Option("--private", help="Only you can see a repository that is created")
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print what would be uploaded; without a token, always"),
    ] = False,
) -> None:
    """Upload a pipeline to the Hugging Face Hub, with its wheel and model card, in one commit. The
    token is that of HF_TOKEN or of `huggingface-cli login`."""
    with hub_errors(f"{repo} is not OWNER/NAME"):
        validate_repo_id(repo)
        if "/" not in repo:
            raise InputError("the owner is missing")
    with upload_files(pipeline, repo) as folder:
        if dry_run or get_token() is None:
            print_files(folder, repo)
            return
        url = push(folder, repo, f"Upload {pipeline.name}", private=private)
    msg.good(f"{url}")


def print_files(folder: Path, repo: str) -> None:
    """Print what would be uploaded: the card, and the size of each file."""
    msg.text((folder / CARD).read_text(encoding="utf-8"))
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        msg.text(f"{path.stat().st_size / 1e6:>9,.3f} MB  {path.relative_to(folder)}")
    msg.info(f"Nothing is uploaded to {repo}: set HF_TOKEN, and leave out --dry-run")
