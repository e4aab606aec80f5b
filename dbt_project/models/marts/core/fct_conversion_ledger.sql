-- One row per difference in recognised revenue: since when it is known, when it occurred, and why.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with entries as (
    select * from {{ ref('int_ledger_entries') }}
),

conversions as (
    select * from {{ ref('int_conversions_stated') }}
),

refunds as (
    select * from {{ ref('int_refunds_matched') }}
),

traced as (
    select * from {{ ref('int_conversions_traced') }}
),

people as (
    select * from {{ ref('int_event_people') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

dated as (
    -- All rows of a conversion take the rate of its day; an unmatched refund has a day of its own.
    select
        entries.*,
        coalesce(traced.person_id, people.person_id) as person_id,
        {{ project_date('coalesce(conversions.occurred_us, refunds.occurred_us)', 'projects.time_zone') }}
            as conversion_date,
        projects.reporting_currency,
        projects.rates_of,
        projects.time_zone
    from entries
    inner join projects on entries.project_id = projects.project_id
    left join conversions on entries.conversion_id = conversions.conversion_id
    left join traced on entries.conversion_id = traced.conversion_id
    left join refunds
        on entries.project_id = refunds.project_id and entries.refund_event_id = refunds.event_id
    left join people on refunds.seq = people.seq
),

summed as (
    select
        *,
        cast({{ sum_exact('amount_minor') }} over (
            partition by project_id, conversion_id, refund_event_id, currency
            order by seq
            rows between unbounded preceding and current row
        ) as decimal(38, 0)) as sum_minor
    from dated
),

converted as (
    select
        summed.*,
        {{ reporting_minor('summed.sum_minor', 'summed.currency', 'summed.reporting_currency', 'rates') }}
            as reporting_sum_minor,
        {{ reporting_minor(
            '(summed.sum_minor - summed.amount_minor)', 'summed.currency', 'summed.reporting_currency', 'rates'
        ) }} as reporting_sum_before_minor
    from summed
    left join rates
        on
            {{ is_rate_of(
                'rates', 'summed.currency', 'summed.reporting_currency', 'summed.conversion_date'
            ) }}
            and rates.rates_of = summed.rates_of
)

select
    entry_id,
    project_id,
    conversion_id,
    refund_event_id,
    person_id,
    event_id,
    reason,
    {{ utc_timestamp('received_us') }} as learnt_at,
    {{ project_date('received_us', 'time_zone') }} as learnt_date,
    {{ utc_timestamp('decided_us') }} as happened_at,
    {{ project_date('decided_us', 'time_zone') }} as happened_date,
    conversion_date,
    currency,
    amount_minor,
    reporting_currency,
    -- Sums are converted, not rows: the rows of a conversion so add up to what its sum is worth.
    cast(reporting_sum_minor - reporting_sum_before_minor as bigint) as reporting_amount_minor
from converted
