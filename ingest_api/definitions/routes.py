"""Definitions over HTTP: the same four routes for every kind, three for what a project has one of."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Annotated, Any, TypeVar
from weakref import WeakValueDictionary

import orjson
from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel

from funnelhouse.auth import AdminCaller, ReadOrAdminCaller
from funnelhouse.problems import Refusal
from ingest_api.definitions import versions
from ingest_api.definitions.channels import CHANNELS
from ingest_api.definitions.destination import DESTINATIONS
from ingest_api.definitions.experiment import EXPERIMENTS
from ingest_api.definitions.funnel import FUNNELS
from ingest_api.definitions.goal import GOALS
from ingest_api.definitions.held import HeldDefinitions
from ingest_api.definitions.kind import Kind, Named, Single
from ingest_api.definitions.link import LINKS
from ingest_api.definitions.page import PAGES
from ingest_api.definitions.project_settings import SETTINGS
from ingest_api.definitions.tracker import TRACKER
from ingest_api.definitions.traffic_source import TRAFFIC_SOURCES
from ingest_api.definitions.versions import Version
from ingest_api.landing_reader import MAX_PAGE_BYTES
from ingest_api.lengths import DEFINITION_BYTES
from ingest_api.native import Kept, described_body, json_answer, read_as, read_shape
from ingest_api.requests import DRY_RUN, is_dry_run, now_us, stores
from record.landing.store import LandingStore

KINDS = (GOALS, FUNNELS, PAGES, TRAFFIC_SOURCES, EXPERIMENTS, LINKS, DESTINATIONS)
SINGLES = (SETTINGS, TRACKER, CHANNELS)

router = APIRouter()

_Shape = TypeVar("_Shape", bound=BaseModel)

_turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
"""By project and key: what a definition takes away depends on the version before it."""


def _add_routes(kind: Kind) -> None:
    things = f"/v1/projects/{{project_id}}/{kind.path}"
    thing = f"{things}/{{{kind.id_name}}}"
    article = "an" if kind.noun[0] in "aeiou" else "a"

    async def checked_id(value: Annotated[str, Path(alias=kind.id_name)]) -> str:
        kind.check_id(kind.id_name, value)
        return value

    async def existing(request: Request, project_id: str, key: str) -> Version:
        version = await versions.newest(request, project_id, kind.kind, key)
        if version is None or version.body is None:
            raise Refusal(404, f"Unknown {kind.noun}; GET {things} lists those that exist.")
        return version

    def turn(project_id: str, key: str) -> AbstractAsyncContextManager[None]:
        """While open, this process gives no other version to a key that defines something else, too."""
        if kind.written_with is None:
            return nullcontext()
        return _turns.setdefault((project_id, key), asyncio.Lock())

    def others(
        key: str, before: Version | None, body: dict[str, Any] | None
    ) -> dict[Named, dict[str, Any] | None]:
        """What else a version defines, and what the one before it did, which ends."""
        if kind.written_with is None:
            return {}
        earlier = before.body if before else None
        ended = dict.fromkeys(kind.written_with(key, earlier) if earlier is not None else ())
        return ended | dict(kind.written_with(key, body) if body is not None else {})

    def shown(key: str, version: Version) -> dict[str, Any]:
        return {
            kind.id_name: key,
            "version": version.number,
            "received_us": version.received_us,
            **kind.shown(version.body or {}),
        }

    @router.put(
        thing,
        summary=f"Define {article} {kind.noun}",
        openapi_extra=described_body(kind.shape.model_json_schema(), kind.example),
    )
    async def put(
        request: Request, caller: AdminCaller, key: Annotated[str, Depends(checked_id)]
    ) -> Response:
        """Define it, or give it a new version; the newest holds, for all history."""
        is_trial = is_dry_run(request)
        project_id = caller.project_id
        checks: list[Callable[[Any], None]] = []
        if kind.check_settings is not None:
            newest = await versions.newest(request, project_id, SETTINGS.kind, SETTINGS.kind)
            checks.append(partial(kind.check_settings, SETTINGS.complete(newest.body if newest else None)))
        if kind.check_installation is not None:
            checks.append(partial(kind.check_installation, request.app.state.settings))
        read = kind.read or partial(read_as, kind.shape)
        body = await _read(request, project_id, read, kind.stored, checks, kind.kept)
        if is_trial:
            before = await versions.newest(request, project_id, kind.kind, key)
            return json_answer(shown(key, _after(before, body)), {DRY_RUN: "1"})
        async with turn(project_id, key):
            before = None
            if kind.written_with is not None:
                before = await versions.newest(request, project_id, kind.kind, key)
            version = await versions.append(
                request, project_id, kind.kind, key, body, others(key, before, body)
            )
        return json_answer(shown(key, version))

    @router.get(thing, summary=f"Show {article} {kind.noun}")
    async def get(
        request: Request, caller: ReadOrAdminCaller, key: Annotated[str, Depends(checked_id)]
    ) -> Response:
        """The newest version; 404 when there is none or it was deleted."""
        return json_answer(shown(key, await existing(request, caller.project_id, key)))

    @router.get(things, summary=f"List {kind.plural.replace('_', ' ')}")
    async def get_all(
        request: Request,
        caller: ReadOrAdminCaller,
        after: Annotated[str, Query(description="`next` of the page before.")] = "",
    ) -> Response:
        """All of the project that are not deleted, by id; in pages of 4 MB, which `next` leads through."""

        def page(store: LandingStore) -> Response:
            found, following = versions.page_of(store, caller.project_id, kind.kind, after, MAX_PAGE_BYTES)
            listed = [shown(key, version) for key, version in found.items()]
            return json_answer({kind.plural: listed, "next": following})

        return await stores(request).reader.ask(caller.project_id, page)

    @router.delete(thing, status_code=204, summary=f"Delete {article} {kind.noun}")
    async def delete(
        request: Request, caller: AdminCaller, key: Annotated[str, Depends(checked_id)]
    ) -> Response:
        """Delete it; its versions stay in the record."""
        is_trial = is_dry_run(request)
        async with turn(caller.project_id, key):
            before = await existing(request, caller.project_id, key)
            if is_trial:
                return Response(status_code=204, headers={DRY_RUN: "1"})
            await versions.append(request, caller.project_id, kind.kind, key, None, others(key, before, None))
        return Response(status_code=204)


for _kind in KINDS:
    _add_routes(_kind)


def _add_single_routes(single: Single) -> None:
    path = f"/v1/projects/{{project_id}}/{single.kind}"

    async def newest(request: Request, project_id: str) -> Version | None:
        return await versions.newest(request, project_id, single.kind, single.kind)

    async def append(request: Request, project_id: str, body: dict[str, Any] | None) -> Version:
        return await versions.append(request, project_id, single.kind, single.kind, body)

    async def shown(request: Request, project_id: str, version: Version | None) -> dict[str, Any]:
        holds = single.complete(version.body if version else None)
        beside: dict[str, Any] = {}
        if single.beside is not None:
            definitions: HeldDefinitions = request.app.state.definitions
            beside = single.beside(holds, (await definitions.of(project_id)).bodies)
        return {
            "version": version.number if version else 0,
            "received_us": version.received_us if version else None,
            **holds,
            **beside,
        }

    @router.put(path, openapi_extra=described_body(single.shape.model_json_schema(), single.example))
    async def put(request: Request, caller: AdminCaller) -> Response:
        """What is left out takes its default."""
        is_trial = is_dry_run(request)
        body = await _read(
            request, caller.project_id, partial(read_as, single.shape), single.shape.model_dump
        )
        if is_trial:
            trial = _after(await newest(request, caller.project_id), body)
            return json_answer(await shown(request, caller.project_id, trial), {DRY_RUN: "1"})
        version = await append(request, caller.project_id, body)
        return json_answer(await shown(request, caller.project_id, version))

    @router.get(path)
    async def get(request: Request, caller: ReadOrAdminCaller) -> Response:
        """What was put last, else the defaults (version 0, or the deletion's)."""
        version = await newest(request, caller.project_id)
        return json_answer(await shown(request, caller.project_id, version))

    @router.delete(path, status_code=204)
    async def delete(request: Request, caller: AdminCaller) -> Response:
        """Go back to the defaults; 404 when they hold already. Versions stay in the record."""
        is_trial = is_dry_run(request)
        version = await newest(request, caller.project_id)
        if version is None or version.body is None:
            raise Refusal(404, f"Nothing is stored of the {single.noun}; the defaults apply.")
        if is_trial:
            return Response(status_code=204, headers={DRY_RUN: "1"})
        await append(request, caller.project_id, None)
        return Response(status_code=204)


for _single in SINGLES:
    _add_single_routes(_single)


async def _read(
    request: Request,
    project_id: str,
    read: Callable[[Any], _Shape],
    stored: Callable[[_Shape], dict[str, Any]],
    checks: Sequence[Callable[[_Shape], None]] = (),
    kept: Kept = "whole",
) -> dict[str, Any]:
    """What is stored of a body that is read. Raises Refusal 400 naming the fields at fault."""

    def shaped(value: Any) -> dict[str, Any]:
        shape = read(value)
        for check in checks:
            check(shape)
        definition = stored(shape)
        if len(orjson.dumps(definition)) > DEFINITION_BYTES:
            raise Refusal(400, f"the definition must have at most {DEFINITION_BYTES} bytes of JSON")
        return definition

    return await read_shape(request, project_id, shaped, kept)


def _after(before: Version | None, body: dict[str, Any]) -> Version:
    """What a trial shows: the version that would have come."""
    return Version((before.number if before else 0) + 1, now_us(), body)
