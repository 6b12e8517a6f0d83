"""`avow upstream …` and `avow model …`: what the operator offers, and what it costs."""

from __future__ import annotations

import math
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from avow import printing
from avow.completing import Named
from avow.terminal import at_desk, nano_of, run

if TYPE_CHECKING:
    from avow.gateway.fleet import Routing
    from avow.gateway.offers import Offer
    from avow.gateway.upstreams import Leaving

SIZES_MAX = 64
"""Prices of one model's images."""


@click.group()
def upstream() -> None:
    """Providers that models run at."""


@upstream.command("add")
@click.argument("name")
@click.argument("base_url")
@click.option(
    "--processor", help="The party's name in the policy; by default NAME, and none for a URL of this machine."
)
@click.option("--own", is_flag=True, help="It runs in this house: no outside party sees anything.")
@click.option("--region", help="The country of its servers, as in the policy, for example DE.")
@click.option("--trains/--trains-not", default=None, help="Whether it trains models on what it gets.")
@click.option("--retention-h", type=click.IntRange(0), help="For how many hours it keeps what it gets.")
@click.option("--contract", help="The id of the data processing agreement, as in the policy.")
@click.option("--evidence-until", type=click.DateTime(["%Y-%m-%d"]), help="The day (UTC) on which the evidence ends.")
@click.option(
    "--kind", type=Named("avow.gateway.upstreams", "KINDS"), default="openai", show_default=True, help="What it speaks."
)
@click.option(
    "--leaving",
    type=Named("avow.gateway.upstreams", "Leaving"),
    default="estimate",
    help="For who leaves before the end.",
)
@click.option("--key", "has_key", is_flag=True, help="Read the provider's API key from standard input.")
@click.pass_context
def upstream_add(
    context: click.Context,
    name: str,
    base_url: str,
    processor: str | None,
    own: bool,
    region: str | None,
    trains: bool | None,
    retention_h: int | None,
    contract: str | None,
    evidence_until: datetime | None,
    kind: str,
    leaving: Leaving,
    has_key: bool,
) -> None:
    """Add a provider, or say all of it anew. BASE_URL ends before /chat/completions or /messages, usually in /v1."""
    from avow.gateway import offers
    from avow.gateway.handling import Handling, admit, is_here
    from avow.registers import documents

    credential = sys.stdin.readline().strip() if has_key else None
    party = None if own else processor or (None if is_here(base_url) else name)
    until = None if evidence_until is None else evidence_until.replace(tzinfo=UTC)
    declared = Handling(party, region, trains, retention_h, contract, until)

    async def work() -> str:
        async with at_desk(context) as at, at.keeper.begin() as c:
            await offers.put_upstream(c, at.vault, name, base_url, credential, declared, kind, leaving)
            now = at.parts.clock.now()
            held, host = await documents.valid(c, now), urlsplit(base_url).hostname or ""
            admission = admit(at.vault.policy, declared, held, host, now)
            return "" if admission.holds(now) else admission.reason

    forbidden = run(work())
    printing.say(f"upstream {name}: {base_url}", name=name, base_url=base_url, forbidden=forbidden or None)
    if forbidden:
        printing.note(f"  It gets nothing yet: {forbidden}. docs/reference/gateway.md says what to declare.")


