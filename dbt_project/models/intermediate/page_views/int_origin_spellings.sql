-- One row per project, part of an origin and text without case: how the first page view received spells it.
{{ config(
    materialized='incremental', kept_by='seq', replaces='new',
    and_replaces="project_id in (select project_id from int_events_displaced where kind = 'visit')"
) }}
{% set page_views = ref('int_page_views') %}
with respelt as (
    -- The first page view may be an event no longer, because a server has reported it.
    select distinct project_id from {{ ref('int_events_displaced') }}
    where kind = 'visit'
),

events as (
    select seq from {{ ref('int_events') }}
    where project_id in (select respelt.project_id from respelt)
),

named as (
    {% for part in ['campaign', 'term', 'content'] %}
    select
        seq,
        project_id,
        '{{ part }}' as part,
        {{ part }} as spelling
    from {{ page_views }}
    where {{ part }} is not null and ({{ is_new() }} or seq in (select events.seq from events))
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

firsts as (
    select
        project_id,
        part,
        {{ lower_case('spelling') }} as compared_text,
        min(seq) as seq
    from named
    group by project_id, part, {{ lower_case('spelling') }}
)

select
    firsts.project_id,
    firsts.part,
    firsts.compared_text,
    named.spelling,
    firsts.seq
from firsts
inner join named on firsts.seq = named.seq and firsts.part = named.part
{% if is_incremental_build() %}
-- What was received before has its spelling.
where
    firsts.project_id in (select respelt.project_id from respelt)
    or not exists (
        select 1
        from {{ as_before('int_origin_spellings') }} as earlier
        where
            earlier.project_id = firsts.project_id
            and earlier.part = firsts.part
            and earlier.compared_text = firsts.compared_text
            and not {{ is_new('earlier.seq') }}
    )
{% endif %}
