"""Forms that define things: five addresses to each kind, whatever its fields are."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from read_api.dashboard import rules
from read_api.dashboard.access import Editor, Fields, Form, Viewer
from read_api.dashboard.defined import Defined, Kind, see_other
from read_api.dashboard.ingest import NotTaken, UnreachableError
from read_api.dashboard.view import View, frame


def nothing_more(_request: Request, _viewer: Viewer, _key: str, _fields: Mapping[str, Any]) -> dict[str, Any]:
    """Of a form whose template needs its fields only."""
    return {}


@dataclass(frozen=True)
class DefinitionForm:
    """How a kind is shown in a form and read from one; `path` is where, below the project.

    `blank` and `shown` are the fields of a new one and of one that the API has; `read` those that a browser
    sent, and `body` makes of them what the API takes, or raises NotTaken. The template gets `key`, the id of
    one that is there, `fields`, `error`, and what `more` finds for it.
    """

    kind: Kind
    page: str
    """In the menu."""
    path: str
    new: str
    """Title of the form for a new one."""
    template: str
    blank: Callable[[Request], dict[str, Any]]
    shown: Callable[[Mapping[str, Any]], dict[str, Any]]
    read: Callable[[Fields], dict[str, Any]]
    body: Callable[[dict[str, Any]], dict[str, Any]]
    saved: Callable[[View, str], str]
    """The address that follows, for an id."""
    deleted: Callable[[View, str], str] | None = None
    """After it was deleted; None: the same."""
    more: Callable[[Request, Viewer, str, Mapping[str, Any]], dict[str, Any]] = nothing_more


def add_form(router: APIRouter, form: DefinitionForm) -> None:
    """Add the routes that show the form, define and delete."""
    path = f"/app/projects/{{project_id}}/{form.path}"

    def page(
        request: Request, viewer: Viewer, key: str, title: str, fields: Mapping[str, Any], error: str = ""
    ) -> Response:
        context = {"key": key, "fields": fields, "error": error, **form.more(request, viewer, key, fields)}
        view = frame(request, viewer, form.page, title)
        return view.render(form.template, context, 422 if error else 200)

    def save(request: Request, viewer: Viewer, sent: Fields, key: str, is_new: bool) -> Response:
        fields = form.read(sent)
        try:
            Defined(request, viewer).put(form.kind, key, form.body(fields), is_new)
        except (NotTaken, UnreachableError) as refused:
            title = form.new if is_new else key
            return page(request, viewer, "" if is_new else key, title, fields, str(refused))
        return see_other(form.saved(frame(request, viewer, form.page), key))

    @router.get(f"{path}/new")
    def new(request: Request, viewer: Editor) -> Response:
        """The form for a new one."""
        return page(request, viewer, "", form.new, form.blank(request))

    @router.post(f"{path}/new")
    def create(request: Request, viewer: Editor, sent: Form) -> Response:
        """Define one under a new id."""
        key = sent.text("id") or rules.slug(sent.text("name"))
        return save(request, viewer, sent, key, is_new=True)

    @router.get(f"{path}/{{key}}/edit")
    def edit(request: Request, viewer: Editor, key: str) -> Response:
        """The form for an existing one."""
        known = Defined(request, viewer).one(form.kind, key)
        return page(request, viewer, key, known["name"] or key, form.shown(known))

    @router.post(f"{path}/{{key}}/edit")
    def update(request: Request, viewer: Editor, key: str, sent: Form) -> Response:
        """Give it a new version."""
        return save(request, viewer, sent, key, is_new=False)

    @router.post(f"{path}/{{key}}/delete")
    def delete(request: Request, viewer: Editor, key: str, _: Form) -> Response:
        """Delete it."""
        Defined(request, viewer).delete(form.kind, key)
        return see_other((form.deleted or form.saved)(frame(request, viewer, form.page), key))
