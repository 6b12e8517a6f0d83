"""The tests of Avow."""

import os
from typing import Final

LIMIT_S: Final = float(os.environ.get("TEST_LIMIT_S", "300"))
"""How long a test waits for what must come: far longer than any of it takes, for a machine may be busy. Where bugs are seeded
(`tests.mutants`) much never comes, and the limit is shorter."""
