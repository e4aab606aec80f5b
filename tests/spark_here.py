"""Tests that start Spark, or look at the one that is there: a group of their own, `make test-spark`."""

import shutil
from importlib.util import find_spec
from typing import Any

import pytest

_NEEDED = "needs pyspark and Java 17: pip install -e '.[spark]', apt-get install openjdk-17-jre-headless"
_IS_THERE = find_spec("pyspark") is not None and shutil.which("java") is not None

NEEDS_SPARK = [pytest.mark.spark, pytest.mark.skipif(not _IS_THERE, reason=_NEEDED)]
"""Marks of a module."""


def needs_spark(test: Any) -> Any:
    """The same of one test."""
    for mark in NEEDS_SPARK:
        test = mark(test)
    return test
