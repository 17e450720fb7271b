"""Builds the C extension on install; everything else stands in pyproject.toml."""

from setuptools import setup
from setuptools.command.build_ext import build_ext


class BuildBesideTheSource(build_ext):
    """Leaves the built extension in the source tree too, because tests run from a checkout import that."""

    def run(self) -> None:
        """Build, then copy next to the Python files."""
        super().run()
        if not self.inplace:
            self.copy_extensions_to_source()


setup(cffi_modules=["native/build.py:ffibuilder"], cmdclass={"build_ext": BuildBesideTheSource})
