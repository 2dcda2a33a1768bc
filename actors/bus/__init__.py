"""The signal bus: the one place where signals flow, and the journal's only writer."""
