"""Supervision: who starts, watches, restarts and stops the actors."""
