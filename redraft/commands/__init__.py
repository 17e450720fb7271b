"""Redis's commands: the table, and one module per data type.  Pure."""
