"""The queue's door: a message says which task to look at, nothing else."""
