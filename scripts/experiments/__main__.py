"""Runs an experiment and writes its report, a page of Markdown, into a folder."""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from scripts.experiments import planted, report, walkforward
from scripts.experiments.wheel import without_learning

FIRST_SEED = 1
"""What the learner's settings were chosen on are other seeds: 1001 to 1006."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/experiment", description="Does learning improve decisions?")
    commands = parser.add_subparsers(dest="command", required=True)
    wheel = commands.add_parser("wheel", help="a market with planted truth, with learning against without")
    wheel.add_argument("--seeds", type=int, default=30, help="matched histories (30)")
    wheel.add_argument("--from", dest="first", type=int, default=FIRST_SEED, help="the first seed (1)")
    wheel.add_argument("--steps", type=int, default=planted.World().steps, help="length of a history (3000)")
    walk = commands.add_parser("walkforward", help="the built-in strategies on recorded bars")
    walk.add_argument("--data", type=Path, default=None, help="the recorded data; default: BIGWHEEL_DATA")
    walk.add_argument("--bars", type=int, default=0, help="the first so many moments; 0: all")
    for command in (wheel, walk):
        command.add_argument("--out", type=Path, required=True, help="the folder to write the report to")
        command.add_argument("--jobs", type=int, default=1, help="processes (1)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.command == "wheel":
        _wheel(options)
    else:
        _walkforward(options)
    return 0


def pair(world: planted.World, seed: int) -> tuple[planted.Outcome, planted.Outcome]:
    """The same history without learning and with it."""
    told = planted.terms()
    return planted.run(world, seed, without_learning(told)), planted.run(world, seed, told)


def _wheel(options: argparse.Namespace) -> None:
    plain = planted.World()
    world = planted.World(steps=options.steps, decay=options.steps // 2, block=plain.block)
    seeds = range(options.first, options.first + options.seeds)
    with ProcessPoolExecutor(options.jobs) as pool:
        pairs = []
        for without, learned in pool.map(partial(pair, world), seeds):
            pairs.append((without, learned))
            print(f"seed {without.seed}: {without.profit:+.0f} without, {learned.profit:+.0f} with", file=sys.stderr)
    _write(options.out / "planted.md", report.planted(world, pairs))
    _write(options.out / "weights.csv", report.weights_csv(pairs))


def _walkforward(options: argparse.Namespace) -> None:
    root = Path(__file__).parents[2]
    data = options.data or Path(os.environ.get("BIGWHEEL_DATA", root / "../shared/data"))
    cases = [
        (market, name, on) for market in walkforward.MARKETS for name in walkforward.STRATEGIES for on in (False, True)
    ]
    with ProcessPoolExecutor(options.jobs) as pool:
        walks = list(pool.map(partial(_walk, data, options.bars), cases))
    _write(options.out / "walkforward.md", report.walkforward(walks))


def _walk(data: Path, bars: int, case: tuple[walkforward.Market, str, bool]) -> walkforward.Walk:
    market, strategy, learning = case
    found = walkforward.run(data, market, strategy, learning=learning, most=bars)
    print(f"{market.name}, {strategy}, learning {learning}: {found.profit:+.0f}", file=sys.stderr)
    return found


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    print(path)


if __name__ == "__main__":
    sys.exit(main())
