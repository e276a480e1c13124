"""The artifact's README.md: a model card a hub can show."""

from __future__ import annotations

from huggingface_hub import ModelCard, ModelCardData
from huggingface_hub.utils import logging as hub_logging

from distilroberta.export.source import Checkpoint
from distilroberta.quantize import measured
from distilroberta.runtime import layout
from distilroberta.runtime.manifest import Manifest

_NO_CARD = """\
The checkpoint came without a model card: what it was trained on, what it is meant for and what
biases it has are not recorded. Find out before you rely on it.
"""


def original_card(checkpoint: Checkpoint) -> ModelCard | None:
    """Return the checkpoint's own model card, or None if it has none that can be read."""
    path = checkpoint.folder / layout.MODEL_CARD
    if not path.is_file():
        return None
    content = path.read_text("utf-8", errors="replace")
    level = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()  # a card without a header is nothing to warn of
    try:
        return ModelCard(content, ignore_metadata_errors=True)
    except Exception:  # broken YAML of any kind: the text is still worth carrying over
        return ModelCard(content.replace("---", "", 1), ignore_metadata_errors=True)
    finally:
        hub_logging.set_verbosity(level)


def licence_of(card: ModelCard | None) -> str | None:
    """Return the licence a model card names, or None."""
    licence = card.data.get("license") if card is not None else None
    return licence if isinstance(licence, str) else None


def render(checkpoint: Checkpoint, manifest: Manifest, card: ModelCard | None) -> str:
    """Return the text of the artifact's model card."""
    from_hub = checkpoint.revision is not None
    data = ModelCardData(
        license=manifest.licence,
        base_model=checkpoint.name if from_hub else None,
        pipeline_tag=manifest.task,
        library_name="onnx",
        tags=["onnx", "distilroberta-onnx"],
    )
    revision = f" at revision `{checkpoint.revision}`" if from_hub else ""
    text = f"""\
# {checkpoint.name}, as ONNX

Built for {manifest.task} from `{checkpoint.name}`{revision} by distilroberta-onnx
{manifest.tools["distilroberta-onnx"]}. The weights' digest is in `{layout.MANIFEST}`, with every
file's.

```python
from distilroberta.runtime import pipeline

answer = pipeline("{manifest.task}", "path/to/this/folder")
```

{measured.section(manifest)}## Intended use, limits and bias

{_carried_over(card)}"""
    return f"---\n{data.to_yaml()}\n---\n\n{text}"


def _carried_over(card: ModelCard | None) -> str:
    if card is None or not card.text.strip():
        return _NO_CARD
    # Its headings go one level down, below this section.
    lines = []
    in_code = False
    for line in card.text.strip().splitlines():
        in_code ^= line.startswith("```")
        lines.append(f"##{line}" if line.startswith("#") and not in_code else line)
    return "From the original model card:\n\n" + "\n".join(lines) + "\n"