@upstream.command("change")
@click.argument("name")
@click.option("--url", "base_url", help="Where it is now; ends as in upstream add.")
@click.option("--processor", help="The party's name in the policy.")
@click.option("--own", is_flag=True, help="It runs in this house: no outside party sees anything.")
@click.option("--region", help="The country of its servers.")
@click.option("--trains/--trains-not", default=None, help="Whether it trains models on what it gets.")
@click.option("--retention-h", type=click.IntRange(0), help="For how many hours it keeps what it gets.")
@click.option("--contract", help="The id of the data processing agreement.")
@click.option("--evidence-until", type=click.DateTime(["%Y-%m-%d"]), help="The day (UTC) on which the evidence ends.")
@click.option("--kind", type=Named("avow.gateway.upstreams", "KINDS"), help="What it speaks.")
@click.option("--leaving", type=Named("avow.gateway.upstreams", "Leaving"), help="For who leaves before the end.")
@click.option("--key", "has_key", is_flag=True, help="Read the provider's new API key from standard input.")
@click.option("--no-key", is_flag=True, help="It asks for no API key any more.")
@click.pass_context
def upstream_change(
    context: click.Context,
    /,
    name: str,
    own: bool,
    has_key: bool,
    no_key: bool,
    evidence_until: datetime | None,
    **given: Any,
) -> None:
    """Change what is said of a provider; what is not named stays as it is."""
    from avow.gateway import upstream_terms

    if (own and given["processor"]) or (has_key and no_key):
        raise click.UsageError("--own and --processor exclude each other, and so do --key and --no-key.")
    told: dict[str, Any] = {each: value for each, value in given.items() if value is not None}
    if own:
        told["processor"] = None
    if has_key or no_key:
        told["credential"] = None if no_key else sys.stdin.readline().strip()
    if evidence_until is not None:
        told["evidence_until"] = evidence_until.replace(tzinfo=UTC)
    if not told:
        raise click.UsageError("Say what is to be another: avow upstream change --help lists what can be.")

    async def work() -> str:
        async with at_desk(context) as at, at.keeper.begin() as c:
            wanted, now = upstream_terms.Change(**told), at.parts.clock.now()
            return (await upstream_terms.change(c, at.vault, name, wanted, now)).forbidden

    forbidden = run(work())
    changed = [each if each != "base_url" else "url" for each in told]
    printing.say(
        f"upstream {name}: {', '.join(changed)} changed", name=name, changed=changed, forbidden=forbidden or None
    )
    if forbidden:
        printing.note(f"  It gets nothing: {forbidden}. docs/reference/gateway.md says what to declare.")


@upstream.command("drain")
@click.argument("name")
@click.option("--end", "ends", is_flag=True, help="Send it requests again.")
@click.pass_context
def upstream_drain(context: click.Context, name: str, ends: bool) -> None:
    """Send an upstream nothing new; what runs there comes to its end."""
    from avow.gateway import offers

    async def work() -> None:
        async with at_desk(context) as at, at.keeper.begin() as c:
            await offers.drain(c, name, ends=ends)

    run(work())
    state = "active" if ends else "draining"
    printing.say(f"upstream {name}: {state}", name=name, state=state)


@upstream.command("remove")
@click.argument("name")
@click.pass_context
def upstream_remove(context: click.Context, name: str) -> None:
    """Forget an upstream at which no model is offered, and its API key."""
    from avow.gateway import offers

    async def work() -> None:
        async with at_desk(context) as at, at.keeper.begin() as c:
            await offers.remove_upstream(c, name)

    run(work())
    printing.say(f"upstream {name}: removed", name=name, state="removed")


@click.group()
def model() -> None:
    """Models that can be called."""


