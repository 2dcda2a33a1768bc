"""Tapes: what each brain was given and what it did, written beside the store, and run again."""
