"""The exchange connection: the only holder of its venue's keys, orders and positions."""
