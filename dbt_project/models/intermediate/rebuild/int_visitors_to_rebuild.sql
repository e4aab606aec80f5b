-- One row per visitor on which somebody else may be identified than at the last publication.
{% set events, page_views = ref('int_events_deduplicated'), ref('int_page_views_classified') %}
{% set reports, visits_found = ref('int_reports_to_look_up'), ref('int_visits_looked_up') %}
{% set identifying = events_identifying_anew(events) %}
{% if is_scoped() %}
with changed_events as (
    {{ identifying }}
),

seen_on as (
    select seq from changed_events
    union
    -- The visits that changed reports name, and those that they named until now.
    select page_view_seq as seq from {{ reports }}
    union
    select page_view_seq as seq from {{ visits_found }}
    where seq in (select seq from changed_events) or seq in (select seq from {{ reports }})
)

select distinct
    project_id,
    visitor_id
from {{ events }}
where visitor_id is not null and seq in (select seq from seen_on)
union
-- The previous id of an alias may be a visitor's.
select
    project_id,
    previous_id as visitor_id
from {{ events }}
where
    kind in ('alias', 'unalias')
    and previous_id is not null
    and seq in (select seq from changed_events)
{% else %}
select
    cast(null as varchar) as project_id,
    cast(null as varchar) as visitor_id
where false
{% endif %}
