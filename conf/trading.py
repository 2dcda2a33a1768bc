"""Settings of what decides besides the risk supervisor: strategies, learner."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from conf.section import Amount, Fraction, Names, Seconds, Section
from conf.venues import VENUES

_SYMBOL = re.compile(r"[a-z]+:[A-Za-z0-9./_-]+")
_LABEL = re.compile(r"[A-Za-z0-9_.-]+")

Parameter = bool | int | float | str | None


def check_symbols(symbols: tuple[str, ...]) -> tuple[str, ...]:
    """``symbols``, when each is a ``venue:NATIVE`` of a known venue and none comes twice."""
    for symbol in symbols:
        if not _SYMBOL.fullmatch(symbol):
            raise ValueError(f"expected venue:NATIVE such as bybit:BTCUSDT, found {symbol!r}")
        if symbol.partition(":")[0] not in VENUES:
            raise ValueError(f"expected a symbol of one of the venues {', '.join(VENUES)}, found {symbol!r}")
    if len(set(symbols)) < len(symbols):
        raise ValueError("expected each symbol once, found one that is listed twice; remove the repetition")
    return symbols


class StrategySettings(Section):
    """One strategy and the symbols it trades; each gets an instance of its own, unless they are told together."""

    name: str = Field(min_length=1, description="a built-in strategy, or module:Class, or file.py:Class")
    label: str = Field(default="", description="its name in the journal and in status; the default is its name")
    params: dict[str, Parameter] = Field(default_factory=dict, description="its parameters by name")
    symbols: Names = Field(default=(), description="the symbols it trades; empty means all of the session's symbols")
    symbols_together: bool = Field(
        default=False, description="true: one instance gets the market data of all its symbols, also across venues"
    )
    capital: Amount = Field(
        default=Decimal(10000), description="what its return and drawdown are measured against, quote currency"
    )
    share: Fraction = Field(
        default=Decimal(1), description="the share of equity its sizes draw on, and of total_notional it may take"
    )
    dry_run: bool = Field(default=False, description="true stops its signals at the last gate: nothing is ordered")

    @field_validator("symbols")
    @classmethod
    def _symbols(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return check_symbols(value)

    @field_validator("label")
    @classmethod
    def _label(cls, value: str) -> str:
        if value and not _LABEL.fullmatch(value):
            raise ValueError(f"expected letters, digits, '_', '.' and '-', found {value!r}; choose another label")
        return value

    @property
    def tag(self) -> str:
        """The label, or where none was given what follows the last ``:`` of the name."""
        return self.label or self.name.rpartition(":")[2]


class LearnerSettings(Section):
    """How outcomes become policies, and how far these may go."""

    horizon_s: Seconds = Field(default=10.0, description="how long after a signal its outcome is measured")
    minimum_outcomes: Annotated[int, Field(ge=1)] = Field(default=5, description="outcomes before anything is changed")
    prior_wins: Annotated[float, Field(gt=0)] = Field(default=5.0, description="wins assumed before the first outcome")
    prior_losses: Annotated[float, Field(gt=0)] = Field(
        default=5.0, description="losses assumed before the first outcome"
    )
    half_life: Annotated[float, Field(gt=0)] = Field(default=50.0, description="outcomes after which one counts half")
    base_threshold: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.1, description="the conviction a signal needs before anything was learned"
    )
    threshold_min: Annotated[float, Field(ge=0, le=1)] = Field(default=0.05, description="the threshold's lower bound")
    threshold_max: Annotated[float, Field(ge=0, le=1)] = Field(default=0.8, description="the threshold's upper bound")
    size_min: Annotated[float, Field(ge=0)] = Field(default=0.25, description="the size multiplier's lower bound")
    size_max: Annotated[float, Field(gt=0)] = Field(default=2.0, description="the size multiplier's upper bound")
    max_step: Annotated[float, Field(gt=0)] = Field(
        default=0.1, description="the largest change of threshold, multiplier or probability in one version"
    )
    stage: Literal["off", "shadow", "trial", "full"] = Field(
        default="full", description="the furthest stage a policy may reach by itself; off: none is made"
    )
    policy_every: Annotated[int, Field(ge=1)] = Field(
        default=10, description="outcomes between the end of one candidate and the next"
    )
    shadow_samples: Annotated[int, Field(ge=0)] = Field(
        default=20, description="signals a candidate is reckoned on before its trial; 0 skips the stage"
    )
    trial_samples: Annotated[int, Field(ge=0)] = Field(
        default=30, description="signals on each side of a trial between two looks at it; 0 skips the stage"
    )
    trial_looks: Annotated[int, Field(ge=1)] = Field(default=4, description="looks at a trial, at most")
    trial_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.5, description="the share of the signals that a trial decides"
    )
    source_half_life: Annotated[float, Field(gt=0)] = Field(
        default=100.0, description="outcomes of a source after which one counts half"
    )
    source_rate: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.05, description="how much one usual outcome moves a source's weight, as a part of it"
    )
    weight_min: Annotated[float, Field(gt=0, le=1)] = Field(default=0.1, description="a source's least weight")
    weight_max: Annotated[float, Field(ge=1)] = Field(default=4.0, description="a source's greatest weight")
    weight_step: Annotated[float, Field(gt=1)] = Field(
        default=2.0, description="the largest factor a weight changes by in one version"
    )
    drift_tolerance: Annotated[float, Field(ge=0)] = Field(
        default=0.1, description="a fall of a source's mean outcome that is let pass, in its usual outcomes"
    )
    drift_threshold: Annotated[float, Field(gt=0)] = Field(
        default=25.0, description="the sum of what outcomes lack beyond that, at which a source's memory is cut"
    )
    calibration_half_life: Annotated[float, Field(gt=0)] = Field(
        default=200.0, description="outcomes after which one counts half for the probability of a win"
    )
    ban_s: Seconds = Field(default=3600.0, description="how long what has surely lost is banned")
    ban_minimum: Annotated[int, Field(ge=2)] = Field(
        default=30, description="outcomes without which a strategy is not banned on a symbol"
    )
    ban_strength: Annotated[float, Field(gt=0)] = Field(
        default=3.0, description="standard errors below 0 of the mean outcome, from which it is"
    )
    pattern_samples: Annotated[int, Field(ge=40, le=2000)] = Field(
        default=400, description="the latest signals of a strategy that patterns are looked for in"
    )
    pattern_every: Annotated[int, Field(ge=1)] = Field(default=50, description="outcomes between two looks for them")
    pattern_minimum: Annotated[int, Field(ge=5)] = Field(
        default=30, description="signals of a pattern in the earlier half of the samples, at least"
    )
    pattern_rate: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.05, description="the share of false ones among the patterns found, before they are checked"
    )

    @model_validator(mode="after")
    def _ordered(self) -> LearnerSettings:
        if not self.threshold_min <= self.base_threshold <= self.threshold_max:
            raise ValueError(
                "expected threshold_min <= base_threshold <= threshold_max, found "
                f"{self.threshold_min}, {self.base_threshold}, {self.threshold_max}; reorder them"
            )
        if not self.size_min <= 1 <= self.size_max:
            raise ValueError(
                f"expected size_min <= 1 <= size_max, found {self.size_min} and {self.size_max}; "
                "1 is the size before anything was learned"
            )
        return self
