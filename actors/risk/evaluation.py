"""Takes a signal through the gates, in order, to a verdict."""

from __future__ import annotations

from actors.messages.signals import Step, Verdict
from actors.risk.approval import approve
from actors.risk.case import Case
from actors.risk.gates import GATES


def judge(case: Case) -> Verdict:
    """Approve the case's signal, or deny it at the first gate it does not pass."""
    steps: list[Step] = []
    for gate in GATES:
        step = gate(case)
        steps.append(step)
        if not step.passed:
            return _denial(case, steps)
    if case.plan is None:
        return _denial(case, [*steps, Step("sizing", False, "NO_PLAN", {"plan": "none"})])
    order = approve(case.signal, case.plan, case.now, case.settings)
    return Verdict(case.signal.id, tuple(steps), order)


def _denial(case: Case, steps: list[Step]) -> Verdict:
    last = steps[-1]
    detail = " ".join(f"{name}={value}" for name, value in last.inputs.items())
    return Verdict(case.signal.id, tuple(steps), None, last.name, last.code, detail)
