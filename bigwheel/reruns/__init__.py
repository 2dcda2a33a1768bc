"""Re-runs: all brains of a finished session together, on what its tapes say came from outside."""
