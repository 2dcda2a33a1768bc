"""Figures of the experiments as pages."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scipy.stats import t as student

from scripts.experiments.planted import Outcome, World
from scripts.experiments.walkforward import HORIZON, MARKETS, Walk

Pairs = Sequence[tuple[Outcome, Outcome]]

SHOWN = ("a|quiet-ranging", "a|volatile-ranging", "b|", "c|")
"""The weights whose way is told."""


class Estimate(NamedTuple):
    """A mean and its 95% interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:+.1f} [{self.low:+.1f}, {self.high:+.1f}]"


def estimate(values: Sequence[float]) -> Estimate:
    """By Student's t; without two values there is no interval."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Estimate(mean, -math.inf, math.inf)
    half = student.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def planted(world: World, pairs: Pairs) -> str:
    """With learning against without, on the same histories."""
    gains = [learned.profit - without.profit for without, learned in pairs]
    later = [learned.profit_after - without.profit_after for without, learned in pairs]
    sooner = [gain - after for gain, after in zip(gains, later, strict=True)]
    better = sum(gain > 0 for gain in gains)
    learned_ = [learned for _, learned in pairs]
    rows = [
        ("profit without learning", str(estimate([without.profit for without, _ in pairs]))),
        ("profit with learning", str(estimate([learned.profit for learned in learned_]))),
        ("**difference, seed by seed**", f"**{estimate(gains)}**"),
        ("of it before the decay of `c`", str(estimate(sooner))),
        ("of it after", str(estimate(later))),
        ("seeds that are better with learning", f"{better} of {len(pairs)}"),
        (
            "trades without, with learning",
            f"{_mean(w.executed for w, _ in pairs)}, {_mean(x.executed for x in learned_)}",
        ),
        (
            "policies in force, withdrawn, each run",
            f"{_mean(x.full for x in learned_)}, {_mean(x.withdrawn for x in learned_)}",
        ),
        ("steps from the decay to the drift alarm", _times([x.noticed for x in learned_])),
        ("alarms on `c` before it, each run", _mean(x.false_alarms for x in learned_)),
        ("steps from the decay to half the weight in force", _times([x.halved for x in learned_])),
    ]
    return "\n".join(
        [
            "# Planted truth: with learning against without",
            "",
            f"{len(pairs)} seeds ({pairs[0][0].seed} to {pairs[-1][0].seed}), {world.steps} steps each; `c` decays at "
            f"step {world.decay}, the regime changes every {world.block}. Quote currency, equity 100,000, orders of "
            f"2,000; fee {world.fee:.2%} each way, spread {world.spread:.2%}. Mean and 95% interval (Student's t).",
            "",
            *_table(("", "figure"), rows),
            "",
            "Mean weight in the policy in force (1: nothing is known):",
            "",
            *_table(("step", *(f"`{key}`" for key in SHOWN)), _way(pairs, 10)),
            "",
        ]
    )


def weights_csv(pairs: Pairs) -> str:
    """Every recorded weight: seed, step, key, weight."""
    lines = ["seed,step,key,weight"]
    for _, learned in pairs:
        for step, found in learned.weights:
            lines += [f"{learned.seed},{step},{key},{weight}" for key, weight in sorted(found.items())]
    return "\n".join(lines) + "\n"


def walkforward(walks: Sequence[Walk]) -> str:
    """With learning against without, market by market, and what each gate stopped."""
    pairs = list(zip(walks[::2], walks[1::2], strict=True))
    costs = "; ".join(f"{each.name}: fee {each.fee:.2%} each way, spread {each.spread:.2%}" for each in MARKETS)
    text = [
        "# Walk-forward on recorded bars",
        "",
        f"Equity 100,000, orders of 1% of it, horizon {HORIZON} bars, a "
        f"session's defaults otherwise, limits included. Taken for costs: {costs}.",
        "",
        *_table(_HEAD, [_compared(*pair) for pair in pairs]),
    ]
    for _, learned in pairs:
        rows = [_gate(gate, each) for gate, each in learned.gates.items()]
        if rows:
            head = ("gate", "stopped", "mean missed", "saved", "false positives", "95% interval")
            text += ["", f"## Gates: {learned.market}, {learned.strategy}, with learning", "", *_table(head, rows)]
    return "\n".join([*text, ""])


_HEAD = (
    "market",
    "strategy",
    "bars",
    "without",
    "with",
    "difference",
    "first half",
    "second half",
    "trades",
    "with learning",
    "in force, withdrawn",
)


def _compared(without: Walk, learned: Walk) -> tuple[str, ...]:
    halves = [b - a for a, b in zip(without.halves, learned.halves, strict=True)]
    stages = learned.policies
    return (
        without.market,
        without.strategy,
        f"{without.bars:,}",
        f"{without.profit:+.1f}",
        f"{learned.profit:+.1f}",
        f"{learned.profit - without.profit:+.1f}",
        *(f"{half:+.1f}" for half in halves),
        str(without.executed),
        str(learned.executed),
        f"{stages.get('full', 0)}, {stages.get('withdrawn', 0)}",
    )


def _gate(gate: str, each: dict[str, float]) -> tuple[str, ...]:
    return (
        gate,
        f"{each['count']:g}",
        f"{each['mean_return'] * 10_000:+.1f} bp",
        f"{each['saved']:+.1f}",
        f"{each['false_positive_rate']:.1%}",
        f"{each['false_positive_low']:.1%} to {each['false_positive_high']:.1%}",
    )


def _way(pairs: Pairs, rows: int) -> list[tuple[str, ...]]:
    steps = [step for step, _ in pairs[0][1].weights]
    shown = steps[:: max(len(steps) // rows, 1)]
    found = []
    for step in dict.fromkeys([*shown, steps[-1]]):
        place = steps.index(step)
        known = [learned.weights[place][1] for _, learned in pairs]
        found.append((str(step), *(f"{statistics.fmean(_weight(each, key) for each in known):.2f}" for key in SHOWN)))
    return found


def _weight(known: dict[str, float], key: str) -> float:
    """As it is taken: of a regime that has none, the one for any."""
    return known.get(key, known.get(f"{key.partition('|')[0]}|", 1.0))


def _times(steps: Sequence[int]) -> str:
    """Median and range; what never happened is counted apart."""
    found = sorted(step for step in steps if step >= 0)
    if not found:
        return "never"
    missing = len(steps) - len(found)
    return f"median {statistics.median(found):g}, {found[0]} to {found[-1]}" + (
        f"; never in {missing}" if missing else ""
    )


def _mean(values: Iterable[float]) -> str:
    return f"{statistics.fmean(values):.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
