-- One row per session, experiment and variant that the session's page views carried.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with exposures as (
    select * from {{ ref('int_experiment_exposures') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

several as (
    select
        project_id,
        experiment_id,
        person_id
    from exposures
    group by project_id, experiment_id, person_id
    having count(distinct variant_id) > 1
)

select
    exposures.project_id,
    exposures.experiment_id,
    exposures.variant_id,
    exposures.session_id,
    exposures.person_id,
    {{ utc_timestamp('exposures.exposed_us') }} as exposed_at,
    {{ project_date('exposures.exposed_us', 'projects.time_zone') }} as exposure_date,
    exposures.page_views,
    several.person_id is not null as has_several_variants
from exposures
inner join projects on exposures.project_id = projects.project_id
left join several
    on
        exposures.project_id = several.project_id
        and exposures.experiment_id = several.experiment_id
        and exposures.person_id = several.person_id
