-- One row per report that is no event of its own, because another one with its event id wins.
{{ config(
    materialized='incremental', kept_by='seq', replaces='new',
    and_replaces='seq in (select seq from int_events_displaced)'
) }}
{% set displaced = ref('int_events_displaced') %}
with new_events as (
    -- Only they can be what a new report is.
    select seq
    from {{ ref('int_events') }}
    where {{ is_new() }}
),

repeated as (
    select
        reports.seq,
        reports.project_id,
        reports.project_id || '/' || reports.event_id as event_key,
        reports.dialect,
        reports.received_us
    from {{ ref('stg_raw__events') }} as reports
    left join new_events on reports.seq = new_events.seq
    where new_events.seq is null and reports.set_aside_reason is null and {{ is_new_report('reports') }}
    {% if is_incremental_build() %}
    union all
    -- What a server reported since was an event until then.
    select
        reports.seq,
        reports.project_id,
        displaced.event_key,
        reports.dialect,
        reports.received_us
    from {{ ref('stg_raw__events') }} as reports
    inner join {{ displaced }} as displaced on reports.seq = displaced.seq
    {% endif %}
),

paired as (
    -- Not from a query above: engines would keep what is read twice, all events and their keys.
    select
        repeated.*,
        events.seq as winning_seq
    from repeated
    inner join {{ ref('int_events') }} as events on repeated.event_key = events.event_key
),

compared as (
    select seq from paired
    union
    select winning_seq as seq from paired
),

contents as (
    -- From the record once more: engines would keep what is read twice, with every column.
    select
        reports.seq,
        reports.payload
    from {{ ref('stg_raw__events') }} as reports
    inner join compared on reports.seq = compared.seq
)

select
    paired.seq,
    paired.project_id,
    paired.dialect,
    paired.received_us,
    repeating.payload <> winning.payload as has_other_content
from paired
inner join contents as repeating on paired.seq = repeating.seq
inner join contents as winning on paired.winning_seq = winning.seq
