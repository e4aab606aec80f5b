"""The routes of all dialects, and the tracker's: a file of `dialects/` is found by being there."""

import pkgutil
from importlib import import_module

from ingest_api import dialects
from ingest_api.dialect import Route
from ingest_api.tracker import wire


def _routes() -> tuple[Route, ...]:
    found: list[Route] = []
    for each in pkgutil.iter_modules(dialects.__path__, f"{dialects.__name__}."):
        found += import_module(each.name).ROUTES
    return (*found, *wire.ROUTES)


ROUTES = _routes()

BY_PATH = {path: route for route in ROUTES for path in (route.path, *route.aliases)}
"""Aliases included."""
