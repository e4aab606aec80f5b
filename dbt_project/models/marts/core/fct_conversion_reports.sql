-- One row per conversion and report of it or refund that belongs to it, as its sender put it.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with claims as (
    select
        conversion_id,
        seq,
        'report' as report_type,
        state,
        is_deciding
    from {{ ref('int_conversion_reports') }}
    -- A status that means a refund is no report of its conversion's state.
    where state <> 'refunded'
    union all
    select
        conversion_id,
        seq,
        'report' as report_type,
        state,
        true as is_deciding
    from {{ ref('int_order_events') }}
    union all
    select
        conversion_id,
        seq,
        'refund' as report_type,
        cast(null as string) as state,
        not is_browsers_word as is_deciding
    from {{ ref('int_refunds_matched') }}
    where conversion_id is not null
),

conversions as (
    select * from {{ ref('int_conversions') }}
),

reports as (
    select * from {{ ref('stg_raw__events') }}
)

select
    claims.conversion_id,
    reports.project_id,
    conversions.person_id,
    reports.seq,
    reports.event_id,
    claims.report_type,
    reports.kind,
    reports.dialect,
    reports.dialect_version,
    reports.sender,
    {{ utc_timestamp('reports.received_us') }} as received_at,
    {{ utc_timestamp('reports.occurred_us') }} as occurred_at,
    reports.name,
    reports.transaction_id,
    reports.status,
    claims.state,
    claims.is_deciding,
    reports.amount_text,
    reports.amount_unit,
    reports.currency,
    reports.payload
from claims
inner join conversions on claims.conversion_id = conversions.conversion_id
inner join reports on claims.seq = reports.seq
