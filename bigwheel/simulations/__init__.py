"""The trading tree in the seeded simulation: scenarios and their audit, campaigns of seeds, shrinking of failures."""
