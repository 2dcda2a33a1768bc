"""Where a simulator's market data comes from: a seeded generator or recorded files."""
