"""A simulator of any venue in a process of its own, which can be killed.

Use it as ``VenueProcess(KalshiSimulator, quiet(folder=...))``; it is a `Reachable` for benches' clients.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from exchanges.simulators.base.simulator import Simulator
from exchanges.simulators.settings import SimulatorSettings

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import asyncio, importlib, sys
from exchanges.simulators.settings import SimulatorSettings
module, name, settings = sys.argv[1:]
async def main():
    kind = getattr(importlib.import_module(module), name)
    simulator = kind(SimulatorSettings.model_validate_json(settings))
    await simulator.start()
    print(simulator.port, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


class VenueProcess:
    """``simulator`` has the addresses; settings with secrets don't come through (they are masked)."""

    def __init__(self, kind: type[Simulator], settings: SimulatorSettings) -> None:
        given = settings.model_dump_json(exclude_defaults=True)
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, kind.__module__, kind.__name__, given],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        port = int(self.process.stdout.readline())
        self.simulator = SimpleNamespace(url=f"http://127.0.0.1:{port}", ws_url=f"ws://127.0.0.1:{port}")

    def kill(self) -> None:
        """End it as a crash would; a second time does nothing."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.communicate()
