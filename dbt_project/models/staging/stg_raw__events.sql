-- One row per accepted report, as it was sealed, with bounded texts: some came before ingest held the bounds.
{# The order that properties name, where ingest read none: it once knew fewer names and numbers. #}
{% set named_order -%}
case
    when
        sealed.kind in ('event', 'conversion', 'refund')
        and sealed.dialect in ('segment', 'openanalytics', 'pagent')
        and contains(sealed.properties, '"order')
        then coalesce(
            {{ json_id('sealed.properties', 'order_id') }},
            case when sealed.dialect = 'segment' then {{ json_id('sealed.properties', 'orderId') }} end
        )
end
{%- endset %}
with sealed as (
    -- From the name at once: engines then leave files closed that end before what is asked for.
    select
        *,
        {{ file_position('filename', 'last') }} as file_last_seq
    from {{ record('events') }}
),

superseded as (
    select * from {{ ref('stg_raw__superseded_files') }}
),

quarantined as (
    select * from {{ ref('quarantined_events') }}
)

select
    sealed.seq,
    file_last_seq,

    -- what it is
    case
        when {{ text_bytes('event_id') }} <= {{ var('id_bytes') }} then event_id
        -- Reports with one id stay one.
        else {{ sha256_hex('event_id') }}
    end as event_id,
    project_id,
    dialect,
    dialect_version,
    sender,
    kind,
    sealed.received_us,
    occurred_us,
    sent_us,
    {{ cut_to_bytes('name', var('name_bytes')) }} as name,
    {{ within_bytes('goal_id', var('id_bytes')) }} as goal_id,

    -- identifiers
    {{ within_bytes('hit_id', var('id_bytes')) }} as hit_id,
    {{ within_bytes('session_id', var('id_bytes')) }} as session_id,
    {{ within_bytes('visitor_id', var('id_bytes')) }} as visitor_id,
    {{ within_bytes('user_id', var('id_bytes')) }} as user_id,
    {{ within_bytes('previous_id', var('id_bytes')) }} as previous_id,
    {{ within_bytes('click_id', var('click_id_bytes')) }} as click_id,
    click_id_type,
    alias_type,
    {{ within_bytes('alias_value', var('id_bytes')) }} as alias_value,

    -- web
    {{ cut_to_bytes('url', var('address_bytes')) }} as url,
    {{ cut_to_bytes('referrer', var('address_bytes')) }} as referrer,
    {{ within_bytes('page_id', var('id_bytes')) }} as page_id,
    page_kind,
    {{ within_bytes('country', var('word_bytes')) }} as country,
    {{ cut_to_bytes('user_agent', var('address_bytes')) }} as user_agent,
    {{ cut_to_bytes('utm_source', var('utm_bytes')) }} as utm_source,
    {{ cut_to_bytes('utm_medium', var('utm_bytes')) }} as utm_medium,
    {{ cut_to_bytes('utm_campaign', var('utm_bytes')) }} as utm_campaign,
    {{ cut_to_bytes('utm_term', var('utm_bytes')) }} as utm_term,
    {{ cut_to_bytes('utm_content', var('utm_bytes')) }} as utm_content,

    -- money and conversion
    amount_text,
    amount_unit,
    currency,
    {{ order_id(within_bytes("coalesce(sealed.transaction_id, " ~ named_order ~ ")", var('id_bytes'))) }}
        as transaction_id,
    {{ cut_to_bytes('status', var('word_bytes')) }} as status,
    forwardable,

    -- JSON
    experiments,
    properties,
    payload,

    -- what became of it here
    -- Where ingest could read no time of a call that has one, it put the time of arrival.
    case
        -- Engines weigh what stands beside `and` in any order, and other dialects' payloads are no JSON.
        when
            sealed.dialect = 'segment'
            and occurred_us = sealed.received_us
            and (contains(payload, '"timestamp"') or contains(payload, '"originalTimestamp"'))
            then coalesce(
                nullif({{ json_value('payload', "'timestamp'") }}, ''),
                nullif({{ json_value('payload', "'originalTimestamp'") }}, '')
            ) is not null
        else false
    end as has_unreadable_time,
    {{ is_any_beyond({
        'id_bytes': [
            'event_id', 'goal_id', 'hit_id', 'session_id', 'visitor_id', 'user_id', 'previous_id', 'alias_value',
            'page_id', 'transaction_id',
        ],
        'name_bytes': ['name'],
        'word_bytes': ['country', 'status'],
        'click_id_bytes': ['click_id'],
        'address_bytes': ['url', 'referrer', 'user_agent'],
        'utm_bytes': ['utm_source', 'utm_medium', 'utm_campaign', 'utm_term', 'utm_content'],
    }) }} as has_text_out_of_bounds,
    case
        when
            event_id is null or project_id is null or dialect is null or sender is null or kind is null
            or sealed.received_us is null or occurred_us is null
            then 'incomplete'
        when
            kind not in (
                {% for known_kind in var('kinds_of_event') %}
                '{{ known_kind }}'{{ ',' if not loop.last }}
                {% endfor %}
            )
            then 'unknown_kind'
        -- Beyond these years are times that not every engine can show.
        when
            occurred_us < {{ var('first_occurred_us') }} or occurred_us >= {{ var('end_occurred_us') }}
            or sent_us < {{ var('first_occurred_us') }} or sent_us >= {{ var('end_occurred_us') }}
            then 'time_out_of_range'
        when amount_text is not null and not ({{ is_amount('amount_text', 'amount_unit') }})
            then 'amount_unreadable'
    end as set_aside_reason
from sealed
-- A report is told by both, so that a list of another house's leaves nothing out here.
left join quarantined
    on sealed.seq = quarantined.seq and sealed.received_us is not distinct from quarantined.received_us
where
    sealed.filename not in (select superseded.filename from superseded)
    and quarantined.seq is null
