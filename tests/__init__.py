"""The tests of Avow."""

from typing import Final

LIMIT_S: Final = 300
"""How long a test waits for what must come: far longer than any of it takes, for a machine may be busy."""
