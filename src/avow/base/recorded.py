"""What a route or a command puts on the record: an act, or nothing and why. The tables of them stand in
`avow.accounts.acts.ROUTES` and `avow.commands.COMMANDS`."""

from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing is put on the record, because of `why`."""

    why: str


@dataclass(frozen=True, slots=True)
class Command:
    """The act of a command, and where it stands: on the platform's record, on that of the person whose id was given, or
    wherever the command itself puts it, together with what it does. `asks_why`: not without a reason."""

    word: str
    record: Literal["platform", "person", "itself"] = "platform"
    asks_why: bool = False


READS: Final = Silent("it changes nothing; what it opens, the vault records")
