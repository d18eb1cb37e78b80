"""Label Studio's JSON-MIN exports, which have a record for each annotation
(https://labelstud.io/guide/export)."""

from conll_ner.data.formats.json_records import json_format
from conll_ner.data.formats.readers.labelstudio import is_labelstudio_min, read_labelstudio_min

FORMAT = json_format(
    "labelstudio-min",
    "Label Studio, JSON-MIN",
    '"annotation_id", or regions with "labels" in a field of any name',
    is_labelstudio_min,
    read_labelstudio_min,
    is_general=True,
)
