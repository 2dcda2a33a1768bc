"""Takes a signal through ensemble, gates and sizing, in order, to a verdict."""

from __future__ import annotations

import dataclasses

from actors.messages.signals import ApprovedOrder, Step, Verdict
from actors.risk.approval import approve
from actors.risk.case import Case
from actors.risk.gates import GATES


def judge(case: Case) -> Verdict:
    """Approve the case's signal, or deny it at the first gate it does not pass.

    A strategy that may not leave all it holds leaves what lowers the account's position.
    """
    verdict = _judge(case)
    if verdict.order is None and case.leaves and case.closable > 0:
        again = dataclasses.replace(case, strength=0.0, plan=None, within=True)
        verdict = _judge(again)
        case.strength, case.plan = again.strength, again.plan
    return verdict


def _judge(case: Case) -> Verdict:
    steps: list[Step] = []
    for gate in GATES:
        step = gate(case)
        steps.append(step)
        if not step.passed:
            return _denial(case, steps)
    if case.plan is None:
        return _denial(case, [*steps, Step("sizing", False, "NO_PLAN", {"plan": "none"})])
    order = approve(case.signal, case.plan, case.now, case.settings)
    return _verdict(case, steps, order)


def _denial(case: Case, steps: list[Step]) -> Verdict:
    last = steps[-1]
    detail = " ".join(f"{name}={value}" for name, value in last.inputs.items())
    return _verdict(case, steps, None, last.name, last.code, detail)


def _verdict(
    case: Case, steps: list[Step], order: ApprovedOrder | None, gate: str = "", code: str = "", detail: str = ""
) -> Verdict:
    terms = case.terms
    return Verdict(
        case.signal.id,
        tuple(steps),
        order,
        gate,
        code,
        detail,
        regime=terms.regime,
        policy=terms.version,
        arm=terms.arm,
    )
