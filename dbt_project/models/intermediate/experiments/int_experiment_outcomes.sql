-- One row per conversion or goal completion, and variant that it belongs to.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with all_exposures as (
    select * from {{ ref('int_experiment_exposures') }}
),

first_exposures as (
    -- Of a person's exposures to a variant only the first matters.
    select
        project_id,
        person_id,
        experiment_id,
        variant_id,
        exposed_us,
        seq,
        row_number() over (
            partition by person_id, experiment_id, variant_id order by exposed_us, seq
        ) as exposure_number
    from all_exposures
),

numbered_variants as (
    select
        *,
        row_number() over (partition by person_id order by exposed_us, experiment_id, variant_id)
            as variant_number
    from first_exposures
    where exposure_number = 1
),

known_variants as (
    -- Conversions times variants has no end: those count that the person met first.
    select * from numbered_variants
    where variant_number <= {{ work_limit('person_variants') }}
),

judging_goals as (
    select * from {{ ref('int_experiment_goals') }}
),

events_counted as (
    select * from {{ ref('int_events_counted') }}
),

events as (
    select * from {{ ref('int_events_in_work') }}
),

exposures as (
    select
        known_variants.project_id,
        known_variants.experiment_id,
        known_variants.variant_id,
        all_exposures.session_id,
        known_variants.person_id,
        all_exposures.exposed_us,
        all_exposures.seq
    from known_variants
    inner join all_exposures
        on
            known_variants.person_id = all_exposures.person_id
            and known_variants.experiment_id = all_exposures.experiment_id
            and known_variants.variant_id = all_exposures.variant_id
    union all
    -- A person's first one, wherever it was.
    select
        project_id,
        experiment_id,
        variant_id,
        cast(null as string) as session_id,
        person_id,
        exposed_us,
        seq
    from known_variants
),

exposed as (
    select
        exposures.*,
        cast(null as string) as goal_id
    from exposures
    union all
    select
        exposures.*,
        judging_goals.goal_id
    from exposures
    inner join judging_goals
        on
            exposures.project_id = judging_goals.project_id
            and exposures.experiment_id = judging_goals.experiment_id
),

conversions as (
    select * from {{ ref('int_conversions') }}
    where state <> 'rejected'
),

picked as (
    select
        goals_matched.goal_id,
        {{ completed_by('events_counted', 'events.event_key') }} as completed_by,
        events_counted.person_id,
        events_counted.session_id,
        -- A conversion happened once, whatever was reported of it later.
        coalesce(conversions.occurred_us, events_counted.occurred_us) as occurred_us,
        coalesce(conversions.seq, events_counted.seq) as seq
    from {{ ref('int_goals_matched') }} as goals_matched
    inner join events_counted on goals_matched.seq = events_counted.seq
    inner join events on goals_matched.seq = events.seq
    left join conversions on events_counted.conversion_id = conversions.conversion_id
),

numbered as (
    select
        *,
        row_number() over (partition by goal_id, completed_by order by occurred_us, seq) as completion_number
    from picked
),

completions as (
    -- Without a goal: every conversion that is not rejected.
    select
        cast(null as string) as goal_id,
        conversion_id as completed_by,
        person_id,
        session_id,
        occurred_us,
        seq
    from conversions
    union all
    select
        goal_id,
        completed_by,
        person_id,
        session_id,
        occurred_us,
        seq
    from numbered
    where completion_number = 1
),

found as (
    -- The session's variants come first, ...
    select
        completions.goal_id,
        completions.completed_by,
        completions.seq,
        exposed.project_id,
        exposed.experiment_id,
        exposed.variant_id,
        exposed.person_id,
        1 as distance
    from completions
    inner join exposed
        on
            completions.session_id = exposed.session_id
            and completions.goal_id is not distinct from exposed.goal_id
    where
        exposed.exposed_us < completions.occurred_us
        or (exposed.exposed_us = completions.occurred_us and exposed.seq < completions.seq)
    union all
    -- ... else the person's.
    select
        completions.goal_id,
        completions.completed_by,
        completions.seq,
        exposed.project_id,
        exposed.experiment_id,
        exposed.variant_id,
        exposed.person_id,
        2 as distance
    from completions
    inner join exposed
        on
            completions.person_id = exposed.person_id
            and exposed.session_id is null
            and completions.goal_id is not distinct from exposed.goal_id
    where
        exposed.exposed_us < completions.occurred_us
        or (exposed.exposed_us = completions.occurred_us and exposed.seq < completions.seq)
),

nearest as (
    select
        *,
        min(distance) over (partition by experiment_id, goal_id, seq) as least_distance
    from found
)

select distinct
    project_id,
    experiment_id,
    variant_id,
    goal_id,
    completed_by,
    person_id
from nearest
where distance = least_distance
