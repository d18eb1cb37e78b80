"""Load what transformers saved: without code that comes with it, and in float32."""

from pathlib import Path
from typing import Any

import transformers

from token_ner import refuse_kernels

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


def load_model(kind: Any, source: str | Path, **settings: Any) -> Any:
    """RETURNS (PreTrainedModel): A model of the hub or a folder, in float32, whatever precision it
        was saved in: transformers 5 would keep that one, and train in it.
    RAISES (ValueError): If its config names kernels, which would be run.
    RAISES (OSError): If it can't be read.

    kind (type): Such as transformers.AutoModel.
    settings: Further arguments of from_pretrained; with output_loading_info, a tuple is returned.
    """
    config, _ = transformers.PretrainedConfig.get_config_dict(source)
    refuse_kernels(config, f"{source}/config.json")
    loaded = kind.from_pretrained(source, trust_remote_code=False, **settings)
    model = loaded[0] if isinstance(loaded, tuple) else loaded
    model.float()
    return loaded
