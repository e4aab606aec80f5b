-- The API checks funnels as they come, this those of the seed: steps without gaps, known words, one of each.
{{ config(meta={'dagster': {'ref': {'name': 'funnel_steps'}}}) }}
select
    project_id,
    funnel_id
from {{ ref('funnel_steps') }}
group by project_id, funnel_id
having
    min(step_number) <> 1
    or max(step_number) <> count(*)
    or count(*) not between 2 and {{ var('funnel_steps_at_most') }}
    or count(distinct coalesce(funnel_name, '')) <> 1
    or count(funnel_name) <> count(*)
    or count(distinct coalesce(mode, 'ordered')) <> 1
    or count(distinct coalesce(unit, 'person')) <> 1
    or count(distinct coalesce(window_days, {{ var('funnel_window_days') }})) <> 1
    or min(window_days) < 1
    or count(case when mode not in ('ordered', 'strict', 'any_order', 'counts') then 1 end) > 0
    or count(case when unit not in ('person', 'session') then 1 end) > 0
    or count(step_name) <> count(*)
    or count(case
        when match_type in ('event_name', 'event_type', 'url_path') then match_value
        when match_type = 'any_conversion' and match_value is null then match_type
    end) <> count(*)
    or count(case
        when match_operator not in ('exact', 'prefix', 'wildcard') then 1
        when match_operator in ('prefix', 'wildcard') and match_type <> 'url_path' then 1
    end) > 0
    or count(case when (property_key is null) <> (property_value is null) then 1 end) > 0
