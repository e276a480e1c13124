"""The special tokens are those that tokenizer_config.json names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distilroberta.runtime import ArtifactError, pipeline

Editor = Callable[..., None]
NAMES = ("mask_token", "unk_token", "cls_token")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("token", [{"a": 1}, {}, {"content": 5}, 5, ["<mask>"], True], ids=repr)
def test_special_token_that_is_no_string_is_refused(
    broken_artifact: Path, edit_json: Editor, name: str, token: Any
) -> None:
    edit_json(broken_artifact, "tokenizer_config.json", lambda tree: tree.update({name: token}))
    with pytest.raises(ArtifactError, match=rf"tokenizer_config\.json: {name} must be a string"):
        pipeline(None, broken_artifact, variant="fp32", provider="cpu")


@pytest.mark.parametrize("form", ["string", "object", "none", "empty"])
def test_special_token_in_any_form(
    broken_artifact: Path, edit_json: Editor, fill: Any, form: str
) -> None:
    def change(tree: dict[str, Any]) -> None:
        for name, token in zip(NAMES, ("<mask>", "<unk>", "<s>"), strict=True):
            forms = {"string": token, "object": {"content": token}, "none": None, "empty": ""}
            tree[name] = forms[form]

    edit_json(broken_artifact, "tokenizer_config.json", change)
    same = pipeline(None, broken_artifact, variant="fp32", provider="cpu").tokenizer
    for name in ("mask_token_id", "unk_token_id", "cls_token_id"):
        assert getattr(same, name) == getattr(fill.tokenizer, name) is not None
