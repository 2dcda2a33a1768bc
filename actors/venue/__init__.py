"""The embedded venue: a protocol simulator kept alive by the tree."""
