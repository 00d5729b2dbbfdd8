"""Studies that run by themselves, from text to results. They need the extra `train` (torch)."""
