-- Every model credits every conversion that counts and all of its recognised amount, to the cent, converted.
{{ config(meta={'dagster': {'ref': {'name': 'fct_attribution'}}}) }}
with models as (
    select distinct model from {{ ref('rpt_attribution') }}
),

expected as (
    select
        models.model,
        conversions.conversion_id,
        conversions.net_amount_minor,
        conversions.currency,
        conversions.reporting_net_amount_minor,
        conversions.reporting_currency
    from {{ ref('fct_conversions') }} as conversions
    cross join models
    where conversions.state <> 'rejected'
),

credited as (
    select
        model,
        conversion_id,
        currency,
        {{ sum_exact('credited_amount_minor') }} as credited_amount_minor,
        reporting_currency,
        {{ sum_exact('reporting_credited_amount_minor') }} as reporting_credited_amount_minor
    from {{ ref('fct_attribution') }}
    group by model, conversion_id, currency, reporting_currency
)

select
    coalesce(expected.model, credited.model) as model,
    coalesce(expected.conversion_id, credited.conversion_id) as conversion_id,
    expected.net_amount_minor,
    credited.credited_amount_minor,
    expected.reporting_net_amount_minor,
    credited.reporting_credited_amount_minor
from expected
full join credited
    on
        expected.model = credited.model
        and expected.conversion_id = credited.conversion_id
        and expected.currency = credited.currency
        and expected.reporting_currency = credited.reporting_currency
where
    expected.net_amount_minor is distinct from credited.credited_amount_minor
    or expected.reporting_net_amount_minor is distinct from credited.reporting_credited_amount_minor
