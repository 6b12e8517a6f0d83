"""A policy says what personal data is kept, why, for how long and how it ends; the platform does what it says.

The text of a policy file becomes one immutable value, or a list of everything that is wrong with it. From that value
follow the sentences that are published, the answer to every opening of data, and the end date of every stored fact.
No other part of Avow reads a period or a purpose from anywhere else, and nothing here does I/O.

    policy = parse(text)                          the value, or PolicyError with every problem
    check(policy, holdings)                       does it speak of all that is stored, and of nothing else?
    decide(policy, standing, question)            may this be opened, for this purpose, by this role?
    compile(policy, tenant, project, key)         what may be stored of a request, and until when
    to_json(policy, installed)                    what `/.well-known/avow-policy.json` serves
    render(policy, locale, installed, evidence)   the page in one language; `unpublishable` lists what it lacks
    diff(old, new), meet(old, new), interim, Ratchet       what changes, what holds until it does, and that nothing is given back
    explain(policy, tenant, project, key)         where each value comes from; `export(policy, "dpv")` in others' words
"""

from avow.policy.check import Holding, check
from avow.policy.clauses import published, to_json
from avow.policy.decide import ANSWER, Decision, Question, Standing, decide
from avow.policy.diff import Change, Diff, Rewording, diff
from avow.policy.explain import Line, explain
from avow.policy.export import export
from avow.policy.meet import interim, meet
from avow.policy.model import Account, Category, Clause, Keep, Part, Policy, PolicyError, Problem
from avow.policy.parse import parse
from avow.policy.parts import age, asked, channels, deadline
from avow.policy.placeholders import placeholders
from avow.policy.plan import NEVER, REACHED, Clip, Never, Overrides, Plan, compile
from avow.policy.ratchet import Floor, Ratchet
from avow.policy.render import Page, Sentence, render, stale, unpublishable

__all__ = [
    "ANSWER",
    "NEVER",
    "REACHED",
    "Account",
    "Category",
    "Change",
    "Clause",
    "Clip",
    "Decision",
    "Diff",
    "Floor",
    "Holding",
    "Keep",
    "Line",
    "Never",
    "Overrides",
    "Page",
    "Part",
    "Plan",
    "Policy",
    "PolicyError",
    "Problem",
    "Question",
    "Ratchet",
    "Rewording",
    "Sentence",
    "Standing",
    "age",
    "asked",
    "channels",
    "check",
    "compile",
    "deadline",
    "decide",
    "diff",
    "explain",
    "export",
    "interim",
    "meet",
    "parse",
    "placeholders",
    "published",
    "render",
    "stale",
    "to_json",
    "unpublishable",
]
