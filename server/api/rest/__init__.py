"""The public REST API, kept for its clients: a table of routes over operations of the GraphQL schema.

Nothing here knows the product: requests become variables of an operation file, answers become the field names clients
expect. It is handed the schema's executor and may not import the core.
"""
