"""Ctrl-C ends a backtest, whatever its strategy is at, and says what there was by then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import bigwheel
from bigwheel.errors import Interruption
from exchanges.model.market import Bar
from strategies.strategy import Strategy
from tests.unit.sweep_samples import BTC, data

ROOT = Path(__file__).resolve().parents[2]
STUCK = """
from decimal import Decimal
from pathlib import Path
from bigwheel import Strategy

class Stuck(Strategy):
    seen = 0

    def on_bar(self, bar):
        self.seen += 1
        if self.seen == 2:
            self.buy(quantity=Decimal("0.1"))
        while self.seen == 8:
            Path("stuck").touch()
"""


def test_ctrl_c_ends_a_strategy_that_never_comes_back_with_status_130(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(STUCK)
    data(tmp_path, 30)
    told = ["backtest", "mine.py:Stuck", "--data", "BTCUSDT.parquet", "--symbols", BTC, "--out", "result"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from bigwheel.cli import main; main()", *told],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        limit = time.monotonic() + 60
        while not (tmp_path / "stuck").exists():
            assert process.poll() is None and time.monotonic() < limit
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=30)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130, said
    assert "interrupted at 20" in said and "in on_bar (mine.py, line " in said
    assert "1 signals, 1 orders, 1 fills, 0 round trips, realised -" in said
    assert "nothing was written" in said and not (tmp_path / "result").exists()


class Interrupted(Strategy):
    """Is interrupted at its fifth bar."""

    seen = 0

    def on_bar(self, bar: Bar) -> None:
        self.seen += 1
        if self.seen == 5:
            signal.raise_signal(signal.SIGINT)


def test_who_calls_backtest_is_told_what_there_was(tmp_path: Path) -> None:
    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(Interruption, match=r"2026-01-01 00:05:00\.000000 of the data, in on_bar") as stop:
        bigwheel.backtest(Interrupted, data=data(tmp_path, 30), symbols=BTC)
    assert isinstance(stop.value, KeyboardInterrupt)
