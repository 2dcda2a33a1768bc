"""What the actors say to each other: signals, orders, control, learning."""
