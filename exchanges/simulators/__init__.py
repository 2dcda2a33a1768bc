"""Local servers that speak the venues' own protocols, for running without a network."""
