"""All commands of ``bigwheel``."""

from __future__ import annotations

import typer

from bigwheel.cli import (
    backtest,
    control,
    data,
    download,
    execute,
    inspect,
    journal,
    learning,
    orders,
    replay,
    run,
    simulate,
    sweep,
)

app = typer.Typer(
    name="bigwheel",
    help="A runtime for trading bots: nothing lost, nothing sent twice, every trade explained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("backtest")(backtest.backtest)
app.command("sweep")(sweep.sweep)
app.command("simulate")(simulate.simulate_command)
app.command("download")(download.download)
app.command("status")(inspect.status)
app.command("signals")(inspect.signals)
app.command("why")(inspect.why)
app.command("orders")(orders.orders)
app.command("adopt")(orders.adopt)
app.command("execute")(execute.execute)
app.command("withdraw")(execute.withdraw)
app.command("execution")(execute.execution)
app.command("replay")(replay.replay)
app.command("panic")(control.panic)
app.command("halt")(control.halt)
app.command("reduce")(control.reduce)
app.command("resume")(control.resume)
app.command("stop")(control.stop)
app.add_typer(journal.app, name="journal")
app.add_typer(data.app, name="data")
app.add_typer(learning.app, name="learning")
