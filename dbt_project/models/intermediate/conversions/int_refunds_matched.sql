-- One row per refund, sent as one or said by a status, and the conversion that it belongs to, if known.
with conversions as (
    select * from {{ ref('int_conversions_stated') }}
),

first_sales as (
    -- The earliest conversion with that transaction id and an amount, whatever its event name.
    select
        project_id,
        transaction_id,
        conversion_id,
        row_number() over (partition by project_id, transaction_id order by occurred_us, seq) as sale_number
    from conversions
    where transaction_id is not null and amount_minor is not null
),

refunds as (
    select
        seq,
        project_id,
        event_id,
        received_us,
        occurred_us,
        transaction_id,
        cast(null as string) as own_conversion_id,
        false as is_browsers_word,
        is_forwardable,
        amount_minor,
        currency
    from {{ ref('int_events_in_work') }}
    where kind = 'refund'
    union all
    select
        seq,
        project_id,
        event_id,
        received_us,
        occurred_us,
        transaction_id,
        conversion_id as own_conversion_id,
        sender = 'browser' as is_browsers_word,
        is_forwardable,
        amount_minor,
        currency
    from {{ ref('int_conversion_reports') }}
    where state = 'refunded'
)

select
    refunds.seq,
    refunds.project_id,
    refunds.event_id,
    refunds.received_us,
    refunds.occurred_us,
    coalesce(own.conversion_id, first_sales.conversion_id) as conversion_id,
    -- A refund whose sale is not known is a story of its own.
    coalesce(
        own.conversion_id, first_sales.conversion_id, refunds.project_id || '/refund:' || refunds.event_id
    ) as story_id,
    refunds.is_browsers_word and own.conversion_id is not null as is_browsers_word,
    refunds.is_forwardable,
    refunds.amount_minor,
    refunds.currency
from refunds
-- A status is about its own conversion, once a sale was reported under that key.
left join conversions as own on refunds.own_conversion_id = own.conversion_id
left join first_sales
    on
        refunds.project_id = first_sales.project_id
        and refunds.transaction_id = first_sales.transaction_id
        and first_sales.sale_number = 1
