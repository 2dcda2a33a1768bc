"""What every protocol simulator shares. How to write another venue:

A venue's package holds wire rendering, authentication, routes, error shapes, limits and the
stream protocol. Everything else is here: the engine and its books on disk, the feeds, who is
subscribed to what, queues in front of sockets, faults, ``/control``. Write

1. a `Catalogue` (``listed``, ``observed``, ``start_price``): the instruments, by key;
2. ``errors``: how the venue says each `Reject` of the engine, and its own refusals. Calls raise
   ``OrderRejectedError`` (the engine's) or an error of the package; ``RestServer.answer`` renders both;
3. ``wire``: orders, executions, positions, cash, market data in the venue's words;
4. a `RestServer`: ``table()`` of `Route` (each with a `CallKind`, by which fault plans find it in every
   venue), ``answer()`` (key, signature, limit, call, envelope), ``limited()`` and ``failed()`` (what
   a fault looks like here), ``status_fields``;
5. a `Streams`: ``endpoints``, ``receive()`` (authentication, subscriptions through ``subscribe`` and
   ``unsubscribe``), ``strange()``; where the venue needs it ``admit()`` (a signed handshake),
   ``greet()``, ``encode()`` (binary frames, MessagePack; with ``addressed`` a message numbered for each
   client), ``heartbeat``, ``garbage``, and a `Client` of its own;
6. a `Publisher`: ``tell_trades()``, ``refresh()``, ``orders()``, ``execution()``, ``holdings()``. The
   private ones return `Notice` (topic, message); doubling, delaying, losing and disguising them is done here;
7. a `Simulator` with ``name``, ``currency``, ``catalogue()``, ``assemble()``, ``account_rows()``.

What to use of the base: ``venue.place/amend/cancel/cancel_all`` (stored and told before they return),
``venue.market(key)``, ``venue.engine`` for reading (``find``, ``working``, ``orders``, ``accounts``),
``venue.executions``, ``venue.now_ns()`` (the clock with its skew; never ``time.time``),
``venue.faults.key(api_key)`` (a key that was revoked or made read-only), ``market.recent``,
``market.minutes`` (candles) and ``venue.engine.markets[symbol].depth(levels)`` (the visible book).

A topic is any string that no two symbols share; pass the symbol's key to ``subscribe`` for a public
one, since a recording waits until its symbol is watched. Name the streams of ``endpoints``
``public``, ``private``, ``trade``, or ``all`` where one socket carries everything.
"""
