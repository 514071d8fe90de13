"""A small S3 that keeps bodies in files: what a backup repository needs, and a clear refusal of the rest."""
