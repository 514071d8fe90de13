"""The edge: adapters implement the ports; foreign errors are translated here and nowhere else."""
