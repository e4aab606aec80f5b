-- In its currency a conversion's ledger sums to what is recognised of it, in any other to nothing.
{{ config(meta={'dagster': {'ref': {'name': 'fct_conversion_ledger'}}}) }}
with ledger as (
    select
        conversion_id,
        currency,
        {{ sum_exact('amount_minor') }} as amount_minor,
        {{ sum_exact('reporting_amount_minor') }} as reporting_amount_minor
    from {{ ref('fct_conversion_ledger') }}
    where conversion_id is not null
    group by conversion_id, currency
),

recognised as (
    -- Not summed from the ledger, but from what the latest reports and all refunds say.
    select
        conversion_id,
        currency,
        case when state = 'approved' then coalesce(amount_minor, 0) - refunded_minor else 0 end
            as amount_minor,
        net_amount_minor,
        reporting_net_amount_minor
    from {{ ref('fct_conversions') }}
)

select
    coalesce(recognised.conversion_id, ledger.conversion_id) as conversion_id,
    coalesce(recognised.currency, ledger.currency) as currency,
    recognised.amount_minor,
    recognised.net_amount_minor,
    ledger.amount_minor as ledger_minor,
    recognised.reporting_net_amount_minor,
    ledger.reporting_amount_minor as reporting_ledger_minor
from recognised
full join ledger on recognised.conversion_id = ledger.conversion_id and recognised.currency = ledger.currency
where
    coalesce(recognised.amount_minor, 0) <> coalesce(ledger.amount_minor, 0)
    or recognised.amount_minor <> recognised.net_amount_minor
    or coalesce(recognised.reporting_net_amount_minor, 0) <> coalesce(ledger.reporting_amount_minor, 0)
