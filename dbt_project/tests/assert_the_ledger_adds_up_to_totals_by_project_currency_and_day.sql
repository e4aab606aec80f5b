-- All rows of the ledger are what the conversions of a day are worth, less that day's unmatched refunds.
{{ config(meta={'dagster': {'ref': {'name': 'fct_conversion_ledger'}}}) }}
with ledger as (
    select
        project_id,
        currency,
        conversion_date as total_date,
        {{ sum_exact('amount_minor') }} as amount_minor
    from {{ ref('fct_conversion_ledger') }}
    group by project_id, currency, conversion_date
),

conversions as (
    select * from {{ ref('fct_conversions') }}
),

refunds as (
    -- What each refund is left with today.
    select * from {{ ref('int_refunds_unmatched') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

amounts as (
    select
        project_id,
        currency,
        conversion_date as total_date,
        net_amount_minor as amount_minor
    from conversions
    union all
    select
        refunds.project_id,
        refunds.currency,
        {{ project_date('refunds.occurred_us', 'projects.time_zone') }} as total_date,
        -refunds.unmatched_minor as amount_minor
    from refunds
    inner join projects on refunds.project_id = projects.project_id
),

totals as (
    select
        project_id,
        currency,
        total_date,
        {{ sum_exact('amount_minor') }} as amount_minor
    from amounts
    group by project_id, currency, total_date
)

select
    coalesce(ledger.project_id, totals.project_id) as project_id,
    coalesce(ledger.currency, totals.currency) as currency,
    coalesce(ledger.total_date, totals.total_date) as total_date,
    ledger.amount_minor as ledger_minor,
    totals.amount_minor
from ledger
full join totals
    on
        ledger.project_id = totals.project_id
        and ledger.currency = totals.currency
        and ledger.total_date = totals.total_date
where coalesce(ledger.amount_minor, 0) <> coalesce(totals.amount_minor, 0)
