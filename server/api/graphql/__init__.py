"""The one schema everything speaks: a file per noun, plus schema, loaders, errors, limits and permissions."""
