"""What every venue adapter must show against its simulator, through its real SDK."""
