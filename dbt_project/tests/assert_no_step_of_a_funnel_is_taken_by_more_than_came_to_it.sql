-- Who takes a step took the one before: but for independent counts, a funnel only shrinks.
{{ config(meta={'dagster': {'ref': {'name': 'rpt_funnels'}}}) }}
select
    project_id,
    funnel_id,
    entry_date,
    source,
    step_number
from {{ ref('rpt_funnels') }}
where
    (mode <> 'counts' and (entered is null or completed > entered or dropped_off <> entered - completed))
    or (completed > 0 and mode <> 'counts' and (median_seconds is null or p90_seconds < median_seconds))
