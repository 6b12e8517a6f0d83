"""What a call of the ledger is told, as rows."""

from alembic import op

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    # In the order of the fields in `billing.events`.
    op.execute("""
        CREATE TYPE told_open AS (
            id uuid, key_id uuid, amount bigint, price_id uuid, model text, at timestamptz, expires_at timestamptz,
            money_ends_at timestamptz, usage_ends_at timestamptz, version int, tokens_max int
        )
    """)
    op.execute("""
        CREATE TYPE told_settle AS (
            id uuid, asked bigint, input int, cached int, output int, latency int, status int, why text, write int,
            reasoning int, image int, audio int, estimated boolean
        )
    """)
    op.execute("CREATE TYPE told_checkpoint AS (id uuid, input int, cached int, output int)")
    op.execute("""
        CREATE TYPE told_trace AS (
            id uuid, ends_at timestamptz, box bytea, of_tenant boolean, usage_of_tenant boolean, line uuid, line_box bytea,
            line_size bigint
        )
    """)
    # By how much what a key and its shared limits have used is less, once a hold is settled.
    op.execute("""
        CREATE TYPE key_correction AS (
            key_id uuid, counted_at timestamptz, shared uuid[], shared_at timestamptz, voids int, tokens bigint,
            held bigint, back bigint
        )
    """)
