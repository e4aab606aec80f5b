-- One row per event and type of id that is junk in it: what the sender said, before it was left out.
{{ config(materialized='incremental', kept_by='seq', replaces='new') }}
{% set identifiers = var('ids_that_may_be_junk') %}
with events as (
    select * from {{ ref('int_events') }}
    where has_junk_id and {{ is_new() }}
),

reports as (
    select
        reports.*,
        events.occurred_us as believed_us,
        events.user_id as known_user_id
    from {{ ref('stg_raw__events') }} as reports
    inner join events on reports.seq = events.seq
    where {{ is_new_report('reports') }}
),

junk as (
    select * from {{ ref('junk_ids') }}
),

said as (
    {% for identifier in identifiers %}
    select
        seq,
        project_id,
        '{{ identifier[:-3] }}' as id_type,
        {{ lower_case('trim(' ~ identifier ~ ')') }} as id_value,
        known_user_id as user_id,
        believed_us as occurred_us
    from reports
    where {{ identifier }} is not null
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select
    said.seq,
    said.project_id,
    said.id_type,
    said.id_value,
    said.user_id,
    said.occurred_us
from said
left join junk on said.id_value = junk.junk_id
where junk.junk_id is not null or said.id_value = ''
