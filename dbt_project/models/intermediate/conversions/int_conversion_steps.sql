-- One row per report or refund of a conversion: state and amount, before refunds, as known by then.
with reports as (
    select * from {{ ref('int_conversion_reports') }}
    where state <> 'refunded'
),

refunds as (
    select * from {{ ref('int_refunds_matched') }}
),

order_events as (
    select * from {{ ref('int_order_events') }}
),

defaults as (
    select * from {{ ref('int_conversion_defaults') }}
),

steps as (
    select
        conversion_id as story_id,
        seq,
        project_id,
        event_id,
        received_us,
        occurred_us,
        false as is_refund,
        false as is_order_event,
        sender = 'server' as is_servers,
        state,
        amount_minor,
        currency
    from reports
    union all
    select
        conversion_id as story_id,
        seq,
        project_id,
        event_id,
        received_us,
        occurred_us,
        false as is_refund,
        true as is_order_event,
        -- It says nothing of how the order came about, so what browsers said of that stays.
        false as is_servers,
        state,
        amount_minor,
        currency
    from order_events
    union all
    select
        story_id,
        seq,
        project_id,
        event_id,
        received_us,
        occurred_us,
        true as is_refund,
        false as is_order_event,
        false as is_servers,
        cast(null as string) as state,
        cast(null as bigint) as amount_minor,
        cast(null as string) as currency
    from refunds
),

phased as (
    select
        *,
        max(case when is_servers then 1 else 0 end) over (
            partition by story_id order by seq rows between unbounded preceding and current row
        ) as has_server
    from steps
),

carried as (
    select
        *,
        false as is_repeated
    from phased
    union all
    -- What became of the order holds on when a server reports it.
    select
        story_id,
        seq,
        project_id,
        event_id,
        received_us,
        occurred_us,
        is_refund,
        is_order_event,
        is_servers,
        state,
        amount_minor,
        currency,
        1 as has_server,
        true as is_repeated
    from phased
    where is_order_event and has_server = 0
),

deciding as (
    -- Once a server reports a conversion, browsers say nothing about its state and amount.
    select
        *,
        not is_refund and (is_servers or is_order_event or has_server = 0) as is_deciding
    from carried
),

compared as (
    select
        *,
        max(case when is_deciding then occurred_us end) over (
            partition by story_id, has_server order by seq rows between unbounded preceding and 1 preceding
        ) as last_occurred_us,
        max(case when is_deciding and state is not null then occurred_us end) over (
            partition by story_id, has_server order by seq rows between unbounded preceding and 1 preceding
        ) as last_state_us,
        max(case when is_deciding and amount_minor is not null then occurred_us end) over (
            partition by story_id, has_server order by seq rows between unbounded preceding and 1 preceding
        ) as last_amount_us
    from deciding
),

latest as (
    -- The latest of those received so far; of equal times the one received last.
    select
        *,
        is_deciding and occurred_us >= coalesce(last_occurred_us, occurred_us) as is_latest,
        is_deciding and state is not null and occurred_us >= coalesce(last_state_us, occurred_us)
            as is_latest_state,
        is_deciding and amount_minor is not null and occurred_us >= coalesce(last_amount_us, occurred_us)
            as is_latest_amount
    from compared
),

known as (
    select
        story_id,
        seq,
        project_id,
        event_id,
        received_us,
        occurred_us,
        is_refund,
        has_server,
        is_repeated,
        {{ latest_known('case when is_latest_state then state end') }} over (
            partition by story_id, has_server order by seq rows between unbounded preceding and current row
        ) as state,
        {{ latest_known('case when is_latest or is_latest_state then occurred_us end') }} over (
            partition by story_id, has_server order by seq rows between unbounded preceding and current row
        ) as decided_us,
        {{ latest_known('case when is_latest_amount then amount_minor end') }} over (
            partition by story_id, has_server order by seq rows between unbounded preceding and current row
        ) as given_minor,
        {{ latest_known('case when is_latest_amount then currency end') }} over (
            partition by story_id, has_server order by seq rows between unbounded preceding and current row
        ) as given_currency
    from latest
)

select
    known.story_id,
    known.seq,
    known.project_id,
    known.event_id,
    known.is_refund,
    known.received_us,
    -- A refund decides for itself.
    case when known.is_refund then known.occurred_us else known.decided_us end as decided_us,
    known.has_server = 1 as has_server,
    known.state,
    -- The default, until an amount is given.
    case when known.state is not null then coalesce(known.given_minor, defaults.amount_minor) end
        as amount_minor,
    case when known.state is not null then coalesce(known.given_currency, defaults.currency) end
        as currency
from known
left join defaults on known.story_id = defaults.conversion_id
where not known.is_repeated
