"""Links between hosts: ordered, acknowledged, de-duplicated delivery in lanes."""
