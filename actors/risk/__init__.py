"""The risk supervisor: judges every signal, in order, and fails closed."""