@model.command("add")
@click.argument("id")
@click.option("--upstream", required=True, help="The name of its upstream.")
@click.option("--theirs", help="What the upstream calls it; by default ID.")
@click.option("--context", "context_tokens", type=click.IntRange(1), default=128_000, show_default=True)
@click.option("--max-output", type=click.IntRange(1), default=16_384, show_default=True)
@click.option(
    "--picture-tokens",
    type=int,
    help="The most tokens that a picture in a chat makes; 0, as at first: it takes none.",
)
@click.option("--input", "input_price", help="Price of a million input tokens, for example 0.15.")
@click.option("--output", "output_price", help="Price of a million output tokens.")
@click.option("--per-image", help="Price of an image, for a model that is paid by images and not by tokens.")
@click.option(
    "--per-image-of",
    multiple=True,
    metavar="SIZE,QUALITY=PRICE",
    help="Price of an image of a size or quality, for example 1024x1792,hd=0.12; either may be empty. Repeatable.",
)
@click.option("--per-minute", help="Price of a minute of sound, for a model that is paid by the seconds that it hears.")
@click.option(
    "--per-million-characters", help="Price of a million characters, for a model that is paid by what it speaks."
)
@click.option("--cached", "cached_price", help="Price of a million cached input tokens; by default that of input.")
@click.option("--cache-write", help="Price of a million tokens written to a cache; by default that of input.")
@click.option("--reasoning", help="Price of a million reasoning tokens; by default that of output.")
@click.option("--image", help="Price of a million image tokens; by default the dearer of input and output.")
@click.option("--audio", help="Price of a million audio tokens; by default the dearer of input and output.")
@click.option(
    "--routing",
    type=Named("avow.gateway.fleet", "ROUTINGS"),
    default="finish",
    show_default=True,
    help="How routes are chosen.",
)
@click.option("--rank", type=click.IntRange(0), default=0, show_default=True, help="Lower ranks are tried first.")
@click.option("--weight", type=click.IntRange(1), default=1, show_default=True, help="Its share, or its speed.")
@click.option("--cost", default="0", show_default=True, help="What a million tokens cost the operator there.")
@click.pass_context
def model_add(
    context: click.Context,
    id: str,
    upstream: str,
    theirs: str | None,
    context_tokens: int,
    max_output: int,
    picture_tokens: int | None,
    input_price: str | None,
    output_price: str | None,
    per_image: str | None,
    per_image_of: tuple[str, ...],
    per_minute: str | None,
    per_million_characters: str | None,
    cached_price: str | None,
    cache_write: str | None,
    reasoning: str | None,
    image: str | None,
    audio: str | None,
    routing: Routing,
    rank: int,
    weight: int,
    cost: str,
) -> None:
    """Offer a model, or change it; a changed price holds from now on. With another upstream it gets one more route."""
    from avow.billing import prices
    from avow.gateway import offers
    from avow.gateway.offers import Offer

    _check_room(context_tokens, max_output)
    told = {"images": per_image, "seconds": per_minute, "characters": per_million_characters}
    parts: dict[str, Any] = {"image_nano": image, "audio_nano": audio}
    parts = {name: nano_of(each) for name, each in parts.items() if each}
    priced = _main_price(input_price, output_price, {name: each for name, each in told.items() if each}, bool(parts))
    offer = Offer(
        id=id,
        upstream=upstream,
        their_name=theirs or id,
        context_tokens=context_tokens,
        output_tokens_max=max_output,
        picture_tokens=picture_tokens,
        **(priced | parts | _sizes(per_image, per_image_of)),
        cached_nano=nano_of(cached_price) if cached_price else None,
        cache_write_nano=nano_of(cache_write) if cache_write else None,
        reasoning_nano=nano_of(reasoning) if reasoning else None,
        routing=routing,
        rank=rank,
        weight=weight,
        cost_nano=nano_of(cost),
    )

    async def work() -> None:
        async with at_desk(context) as at, at.keeper.begin() as c:
            await offers.put_model(c, offer, at.parts.clock.now(), prices.Seal.of(at.vault.ring))

    run(work())
    free = _is_free(offer)
    why = ": free, for all its prices are 0" if free else ""
    printing.say(f"model {id} at {upstream}{why}", id=id, upstream=upstream, free=free)


