"""Random commands of a family each: `commands(rng)` gives functions that make one command."""
