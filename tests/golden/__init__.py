"""Bytes that must decode forever: see ``tests/unit/test_journal_golden.py``."""
