"""Walk-forward windows: where parameters are chosen, and the unseen time after it where they are tested."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from bigwheel.errors import UsageError
from bigwheel.sweeps.errors import SweepError
from bigwheel.times import duration_s

_FORM = "train=30d,test=7d, and step=7d or anchored if they are wanted"


class WalkForward(msgspec.Struct, frozen=True):
    """Lengths in nanoseconds. ``anchored`` windows all train from the first moment on, others for ``train_ns``.

    Raises:
        SweepError: a length is not above 0, or tests would overlap.
    """

    train_ns: int
    test_ns: int
    step_ns: int = 0
    """From one window to the next; 0 takes ``test_ns``."""
    anchored: bool = False

    def __post_init__(self) -> None:
        if self.train_ns <= 0 or self.test_ns <= 0:
            raise SweepError(f"expected train and test longer than 0, found {self.train_ns} and {self.test_ns} ns")
        if self.step_ns and self.step_ns < self.test_ns:
            raise SweepError("expected a step of at least test, so that no time is tested twice, found a shorter one")

    @classmethod
    def parse(cls, text: str) -> WalkForward:
        """``train=30d,test=7d[,step=7d][,anchored]``.

        Raises:
            SweepError: it is something else.
        """
        told: dict[str, int] = {}
        anchored = False
        for part in text.split(","):
            name, equals, length = (each.strip() for each in part.partition("="))
            if name == "anchored" and not equals and not anchored:
                anchored = True
                continue
            if name not in ("train", "test", "step") or name in told:
                raise SweepError(f"expected {_FORM}, found {part.strip()!r} in {text!r}")
            try:
                told[name] = round(duration_s(length) * 1e9)
            except UsageError as error:
                raise SweepError(f"{error} in {text!r}") from error
        if not {"train", "test"} <= set(told):
            raise SweepError(f"expected {_FORM}, found {text!r}")
        return cls(told["train"], told["test"], told.get("step", 0), anchored)


class Window(NamedTuple):
    """Training in ``[train_ns, test_ns)``, the test in ``[test_ns, end_ns)``; numbered from 1."""

    number: int
    train_ns: int
    test_ns: int
    end_ns: int


def windows(told: WalkForward, first_ns: int, end_ns: int) -> list[Window]:
    """Every whole window within ``[first_ns, end_ns)``, the earliest first.

    Raises:
        SweepError: not one fits.
    """
    found: list[Window] = []
    step_ns = told.step_ns or told.test_ns
    start_ns = first_ns
    while start_ns + told.train_ns + told.test_ns <= end_ns:
        test_ns = start_ns + told.train_ns
        train_ns = first_ns if told.anchored else start_ns
        found.append(Window(len(found) + 1, train_ns, test_ns, test_ns + told.test_ns))
        start_ns += step_ns
    if not found:
        wanted, there = told.train_ns + told.test_ns, max(end_ns - first_ns, 0)
        raise SweepError(
            f"expected data for train and test together ({wanted / 86_400e9:.4g} days), found {there / 86_400e9:.4g} "
            "days; shorten them or give more data"
        )
    return found
