"""Experiments on what is learned: whether it improves decisions, and by how much."""
