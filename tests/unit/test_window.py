"""What forgets its oldest entries finds them at once, also after a restart."""

from __future__ import annotations

from collections import OrderedDict

import pytest

from actors.exchange import state as exchange
from actors.learner import state as learner
from actors.risk import state as risk
from actors.window import forget_oldest, oldest, remember, window


def test_the_oldest_goes_first_and_what_is_renewed_is_young_again() -> None:
    kept = window({"a": 1, "b": 2})
    remember(kept, "a", 3, 2)
    assert oldest(kept) == ("b", 2)
    remember(kept, "c", 4, 2)
    assert dict(kept) == {"a": 3, "c": 4}
    assert forget_oldest(kept) == ("a", 3)


@pytest.mark.parametrize(
    ("made", "revived", "names"),
    [
        (risk.RiskState(), risk.decode, ("approvals", "controls", "settled", "spoken", "verdicts", "voices")),
        (learner.LearnerState(), learner.decode, ("controls", "opened")),
        (exchange.ConnectionState(), exchange.decode, ("executions", "payments", "unconfirmed")),
    ],
    ids=["risk", "learner", "exchange"],
)
def test_windows_are_windows_when_made_and_when_restored(made: object, revived: object, names: tuple[str, ...]) -> None:
    for state in (made, revived(risk.encode(made))):  # type: ignore[operator, arg-type]
        assert {name: type(getattr(state, name)) for name in names} == dict.fromkeys(names, OrderedDict)
