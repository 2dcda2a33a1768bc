"""The live driver: cells, and the Ray actor that hosts them."""
