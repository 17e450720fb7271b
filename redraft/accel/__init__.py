"""Native code beside its Python twins: one module a subject, each exporting what `chooser` decided on.

A twin (`pyrecord`, `pyscan`, …) is the specification of its C unit in `native/`; a property test
holds the two together.
"""
