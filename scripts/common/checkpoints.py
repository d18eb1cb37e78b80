"""Load what transformers saved."""

from pathlib import Path
from typing import Any

import transformers

from token_ner.shim import check_tokenizer_files

# transformers 5 shows progress bars for files that take no time.
transformers.utils.logging.disable_progress_bar()


def load_tokenizer(source: str | Path) -> Any:
    """RETURNS (PreTrainedTokenizerBase): A tokenizer of the hub or a folder.
    RAISES (OSError): If a folder has no files of one."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    check_tokenizer_files(source, tokenizer)
    return tokenizer