@model.command("change")
@click.argument("id")
@click.option("--upstream", required=True, help="The name of its upstream.")
@click.option("--theirs", "their_name", help="What the upstream calls it.")
@click.option("--rank", type=click.IntRange(0), help="Lower ranks are tried first.")
@click.option("--weight", type=click.IntRange(1), help="Its share, or its speed.")
@click.option("--cost", help="What a million tokens cost the operator there.")
@click.pass_context
def model_change(context: click.Context, /, id: str, upstream: str, **given: Any) -> None:
    """Change how a model's route to an upstream is chosen; what is not named stays as it is."""
    from avow.gateway import route_terms

    told = {name: value for name, value in given.items() if value is not None}
    if not told:
        raise click.UsageError("Say what is to be another: avow model change --help lists what can be.")

    async def work() -> None:
        async with at_desk(context) as at, at.keeper.begin() as c:
            await route_terms.change(c, id, upstream, route_terms.Change(**told))

    run(work())
    changed = [each if each != "their_name" else "theirs" for each in told]
    printing.say(f"model {id} at {upstream}: {', '.join(changed)} changed", id=id, upstream=upstream, changed=changed)


@model.command("leave")
@click.argument("id")
@click.option("--upstream", required=True, help="The name of the upstream where it ran.")
@click.pass_context
def model_leave(context: click.Context, id: str, upstream: str) -> None:
    """Take a model's route to an upstream away; a model without routes is not offered."""
    from avow.gateway import offers

    async def work() -> None:
        async with at_desk(context) as at, at.keeper.begin() as c:
            await offers.leave(c, id, upstream)

    run(work())
    printing.say(f"model {id} not at {upstream}", id=id, left=upstream)


def _main_price(
    input_price: str | None, output_price: str | None, told: dict[str, str], has_parts: bool
) -> dict[str, Any]:
    """What a model is paid by, as the fields of an offer: tokens, or one other thing."""
    from avow.billing import prices

    by_tokens = input_price is not None and output_price is not None
    if by_tokens == bool(told) or len(told) > 1 or (told and (input_price or output_price or has_parts)):
        raise click.UsageError(
            "A price is --input and --output, or one of --per-image, --per-minute and --per-million-characters."
        )
    if input_price is not None and output_price is not None:
        return {"input_nano": nano_of(input_price), "output_nano": nano_of(output_price)}
    ((counts, amount),) = told.items()
    nano, made = nano_of(amount), {"input_nano": 0, "output_nano": 0, "counts": counts}
    if counts == "images":
        return {**made, "image_nano": nano * prices.PER}
    return (
        {**made, "input_nano": nano} if counts == "characters" else {**made, "audio_nano": -(-nano * prices.PER // 60)}
    )


def _check_room(context_tokens: int, max_output: int) -> None:
    """The longest answer is a part of the context. Raises BadParameter."""
    if max_output > context_tokens:
        raise click.BadParameter(
            f"An answer of {max_output} tokens (--max-output) has no room in a context of {context_tokens} (--context)."
        )


def _is_free(offer: Offer) -> bool:
    """Whether nothing that a request can make costs anything."""
    parts = offer.cached_nano, offer.cache_write_nano, offer.reasoning_nano, offer.image_nano, offer.audio_nano
    return not any((offer.input_nano, offer.output_nano, *parts, *(offer.sizes or {}).values()))


def _sizes(per_image: str | None, rows: tuple[str, ...]) -> dict[str, Any]:
    """Prices of images by size and quality: one for what they have in common, and how many times each is that."""
    from avow.billing import prices
    from avow.gateway import media

    if not rows:
        return {}
    if per_image is None:
        raise click.UsageError("--per-image-of goes with --per-image, the price of all other images.")
    told = {",": nano_of(per_image)}
    for row in rows:
        name, _, amount = row.partition("=")
        known = [each for each in name.split(",") if each]
        price = nano_of(amount) if amount else -1
        if name.count(",") != 1 or price < 0 or not known or None in map(media.named, known):
            raise click.BadParameter(f"{row!r} is not SIZE,QUALITY=PRICE.")
        told[name.lower()] = price
    if len(told) > SIZES_MAX:
        raise click.BadParameter(f"A model has at most {SIZES_MAX} prices.")
    common = math.gcd(*told.values()) or 1
    return {"image_nano": common * prices.PER, "sizes": {name: each // common for name, each in told.items()}}
