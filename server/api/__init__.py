"""The HTTP door: GraphQL for everything, a REST shim in front of it, the console's files."""
