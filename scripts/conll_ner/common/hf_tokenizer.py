"""Load what transformers saved."""

from pathlib import Path
from typing import Any

import transformers

# transformers 5 shows progress bars for files that take no time.
transformers.utils.logging.disable_progress_bar()


def load_tokenizer(source: str | Path) -> Any:
    """RETURNS (PreTrainedTokenizerBase): A tokenizer of the hub or a folder.
    RAISES (OSError): If a folder has no files of one. transformers 5 would make an empty one."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    folder, names = Path(source), sorted(set(tokenizer.vocab_files_names.values()))
    if folder.is_dir() and not any((folder / name).is_file() for name in names):
        raise OSError(f"no tokenizer in {source}: it needs one of {', '.join(names)}")
    return tokenizer
