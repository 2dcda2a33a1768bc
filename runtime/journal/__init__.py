"""The append-only event log: records, the stores that keep them, the feed that hands them out."""
