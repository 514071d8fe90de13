"""AWS Price List: dated prices of what backups use, in the shapes of the real service."""
