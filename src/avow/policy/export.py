"""A policy in the words of others: JSON-LD of the Data Privacy Vocabulary, or a fides manifest.

Values only; whoever writes a file turns them into JSON. Rules that keep nothing are left out: there is no processing.
"""

from collections.abc import Iterator
from typing import Any, Literal

from avow.policy import vocabularies
from avow.policy.model import Category, Keep, Part, Policy
from avow.policy.periods import en
from avow.policy.vocabularies import BASES, CATEGORIES, DPV, PURPOSES

_ISO_UNITS = {"hours": "PT{}H", "days": "P{}D", "months": "P{}M", "years": "P{}Y"}


def export(policy: Policy, format: Literal["dpv", "fides"]) -> dict[str, Any]:
    """`policy` as a document of `format`. Raises ValueError for another format."""
    if format == "dpv":
        return _dpv(policy)
    if format == "fides":
        return _fides(policy)
    raise ValueError(f"there is no format {format!r}; known are dpv and fides")


def _stored(policy: Policy) -> Iterator[Category]:
    return (category for category in policy.categories.values() if category.keep.kind != "never")


def _dpv(policy: Policy) -> dict[str, Any]:
    return {
        "@context": {"dpv": DPV, "pd": vocabularies.PD, "dct": "http://purl.org/dc/terms/"},
        "@id": f"urn:avow:policy:{policy.hash}",
        "@type": "dpv:PrivacyNotice",
        "dct:title": policy.name,
        "dct:hasVersion": str(policy.version),
        "dpv:hasDataController": _controller(policy.parts.get("operator")),
        "dpv:hasProcess": [_process(policy, category) for category in _stored(policy)],
    }


def _controller(part: Part | None) -> dict[str, Any]:
    return {"@type": "dpv:DataController"} | ({} if part is None else {"dct:title": part.values["name"]})


def _process(policy: Policy, category: Category) -> dict[str, Any]:
    given = [part for part in policy.named("processor") if category.name in part.values["categories"]]
    return {
        "@id": f"urn:avow:policy:{policy.hash}:{category.name}",
        "@type": "dpv:Process",
        "dct:title": category.name,
        "dpv:hasPersonalData": {"@id": CATEGORIES[category.name].dpv},
        "dpv:hasPurpose": [{"@id": iri} for iri in dict.fromkeys(PURPOSES[name].dpv for name in category.purposes)],
        "dpv:hasLegalBasis": {"@id": BASES[category.basis].dpv},
        "dpv:hasDuration": duration(category.keep),
        "dpv:hasRecipient": [{"@type": "dpv:DataProcessor", "dct:title": part.values["title"]} for part in given],
    }


def duration(keep: Keep) -> str:
    """An ISO 8601 duration, or the words for what has no number."""
    if keep.kind == "period":
        return _ISO_UNITS[keep.unit].format(keep.amount)
    return "the life of the account" if keep.kind == "life" else "PT0H"


def _fides(policy: Policy) -> dict[str, Any]:
    declarations = [_declaration(category, purpose) for category in _stored(policy) for purpose in category.purposes]
    system = {
        "fides_key": policy.name.replace("-", "_"),
        "name": policy.name,
        "description": f"Policy {policy.hash}, version {policy.version}",
        "system_type": "Service",
        "privacy_declarations": declarations,
    }
    return {"system": [system]}


def _declaration(category: Category, purpose: str) -> dict[str, Any]:
    return {
        "name": f"{category.name} {purpose}",
        "data_categories": [CATEGORIES[category.name].fides],
        "data_use": PURPOSES[purpose].fides,
        "data_subjects": ["customer"],
        "legal_basis_for_processing": BASES[category.basis].fides,
        "retention_period": en(category.keep) if category.keep.kind == "period" else "the life of the account",
    }
