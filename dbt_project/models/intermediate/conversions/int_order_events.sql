-- One row per event that says what became of an order which was reported: another state, or another amount.
with order_events as (
    select * from {{ ref('order_events') }}
),

currencies as (
    select * from {{ ref('currencies') }}
),

reported as (
    select distinct conversion_id from {{ ref('int_conversion_reports') }}
    where state <> 'refunded'
),

told as (
    -- They stay events of their own name; here each has that of the order which it is about.
    select
        events.seq,
        events.project_id,
        events.event_id,
        events.dialect,
        events.kind,
        events.received_us,
        events.occurred_us,
        events.hit_id,
        events.visitor_id,
        events.page_id,
        events.goal_id,
        events.transaction_id,
        events.is_forwardable,
        events.properties,
        order_events.order_name as name,
        nullif(order_events.state, '') as state,
        {{ decimal_of("coalesce(" ~ json_value('events.properties', "'revenue'") ~ ", "
            ~ json_value('events.properties', "'total'") ~ ")") }} as amount,
        order_events.takes_amount,
        upper(coalesce(
            nullif({{ trimmed(json_value('events.properties', "'currency'")) }}, ''), events.currency
        )) as currency
    from {{ ref('int_events_in_work') }} as events
    inner join order_events on events.dialect = order_events.dialect and events.name = order_events.event_name
    where
        events.kind = 'event'
        -- A page may not say what became of an order: whoever reads it could.
        and events.sender = 'server'
        and events.transaction_id is not null
),

keyed as (
    select
        *,
        project_id || '/' || dialect || ':' || {{ order_key('told') }} as conversion_id
    from told
),

valued as (
    select
        keyed.*,
        case
            when keyed.takes_amount and {{ matches_pattern('keyed.currency', "'^[A-Z]{3}$'") }}
                then {{ minor_units('keyed.amount', 'coalesce(currencies.minor_per_major, 100)') }}
        end as amount_minor
    from keyed
    left join currencies on keyed.currency = currencies.currency
)

select
    conversion_id,
    seq,
    project_id,
    event_id,
    received_us,
    occurred_us,
    is_forwardable,
    state,
    amount_minor,
    currency
from valued
where
    -- Alone they wait for their order, as a refund does.
    conversion_id in (select reported.conversion_id from reported)
    and (state is not null or amount_minor is not null)
