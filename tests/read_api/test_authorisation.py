"""Who may call what: every route of both APIs' OpenAPI documents, with every kind of key.

A route that the documents name and the table below has no word for fails, and so does a word without a route.
"""

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from read_api.example_marts import read_server  # type: ignore[import-not-found]
