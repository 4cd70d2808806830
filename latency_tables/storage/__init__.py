"""A table's database, a file or on a server: connections, schema, versions, reading and writing."""
