-- One row per event: of reports with the same event id a server's first received wins, else the first.
{{ config(
    materialized='incremental', kept_by='seq', replaces='new',
    and_replaces='seq in (select seq from int_events_displaced)'
) }}
{% set identifiers = var('ids_that_may_be_junk') %}
with reports as (
    select * from {{ ref('stg_raw__events') }}
    where {{ is_new_report() }}
),

winners as (
    -- Not from `reports`: engines would keep what is read twice, with every column.
    select
        coalesce(min(case when sender = 'server' then seq end), min(seq)) as seq,
        min(seq) as first_seq
    from {{ ref('stg_raw__events') }}
    -- What is set aside wins nothing.
    where set_aside_reason is null and {{ is_new_report() }}
    group by project_id, event_id
),

displaced as (
    select
        event_key,
        first_seq
    from {{ ref('int_events_displaced') }}
),

junk as (
    select * from {{ ref('junk_ids') }}
),

currencies as (
    select * from {{ ref('currencies') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

deduplicated as (
    select
        reports.*,
        coalesce(displaced.first_seq, winners.first_seq) as first_seq
    from reports
    inner join winners on reports.seq = winners.seq
    left join displaced on displaced.event_key = reports.project_id || '/' || reports.event_id
    {% if is_incremental_build() %}
    where
        reports.sender = 'server' and displaced.event_key is not null
        or not exists (
            select 1
            from {{ as_before('int_events') }} as earlier
            where
                earlier.event_key = reports.project_id || '/' || reports.event_id
                and not {{ is_new('earlier.seq') }}
        )
    {% endif %}
),

timed as (
    -- A clock that is wrong was as wrong when it sent as when it happened.
    select
        *,
        coalesce(received_us - (sent_us - occurred_us), occurred_us) as told_us,
        coalesce(dialect_version = 'browser-1', false) as is_trackers
    from deduplicated
),

believed as (
    select
        timed.*,
        timed.told_us > timed.received_us + {{ hours_us(var('clock_ahead_hours')) }} as is_time_corrected,
        coalesce(timed.has_unreadable_time, false)
        or (
            timed.sent_us is not null
            and (
                timed.told_us < {{ var('first_occurred_us') }}
                or timed.told_us >= {{ var('end_occurred_us') }}
            )
        )
        or (
            -- A browser keeps what it could not send for so long, and knows nothing of the future.
            timed.is_trackers
            and (
                timed.told_us < timed.received_us - {{ days_us(var('tracker_queue_days')) }}
                or timed.told_us > timed.received_us
            )
        ) as is_time_unusable,
        coalesce(timed.currency, projects.reporting_currency) as amount_currency
    from timed
    inner join projects on timed.project_id = projects.project_id
)

select
    believed.seq,
    believed.first_seq,
    believed.project_id,
    believed.project_id || '/' || believed.event_id as event_key,
    believed.event_id,
    believed.dialect,
    believed.sender,
    believed.kind,
    believed.name,
    believed.goal_id,
    case
        when believed.is_time_corrected or believed.is_time_unusable then believed.received_us
        else believed.told_us
    end as occurred_us,
    believed.is_time_corrected,
    believed.is_time_unusable,
    believed.received_us,

    -- Junk identifies nobody and names no visit.
    {% for identifier in identifiers %}
    case
        when junk_{{ identifier }}.junk_id is null and trim(believed.{{ identifier }}) <> ''
            then believed.{{ identifier }}
    end as {{ identifier }},
    {% endfor %}
    {% for identifier in identifiers %}
    (junk_{{ identifier }}.junk_id is not null or coalesce(trim(believed.{{ identifier }}) = '', false))
    {{ 'or' if not loop.last }}
    {% endfor %}
        as has_junk_id,
    believed.has_text_out_of_bounds,
    believed.click_id_type,
    believed.alias_type,
    believed.alias_value,

    believed.url,
    believed.referrer,
    believed.page_id,
    believed.page_kind,
    upper(believed.country) as country,
    believed.user_agent,
    believed.utm_source,
    believed.utm_medium,
    believed.utm_campaign,
    believed.utm_term,
    believed.utm_content,

    case
        when believed.amount_unit = 'minor' then cast(believed.amount_text as bigint)
        when believed.amount_unit = 'major'
            then {{ minor_units('believed.amount_text', 'coalesce(currencies.minor_per_major, 100)') }}
    end as amount_minor,
    believed.amount_currency as currency,
    coalesce(currencies.minor_per_major, 100) as minor_per_major,
    -- Whoever has no order's id says so by one of these words: all orders would be one.
    case when junk_order.junk_id is null then believed.transaction_id end as transaction_id,
    junk_order.junk_id is not null as has_junk_order_id,
    believed.status,
    coalesce(believed.forwardable, true) as is_forwardable,
    believed.experiments,
    believed.properties,
    coalesce(
        case
            when believed.is_trackers then {{ json_value('believed.properties', "'automated'") }} = 'true'
        end,
        false
    ) as is_automated
from believed
{% for identifier in identifiers %}
left join junk as junk_{{ identifier }}
    on {{ lower_case('trim(believed.' ~ identifier ~ ')') }} = junk_{{ identifier }}.junk_id
{% endfor %}
left join junk as junk_order on {{ lower_case('believed.transaction_id') }} = junk_order.junk_id
left join currencies on believed.amount_currency = currencies.currency
