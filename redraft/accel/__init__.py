"""Chooses the C extension or its pure-Python twin; the only package that imports `_native`."""
