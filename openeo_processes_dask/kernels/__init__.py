"""Arrays in, arrays out: numerics on one block at a time."""
