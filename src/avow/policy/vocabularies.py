"""What categories, purposes and bases are called in two public vocabularies.

fideslang 3 (data categories, data uses) and the Data Privacy Vocabulary 2 of a W3C community group. Where a vocabulary
has no narrower word the nearest wider one stands, so that nothing claims more than it is.
"""

from collections.abc import Mapping
from typing import NamedTuple

DPV = "https://w3id.org/dpv#"
PD = "https://w3id.org/dpv/pd#"


class Known(NamedTuple):
    """One word of ours: its fideslang key and its DPV IRI."""

    fides: str
    dpv: str


CATEGORIES: Mapping[str, Known] = {
    "account": Known("user.account", PD + "Contact"),
    "credential": Known("user.authorization.credentials", PD + "Authenticating"),
    "api_content": Known("user.content.private", PD + "Communication"),
    "usage": Known("user.behavior", PD + "ServiceConsumptionBehavior"),
    "payment": Known("user.payment", PD + "Transactional"),
    "audit": Known("system.operations", DPV + "PersonalData"),
    "consent": Known("user.privacy_preferences", PD + "Preference"),
    "rights": Known("user.privacy_preferences", PD + "Communication"),
    "security_log": Known("system.authentication", PD + "AuthenticationHistory"),
    "mail": Known("user.contact.email", PD + "Communication"),
    "conversation": Known("user.content.private", PD + "Communication"),
    "generation": Known("user.content.private", PD + "Communication"),
    "profile": Known("user.content.public", PD + "PublicLife"),
    "model": Known("user.content", DPV + "PersonalData"),
    "dataset": Known("user.content", DPV + "PersonalData"),
    "order": Known("user.behavior.purchase_history", PD + "Transactional"),
    "support": Known("user.content.private", PD + "Communication"),
    "lead": Known("user.contact", PD + "Contact"),
    "technical": Known("user.device", PD + "DeviceBased"),
    "interaction": Known("user.behavior", PD + "Behavioral"),
    "moderation": Known("user.behavior", PD + "Behavioral"),
    "cache": Known("user.content.private", PD + "Communication"),
    "copy": Known("user", DPV + "PersonalData"),
}

PURPOSES: Mapping[str, Known] = {
    "service": Known("essential.service", DPV + "RequestedServiceProvision"),
    "history": Known("essential.service", DPV + "RequestedServiceProvision"),
    "billing": Known("essential.service.payment_processing", DPV + "PaymentManagement"),
    "security": Known("essential.service.security", DPV + "EnforceSecurity"),
    "abuse": Known("essential.fraud_detection", DPV + "MisusePreventionAndDetection"),
    "debugging": Known("essential.service.operations", DPV + "TechnicalServiceProvision"),
    "notices": Known("essential.service.notifications", DPV + "CommunicationManagement"),
    "support": Known("essential.service.operations.support", DPV + "CommunicationForCustomerCare"),
    "proof": Known("essential.legal_obligation", DPV + "RecordManagement"),
    "legal": Known("essential.legal_obligation", DPV + "LegalCompliance"),
    "enforce": Known("essential.service", DPV + "FulfilmentOfContractualObligation"),
    "improve": Known("functional.service.improve", DPV + "ImproveExistingProductsAndServices"),
    "analytics": Known("analytics.reporting.system", DPV + "ServiceUsageAnalytics"),
    "research": Known("analytics.reporting", DPV + "ResearchAndDevelopment"),
    "develop": Known("functional.service.improve", DPV + "ResearchAndDevelopment"),
    "personalise": Known("personalize.content", DPV + "ServicePersonalisation"),
    "training": Known("train_ai_system", DPV + "ResearchAndDevelopment"),
    "marketing": Known("marketing.communications.email", DPV + "DirectMarketing"),
    "ads": Known("marketing.advertising", DPV + "Advertising"),
    "market": Known("essential.service", DPV + "RequestedServiceProvision"),
}

BASES: Mapping[str, Known] = {
    "consent": Known("Consent", DPV + "Consent"),
    "contract": Known("Contract", DPV + "Contract"),
    "interest": Known("Legitimate interests", DPV + "LegitimateInterest"),
    "law": Known("Legal obligations", DPV + "LegalObligation"),
}
"""In fideslang the `legal_basis_for_processing` of a privacy declaration."""
