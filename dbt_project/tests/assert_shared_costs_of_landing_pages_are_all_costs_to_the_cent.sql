-- What ads cost on a day is what that day's landing pages have of it, by project and currency, converted too.
{{ config(meta={'dagster': {'ref': {'name': 'rpt_landing_pages'}}}) }}
with spent as (
    select
        project_id,
        cost_date as report_date,
        currency,
        {{ sum_exact('amount_minor') }} as amount_minor,
        {{ sum_exact('reporting_amount_minor') }} as reporting_amount_minor
    from {{ ref('fct_costs') }}
    group by project_id, cost_date, currency
),

shared as (
    select
        project_id,
        report_date,
        currency,
        {{ sum_exact('shared_cost_minor') }} as amount_minor,
        {{ sum_exact('reporting_shared_cost_minor') }} as reporting_amount_minor
    from {{ ref('rpt_landing_pages') }}
    where shared_cost_minor is not null
    group by project_id, report_date, currency
)

select
    coalesce(spent.project_id, shared.project_id) as project_id,
    coalesce(spent.report_date, shared.report_date) as report_date,
    coalesce(spent.currency, shared.currency) as currency,
    spent.amount_minor as spent_minor,
    shared.amount_minor as shared_minor,
    spent.reporting_amount_minor as reporting_spent_minor,
    shared.reporting_amount_minor as reporting_shared_minor
from spent
full outer join shared
    on
        spent.project_id = shared.project_id
        and spent.report_date = shared.report_date
        and spent.currency = shared.currency
where
    spent.amount_minor is distinct from shared.amount_minor
    or spent.reporting_amount_minor is distinct from shared.reporting_amount_minor
