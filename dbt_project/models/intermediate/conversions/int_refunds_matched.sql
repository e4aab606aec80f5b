-- One row per refund that belongs to a known conversion; without an amount it takes all that remains.
with conversions as (
    select * from {{ ref('int_conversions_stated') }}
),

first_sales as (
    -- The earliest conversion with that transaction id and an amount, whatever its event name.
    select
        project_id,
        transaction_id,
        conversion_id,
        currency,
        row_number() over (partition by project_id, transaction_id order by occurred_us, seq) as sale_number
    from conversions
    where transaction_id is not null and amount_minor is not null
),

sent as (
    select * from {{ ref('int_events') }}
    where kind = 'refund'
),

said_by_status as (
    select * from {{ ref('int_conversion_reports') }}
    where state = 'refunded'
)

select
    sent.seq,
    first_sales.conversion_id,
    sent.amount_minor
from sent
inner join first_sales
    on
        sent.project_id = first_sales.project_id
        and sent.transaction_id = first_sales.transaction_id
        and (sent.amount_minor is null or sent.currency = first_sales.currency)
        and first_sales.sale_number = 1
union all
select
    said_by_status.seq,
    conversions.conversion_id,
    said_by_status.amount_minor
from said_by_status
inner join conversions
    on
        said_by_status.conversion_id = conversions.conversion_id
        and (said_by_status.amount_minor is null or said_by_status.currency = conversions.currency)
