"""Experiments: their variants, the one that the others are compared with, and the goals that judge them.

Ids of experiments and variants are the senders', in their spelling. Stored: `name`, `variants` (an array;
each has `id` and `name`), `control`, `goal_ids` (an array of text; empty: conversions judge).
"""

from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from ingest_api.definitions.kind import Kind, check_senders_id
from ingest_api.native import NonEmpty, OwnShape


class Variant(OwnShape):
    """One variant: its id as visits carry it, and a name for reports."""

    id: NonEmpty
    name: NonEmpty


class Experiment(OwnShape):
    """Variants 2 to 20. `control` is the id of one of them."""

    name: NonEmpty
    variants: Annotated[list[Variant], Field(min_length=2, max_length=20)]
    control: NonEmpty
    goal_ids: Annotated[list[NonEmpty], Field(max_length=20, default_factory=list)]

    @field_validator("variants")
    @classmethod
    def _variants_differ(cls, variants: list[Variant]) -> list[Variant]:
        if len({variant.id for variant in variants}) != len(variants):
            raise ValueError("two have the same id; send one each")
        return variants

    @field_validator("control")
    @classmethod
    def _control_is_a_variant(cls, control: str, info: ValidationInfo) -> str:
        # Variants that are at fault themselves are not there, and are named instead.
        variants: list[Variant] | None = info.data.get("variants")
        if variants is not None and control not in [variant.id for variant in variants]:
            raise ValueError("must be the id of one of the variants")
        return control

    @field_validator("goal_ids")
    @classmethod
    def _goals_differ(cls, goal_ids: list[str]) -> list[str]:
        if len(set(goal_ids)) != len(goal_ids):
            raise ValueError("a goal is named twice; name it once")
        return goal_ids


def _stored(experiment: Experiment) -> dict[str, Any]:
    return experiment.model_dump()


def _shown(stored: dict[str, Any]) -> dict[str, Any]:
    return stored


EXPERIMENTS = Kind(
    kind="experiment",
    path="experiments",
    plural="experiments",
    noun="experiment",
    id_name="experiment_id",
    check_id=check_senders_id,
    shape=Experiment,
    stored=_stored,
    shown=_shown,
    example={
        "name": "Colour of the button",
        "variants": [{"id": "a", "name": "Blue"}, {"id": "b", "name": "Green"}],
        "control": "a",
        "goal_ids": ["signup"],
    },
)
