"""The seeded simulation: real cells, links and journal on a virtual clock that misbehaves."""
