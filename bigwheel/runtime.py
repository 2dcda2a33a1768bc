"""The Python API: start or find a session, submit strategies, ask what happened."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import ray

from actors import names
from actors.gateway.requests import MANUAL
from actors.strategy.plan import StrategyPlan, planned
from actors.tree import Planner
from bigwheel.client import GatewayClient
from bigwheel.cluster import start_ray
from bigwheel.errors import SessionError, UsageError
from bigwheel.executions import ExecutionStatus, execute, execution_status, withdraw
from bigwheel.orders import OrderRow, named, working
from bigwheel.pickling import pickled_class
from bigwheel.queries import SignalRow, open_journal, select
from bigwheel.session import Session
from conf import Settings, load
from exchanges.model.flow import Flow
from exchanges.model.order import Side
from runtime.supervision.spec import encode_spec
from strategies.registry import resolve
from strategies.strategy import Strategy


class Handle:
    """A submitted strategy on its symbols; ``cells`` are the actors that run it, by their logical names."""

    def __init__(
        self,
        runtime: Runtime,
        label: str,
        symbols: tuple[str, ...],
        hosts: tuple[str, ...],
        cells: tuple[str, ...] = (),
    ) -> None:
        self.label, self.symbols = label, symbols
        self.cells = cells or tuple(names.strategy(label, symbol) for symbol in symbols)
        self._runtime, self._hosts = runtime, hosts

    def status(self) -> dict[str, dict[str, Any]]:
        """By symbol: the actor's state, and what the strategy's brain says of itself and of that symbol."""
        found: dict[str, dict[str, Any]] = {}
        for child in self._runtime.strategy_actors():
            for cell in (child.get("detail") or {}).get("cells", []):
                said = cell.get("detail") or {}
                traded = said.get("by_symbol", {}) if said.get("label") == self.label else {}
                for symbol in set(traded) & set(self.symbols):
                    found[symbol] = {
                        "state": child["state"] if child["state"] != "running" else cell["state"],
                        "error": cell["error"],
                        "restarts": child["restarts"] + cell["restarts"],
                        **said,
                        **traded[symbol],
                        "symbol": symbol,
                    }
        return found

    def pause(self) -> None:
        """Market data still flows in; no signals come out."""
        self._control("pause")

    def resume(self) -> None:
        self._control("unpause")

    def stop(self) -> None:
        """End its actors. Positions stay: flatten them first if they should not."""
        for host in self._hosts:
            self._runtime.remove(host)

    def _control(self, action: str) -> None:
        for cell in self.cells:
            self._runtime.control(action, target=cell)


class Runtime:
    """A running session. Make one with ``start``, or join one with ``connect``."""

    def __init__(self, settings: Settings, root: Any, session: Session | None, *, owns_ray: bool = False) -> None:
        self.settings = settings
        self._root, self._session, self._owns_ray = root, session, owns_ray
        self._client = GatewayClient(settings.store, settings.gateway.token_file)

    @classmethod
    def start(
        cls, config: str = "sim", *, strategies: bool = False, settings: Mapping[str, object] | None = None
    ) -> Runtime:
        """Start Ray if need be, and the whole tree of actors.

        Args:
            config: An environment (``sim``, ``test``) or a YAML file.
            strategies: Also run the strategies that the configuration names; otherwise only what
                is submitted trades.
            settings: Laid over the configuration, nested: ``{"risk": {"daily_loss": 500}}``.

        Raises:
            BigwheelError: the configuration is faulty, the store is in use, or an actor does not start.
        """
        session = Session.start(load(config, settings), strategies=strategies)
        return cls(session.settings, session.root, session)

    @classmethod
    def connect(cls, store: str | Path | None = None, *, config: str = "sim") -> Runtime:
        """Join the session that another process started in ``store``; its settings are taken over.

        Args:
            store: The session's folder; by default the one that ``config`` names.
            config: As in ``start``.

        Raises:
            SessionError: none is running there.
        """
        folder = load(config, {"store": str(store)} if store else None).store
        try:
            found = json.loads((folder / names.SESSION_NOTE).read_text())
            settings = Settings.model_validate_json(json.dumps(found["settings"]))
            place = {"address": found["address"], "namespace": found["namespace"]}
        except (OSError, ValueError, KeyError) as error:
            raise SessionError(
                f"expected a session running in {folder}, found none ({error}); start one with "
                "`bigwheel run` or Runtime.start()"
            ) from error
        settings = settings.model_copy(update={"ray": settings.ray.model_copy(update=place)})
        owns_ray = not ray.is_initialized()
        start_ray(settings)
        try:
            root = ray.get_actor(names.ROOT, namespace=settings.ray.namespace)
        except ValueError as error:
            if owns_ray:
                ray.shutdown()
            raise SessionError(f"expected the session of {settings.store} to run, found it gone ({error})") from error
        return cls(settings, root, None, owns_ray=owns_ray)

    def submit(
        self,
        strategy: type[Strategy] | str,
        symbols: Iterable[str],
        params: Mapping[str, Any] | None = None,
        *,
        label: str = "",
        dry_run: bool = False,
        together: bool = False,
    ) -> Handle:
        """Run a strategy, one actor for each symbol. The class may live in a script or a notebook.

        Args:
            strategy: A subclass of ``Strategy``, or a name as in ``--strategy``.
            symbols: Full symbols of the session, such as ``bybit:BTCUSDT``.
            params: The strategy's own parameters.
            label: Its name in the journal; by default its class's, in lower case.
            dry_run: Its signals stop at the last gate.
            together: One instance listens to all the symbols, as it does when the class says ``together = True``.

        Raises:
            UsageError: no strategy, no or unknown symbols, or a label that is taken.
        """
        owner = resolve(strategy) if isinstance(strategy, str) else strategy
        wanted = self._symbols(symbols)
        label = label or (strategy if isinstance(strategy, str) else owner.__name__.lower())
        pickled = b"" if isinstance(strategy, str) else pickled_class(owner)
        plan = StrategyPlan(label, "", f"{owner.__module__}:{owner.__qualname__}", dict(params or {}), dry_run, pickled)
        plans = planned(plan, wanted, together=together or owner.together)
        owner.create(wanted[0], plan.params, label, plans[0].symbols)  # what is faulty shows here, not in the actor
        supervisor = self._supervisor()
        hosts = Planner(self.settings).strategy_hosts(plans, group=label)
        try:
            for spec in hosts:
                ray.get(supervisor.add.remote(encode_spec(spec)), timeout=60)
        except ray.exceptions.RayTaskError as error:
            raise UsageError(f"the strategy {label} was not added: {error.cause or error}") from error
        handle = Handle(self, label, wanted, tuple(spec.name for spec in hosts), tuple(plan.cell for plan in plans))
        self._await(handle)
        return handle

    def control(self, action: str, *, target: str = "", reason: str = "") -> str:
        """``halt``, ``reduce``, ``resume``, ``panic`` or ``adopt``; returns the id it is journaled under."""
        return self._client.control(action, target, reason or "asked for through the Python API")

    def status(self) -> dict[str, Any]:
        """The whole system in one object, as ``bigwheel status --json`` prints it."""
        return self._client.status()

    def signals(
        self, state: str = "", *, symbol: str = "", strategy: str = "", since_ns: int = 0, limit: int = 100
    ) -> list[SignalRow]:
        """Signals from the journal, the one that changed last first."""
        with open_journal(self.settings.store) as journal:
            return select(journal, state=state, symbol=symbol, strategy=strategy, since_ns=since_ns, limit=limit)

    def execute_signal(
        self,
        symbol: str,
        side: Side | str,
        quantity: Decimal | str | float | None = None,
        *,
        flow: Flow | None = None,
        limit_price: Decimal | str | float | None = None,
        reduce_only: bool = False,
        strategy: str = MANUAL,
        reason: str = "",
        ttl_s: float = 10.0,
    ) -> str:
        """Give a signal by hand: it passes risk and all gates like a strategy's. Returns its id once it is journaled.

        Args:
            symbol: A full symbol of the session.
            side: ``buy`` or ``sell``.
            quantity: Base units; left out, the risk supervisor sizes it.
            flow: How it is to be carried out, such as ``Twap(...)``; left out, as one order that takes at once.
            limit_price: The worst price.
            reduce_only: It may only lower a position.
            strategy: Whom it, and what it fills, is booked under.
            reason: Shown by ``bigwheel why``.
            ttl_s: Seconds within which it must be approved and begun.

        Raises:
            UsageError: the order is faulty.
            SessionError: the session does not take it.
        """
        amounts = {"quantity": quantity, "limit_price": limit_price}
        return execute(
            self._client,
            self._symbols(symbol)[0],
            side,
            flow=flow,
            reduce_only=reduce_only,
            strategy=strategy,
            reason=reason,
            ttl_s=ttl_s,
            **{name: None if amount is None else str(amount) for name, amount in amounts.items()},
        )

    def get_execution_status(self, signal_id: str) -> ExecutionStatus:
        """State, orders, what has filled and what is left of a signal; raises ``UsageError`` if there is none."""
        with open_journal(self.settings.store) as journal:
            return execution_status(journal, signal_id)

    def withdraw(self, signal_id: str, reason: str = "") -> None:
        """Cancel what a signal led to, as far as it has not happened."""
        withdraw(self._client, signal_id, reason)

    def positions(self) -> dict[str, dict[str, Any]]:
        """By symbol: position, average entry, realised and unrealised profit."""
        symbols: dict[str, dict[str, Any]] = self.status()["symbols"]
        return symbols

    def orders(self, *, foreign: bool = False) -> list[OrderRow]:
        """Working orders; with ``foreign`` those on the accounts that were placed elsewhere."""
        return working(self.status(), foreign=foreign)

    def adopt(self, venue_id: str, *, reason: str = "") -> str:
        """Manage an order that was placed elsewhere (``*``: all of them) as ours; returns the id it is journaled under.

        Raises:
            UsageError: no such order is known.
        """
        return self.control("adopt", target=named(self.status(), venue_id), reason=reason)

    def shutdown(self) -> None:
        """End the session orderly if it was started here; otherwise only let go of it. Once is enough."""
        session, self._session = self._session, None
        owns_ray, self._owns_ray = self._owns_ray, False
        if session is not None:
            session.stop("Runtime.shutdown")
        elif owns_ray:
            ray.shutdown()

    def __enter__(self) -> Runtime:
        return self

    def __exit__(self, *error: object) -> None:
        self.shutdown()

    # -- for Handle ----------------------------------------------------------------

    def strategy_actors(self) -> list[dict[str, Any]]:
        """The status of every strategy actor."""
        found: list[dict[str, Any]] = ray.get(self._supervisor().status.remote(), timeout=30)["children"]
        return found

    def remove(self, host: str) -> None:
        ray.get(self._supervisor().remove.remote(host), timeout=60)

    def _supervisor(self) -> Any:
        ray_name = ray.get(self._root.locate.remote(names.STRATEGIES), timeout=30)
        if not ray_name:
            raise SessionError("expected the strategies' supervisor to run, found it restarting; try again in a second")
        return ray.get_actor(ray_name, namespace=self.settings.ray.namespace)

    def _symbols(self, symbols: Iterable[str]) -> tuple[str, ...]:
        wanted = (symbols,) if isinstance(symbols, str) else tuple(dict.fromkeys(symbols))
        if not wanted:
            raise UsageError("expected at least one symbol, found none; pass symbols=['bybit:BTCUSDT']")
        for symbol in wanted:
            if symbol not in self.settings.symbols:
                raise UsageError(
                    f"expected symbols of the session ({', '.join(self.settings.symbols)}), found {symbol!r}; "
                    "add it to `symbols` in the configuration"
                )
        return wanted

    def _await(self, handle: Handle, deadline_s: float = 60.0) -> None:
        """Wait until the strategy's actors run, or say why one does not."""
        import time

        limit = time.monotonic() + deadline_s
        while time.monotonic() < limit:
            status = handle.status()
            if len(status) == len(handle.symbols):
                return
            for child in self.strategy_actors():
                if child["name"] in handle._hosts and (child["state"] == "failed" or child["setup_failed"]):
                    raise SessionError(f"{child['name']} does not start: {child['last_exit']}")
            time.sleep(0.05)
        raise SessionError(f"expected {handle.label} to run within {deadline_s:g} s; see the logs in the store")
