"""The learner: what became of each signal, and what the next ones are measured by."""
