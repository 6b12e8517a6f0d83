"""Mail leaves when its cause is committed, at least once, under one id, a bounded number of times."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import RowMapping, func, select
from sqlalchemy.exc import DBAPIError

from avow.base.ids import uuid7
from avow.base.mail import MailRefused
from avow.vault import Buried, Vault, outbox, standing, tables
from avow.vault.outbox import Drained, drain
from tests.conftest import Databases
from tests.vault.conftest import SetClock

TENANT, ALICE = UUID(int=10), UUID(int=1)


@dataclass
class Relay:
    """A mail transport that keeps what it is given and fails while told to."""

    failure: Exception | None = None
    taken: list[tuple[str, str, str, str]] = field(default_factory=list)

    async def send(self, message_id: str, to: str, subject: str, text: str) -> None:
        self.taken.append((message_id, to, subject, text))
        if self.failure:
            raise self.failure


async def put(database: Databases, vault: Vault, message_id: UUID, text: str = "Welcome") -> None:
    async with database.app.tenant(TENANT) as conn:
        await outbox.put(
            conn,
            vault,
            message_id=message_id,
            tenant_id=TENANT,
            subject_id=ALICE,
            recipient="ada@example.org",
            subject="Hello",
            text=text,
        )


async def waiting(database: Databases) -> Sequence[RowMapping]:
    async with database.keeper.begin() as conn:
        return (await conn.execute(select(tables.outbox))).mappings().all()


async def test_a_card_number_is_neither_stored_nor_mailed(database: Databases, vault: Vault) -> None:
    await put(database, vault, uuid7(), "You wrote: 4111-1111-1111-1111")
    relay = Relay()
    await drain(database.keeper, vault, relay)
    assert [text for _, _, _, text in relay.taken] == ["You wrote: ****-****-****-1111"]


async def test_a_message_is_sealed_sent_once_and_removed(database: Databases, vault: Vault) -> None:
    message_id = uuid7()
    await put(database, vault, message_id)
    (row,) = await waiting(database)
    assert b"ada@" not in row["box"]
    assert row["ends_at"] == vault.clock.now() + timedelta(hours=24)
    relay = Relay()
    assert await drain(database.keeper, vault, relay) == Drained(sent=1)
    assert relay.taken == [(f"{message_id}@avow", "ada@example.org", "Hello", "Welcome")]
    assert await waiting(database) == []
    assert await drain(database.keeper, vault, relay) == Drained()
    async with database.keeper.begin() as conn:
        (seen,) = (await conn.execute(select(tables.audit))).mappings().all()
    assert (seen["actor"], seen["category"], seen["purpose"]) == ("system:keeper", "mail", "service")


async def test_a_message_of_a_rolled_back_transaction_is_never_sent(database: Databases, vault: Vault) -> None:
    class Changed(Exception):
        pass

    with pytest.raises(Changed):
        async with database.app.tenant(TENANT) as conn:
            await outbox.put(
                conn,
                vault,
                message_id=uuid7(),
                tenant_id=TENANT,
                subject_id=ALICE,
                recipient="a@example.org",
                subject="s",
                text="t",
            )
            raise Changed
    assert await waiting(database) == []


async def test_the_same_message_twice_is_one(database: Databases, vault: Vault) -> None:
    message_id = uuid7()
    await put(database, vault, message_id, "first")
    await put(database, vault, message_id, "second")
    relay = Relay()
    assert (await drain(database.keeper, vault, relay)).sent == 1
    assert relay.taken[0][3] == "first"


async def test_a_failing_relay_is_tried_later_each_time_under_the_same_id_and_not_for_ever(
    database: Databases, vault: Vault, clock: SetClock
) -> None:
    await put(database, vault, uuid7())
    relay = Relay(MailRefused())
    waits = []
    for attempt in range(1, 7):
        assert await drain(database.keeper, vault, relay) == Drained(postponed=1)
        assert await drain(database.keeper, vault, relay) == Drained()
        (row,) = await waiting(database)
        assert row["attempts"] == attempt
        waits.append((row["next_try_at"] - clock.moment).total_seconds())
        clock.moment = row["next_try_at"]
    assert waits == sorted(set(waits))
    assert clock.now() < row["ends_at"]
    assert await drain(database.keeper, vault, relay) == Drained(failed=1)
    clock.moment = row["ends_at"] - timedelta(seconds=1)
    assert await drain(database.keeper, vault, Relay()) == Drained()
    assert [row["state"] for row in await waiting(database)] == ["failed"]
    assert len({message_id for message_id, *_ in relay.taken}) == 1


async def test_a_message_that_fits_no_header_stops_no_other(database: Databases, vault: Vault) -> None:
    await put(database, vault, uuid7())
    await put(database, vault, uuid7())
    assert await drain(database.keeper, vault, Relay(ValueError("Header values may not contain linefeed"))) == Drained(
        postponed=2
    )


async def test_a_kill_between_sending_and_removing_leads_to_one_more_attempt(
    database: Databases, vault: Vault, clock: SetClock
) -> None:
    class Killed(BaseException):
        pass

    class KilledRelay(Relay):
        async def send(self, message_id: str, to: str, subject: str, text: str) -> None:
            await super().send(message_id, to, subject, text)
            raise Killed

    await put(database, vault, uuid7())
    first, second = KilledRelay(), Relay()
    with pytest.raises(Killed):
        await drain(database.keeper, vault, first)
    assert await drain(database.keeper, vault, second) == Drained()
    clock.moment += timedelta(minutes=1)
    assert await drain(database.keeper, vault, second) == Drained(sent=1)
    assert first.taken == second.taken


async def test_a_message_taken_by_one_drain_is_passed_over_by_another(database: Databases, vault: Vault) -> None:
    await put(database, vault, uuid7())
    async with database.keeper.begin() as conn:
        await conn.execute(select(tables.outbox).with_for_update())
        assert await drain(database.keeper, vault, Relay()) == Drained()
    assert (await drain(database.keeper, vault, Relay())).sent == 1


async def test_mail_to_the_erased_is_dropped_and_none_is_taken(database: Databases, vault: Vault) -> None:
    await put(database, vault, uuid7())
    vault.ring.destroy_holders(ALICE, None, vault.clock.now())
    relay = Relay()
    assert await drain(database.keeper, vault, relay) == Drained(dropped=1)
    assert relay.taken == []
    assert await waiting(database) == []
    with pytest.raises(Buried):
        await put(database, vault, uuid7())


async def test_mail_waits_while_its_reader_has_the_use_restricted(
    database: Databases, vault: Vault, clock: SetClock
) -> None:
    await put(database, vault, uuid7())
    async with database.app.tenant(TENANT) as conn:
        await standing.record(conn, vault.policy, TENANT, ALICE, "restriction", value=True, at=clock.now())
    relay = Relay()
    assert await drain(database.keeper, vault, relay) == Drained(postponed=1)
    assert relay.taken == []


async def test_mail_past_its_end_is_not_sent(database: Databases, vault: Vault, clock: SetClock) -> None:
    await put(database, vault, uuid7())
    clock.moment += timedelta(hours=24)
    assert await drain(database.keeper, vault, Relay()) == Drained()


async def test_the_app_may_put_mail_and_not_read_it(database: Databases, vault: Vault) -> None:
    await put(database, vault, uuid7())
    with pytest.raises(DBAPIError):
        async with database.app.tenant(TENANT) as conn:
            await conn.execute(select(func.count()).select_from(tables.outbox))
    with pytest.raises(DBAPIError):
        async with database.app.tenant(UUID(int=99)) as conn:
            await outbox.put(
                conn,
                vault,
                message_id=uuid7(),
                tenant_id=TENANT,
                subject_id=ALICE,
                recipient="a@example.org",
                subject="s",
                text="t",
            )
