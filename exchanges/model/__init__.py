"""The market model: instruments, market data, orders, fills, positions, accounting."""
