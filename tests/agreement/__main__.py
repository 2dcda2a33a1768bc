"""``scripts/agreement``: how far the engines are apart, on made-up bars and on the recorded week.

    python -m tests.agreement [--bars N]

Prints one line a rule and series: round trips, the largest difference of a profit, and that of the last equity; then
what the rules that do not coincide come to.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from tests.agreement import brackets, by_backtesting, ours
from tests.agreement.outcome import Outcome, distance
from tests.agreement.rules import RULES
from tests.agreement.series import RECORDED, Series, made_up, recorded

CASH, FEE = 1_000_000, 0.0006


def main() -> None:
    """Run all, and print."""
    parser = argparse.ArgumentParser(
        prog="scripts/agreement", description=__doc__.partition("\n")[0] if __doc__ else ""
    )
    parser.add_argument("--bars", type=int, default=0, help="of each series, at most; 0: 2,000 made up, all recorded")
    bars = parser.parse_args().bars
    warnings.simplefilter("ignore")
    week = recorded(bars)
    if week is None:
        print(f"no recorded bars at {RECORDED}; set BIGWHEEL_DATA to compare on them, too")
    with tempfile.TemporaryDirectory() as folder:
        for name, series, size in (("made up", made_up(bars or 2_000, 11), 100), ("recorded", week, 2)):
            if series is not None:
                for rule in RULES:
                    _compare(name, series, rule, size, Path(folder))
        for name, series in (("made up", made_up(bars or 2_000, 11)), ("recorded", week)):
            if series is not None:
                found = brackets.same(series, Path(folder), CASH)
                print(f"{name}, brackets: {len(series.times)} bars, the same by backtesting.py: {found}")
        _differences(made_up(bars or 2_000, 11), Path(folder))


def _compare(name: str, series: Series, rule: str, size: int, folder: Path) -> None:
    terms = {"size": size, "cash": CASH, "fee": FEE}
    began = time.perf_counter()
    found = ours.outcome(ours.run(series, rule, folder, **terms))
    print(
        f"{name}, {rule}: {len(series.times)} bars, {len(found.trips)} round trips, {time.perf_counter() - began:.1f} s"
    )
    _tell("backtesting.py", found, by_backtesting.run(series, rule, **terms))
    if importlib.util.find_spec("nautilus_trader"):
        from tests.agreement import by_nautilus

        _tell("nautilus_trader", found, by_nautilus.on_bars(series, rule, **terms))


def _tell(engine: str, found: Outcome, theirs: Outcome) -> None:
    apart = distance(found, theirs)
    print(
        f"  {engine}: same round trips; profit {apart.profit:.1e}, equity {apart.equity:.1e}, curve {apart.curve:.1e}"
    )


def _differences(series: Series, folder: Path) -> None:
    """What rules that do not coincide come to, on the first series."""
    for rule in RULES:
        terms: dict[str, Any] = {"size": 100, "cash": CASH, "fee": 0.0}
        exact = ours.run(series, rule, folder, **terms).summary["final_equity"]
        spread = ours.run(series, rule, folder, depth="synthetic", **terms)
        cost = (exact - spread.summary["final_equity"]) / spread.orders.num_rows
        print(
            f"{rule}: a made-up spread and depth costs {cost:.3f} an order of 100 to 400 at {series.candles[0].close}"
        )
        if importlib.util.find_spec("nautilus_trader"):
            from tests.agreement import by_nautilus

            apart = by_nautilus.on_bars(series, rule, told=False, **terms).equity - exact
            print(f"{rule}: with nautilus_trader's own execution on bars the equity is {apart:+.2f} apart")


if __name__ == "__main__":
    main()
