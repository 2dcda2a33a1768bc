"""Steps that what was learned decides: ensemble, conviction, bans, patterns."""

from __future__ import annotations

from actors.messages.signals import Step
from actors.risk.case import Case
from actors.risk.ensemble import combine
from actors.risk.gates.steps import denied, passed
from actors.traits import moment, traits


def ensemble(case: Case) -> Step:
    """Set the strength: what all live opinions on the symbol come to, each with its learned weight."""
    signal = case.signal
    chorus = combine(signal, case.voices if case.settings.ensemble else {}, case.terms)
    combined = chorus.combined
    seen = {
        opinion.source if opinion.strategy == signal.strategy else f"{opinion.source}@{opinion.strategy}": (
            f"{opinion.value:.4g} weight={opinion.weight:.4g} age_ns={opinion.age_ns}"
        )
        for opinion in chorus.opinions
    }
    seen = {**seen, "combined": "none" if combined is None else f"{combined:.4g}", "side": signal.side.value}
    if case.exits:
        case.strength = signal.conviction
        return passed("ensemble", seen)
    if combined is None:
        return denied("ensemble", "ENSEMBLE_SILENT", seen)
    if combined * signal.side.sign < 0:
        return denied("ensemble", "ENSEMBLE_DISAGREES", seen)
    case.strength = abs(combined)
    return passed("ensemble", seen)


def conviction(case: Case) -> Step:
    """The combined conviction against the learner's threshold, or the base one before it has spoken."""
    threshold, source = case.threshold
    seen = {
        "conviction": f"{case.strength:.6g}",
        "threshold": f"{threshold:.6g}",
        "by": source,
        "policy": str(case.terms.version),
        "arm": case.terms.arm or "none",
        "regime": case.terms.regime or "unknown",
        "track": case.track.name,
    }
    if case.strength < threshold and not case.exits:
        return denied("conviction", "CONVICTION_LOW", seen)
    return passed("conviction", seen)


def bans(case: Case) -> Step:
    """No entry by a strategy, or by it in this symbol, that the policy has banned for a time."""
    for scope in (case.signal.strategy, case.pair):
        ban = case.terms.ban(scope)
        if ban is not None and not case.exits:
            seen = {"scope": scope, "until_ns": str(ban.until_ns), "reason": ban.reason or "none"}
            return denied("bans", "BANNED", {**seen, "policy": str(case.terms.version)})
    return passed("bans", {"policy": str(case.terms.version), "banned": "no"})


def patterns(case: Case) -> Step:
    """No entry that looks like those of a pattern which the policy has banned for a time."""
    policy, signal = case.terms.policy, case.signal
    known = policy.patterns if policy else ()
    seen = traits(signal.features, case.strength, moment(signal.cause), case.terms.regime) if known else {}
    for pattern in known:
        ban = case.terms.ban(pattern.scope) if pattern.strategy == signal.strategy else None
        if ban is not None and pattern.holds(seen) and not case.exits:
            found = {"scope": pattern.scope, "until_ns": str(ban.until_ns), "reason": ban.reason or "none"}
            return denied("patterns", "PATTERN_BANNED", {**found, "policy": str(case.terms.version)})
    return passed("patterns", {"policy": str(case.terms.version), "banned": "no"})
