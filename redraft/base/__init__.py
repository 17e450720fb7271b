"""What every layer may use: ids, limits, configuration, errors.  Imports nothing of the project."""
