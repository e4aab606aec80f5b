-- One row per touch: a page view that brought a known source, or an ad click that only a conversion names.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
select
    touch_id,
    project_id,
    person_id,
    session_id,
    visitor_id,
    {{ utc_timestamp('touched_us') }} as touched_at,
    source,
    coalesce(medium, '(none)') as medium,
    campaign,
    term,
    content,
    click_id,
    click_id_type,
    landing_page,
    country
from {{ ref('int_touches') }}
