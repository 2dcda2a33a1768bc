"""The symbol strategy: hosts a user's strategy for one symbol."""
