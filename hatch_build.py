"""Puts the signed-in app into the wheel, as `tools/ui` built it; without it the wheel is whole but for the app."""

import os
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class AppHook(BuildHookInterface[Any]):
    """AVOW_UI names the folder of the built app; without it, a build in the checkout is taken."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        built = Path(os.environ.get("AVOW_UI") or Path(self.root, "ui", "dist"))
        if (built / "index.html").is_file():
            build_data["force_include"][str(built)] = "avow/ui"
        else:
            self.app.display_warning("the signed-in app was not built and is not in this wheel")
