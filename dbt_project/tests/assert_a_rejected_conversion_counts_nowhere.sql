-- A rejected conversion stays as a row, but has no money and no credit, and completes no goal.
{{ config(meta={'dagster': {'ref': {'name': 'fct_conversions'}}}) }}
-- A pending one has no money.
with not_approved as (
    select * from {{ ref('fct_conversions') }}
    where state <> 'approved'
),

ledger as (
    select
        conversion_id,
        currency,
        {{ sum_exact('amount_minor') }} as amount_minor
    from {{ ref('fct_conversion_ledger') }}
    group by conversion_id, currency
),

counted as (
    select conversion_id from {{ ref('fct_attribution') }}
    union
    select conversion_id from {{ ref('fct_goal_completions') }}
)

select
    conversion_id,
    'money' as counts_as
from not_approved
where net_amount_minor <> 0
union all
select
    not_approved.conversion_id,
    'ledger' as counts_as
from not_approved
inner join ledger on not_approved.conversion_id = ledger.conversion_id
where ledger.amount_minor <> 0
union all
select
    not_approved.conversion_id,
    'credit or goal' as counts_as
from not_approved
inner join counted on not_approved.conversion_id = counted.conversion_id
where not_approved.state = 'rejected'
