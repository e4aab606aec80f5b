-- One row per conversion after deduplication, whatever its state; rejected ones are excluded from figures.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with conversions as (
    select * from {{ ref('int_conversions') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

dated as (
    select
        conversions.*,
        projects.reporting_currency,
        projects.rates_of,
        {{ project_date('conversions.occurred_us', 'projects.time_zone') }} as conversion_date
    from conversions
    inner join projects on conversions.project_id = projects.project_id
)

select
    dated.conversion_id,
    dated.project_id,
    dated.person_id,
    dated.name,
    dated.goal_id,
    dated.transaction_id,
    dated.dialect,
    {{ utc_timestamp('dated.occurred_us') }} as occurred_at,
    dated.conversion_date,
    dated.state,
    dated.status,
    dated.is_status_unknown,
    dated.is_suspected_double,
    dated.matched_by,
    dated.unmatched_reason,
    dated.has_other_page_kind,
    dated.session_id,
    dated.hit_id,
    dated.visitor_id,
    dated.user_id,
    dated.click_id,
    dated.click_id_type,
    {{ utc_timestamp('dated.clicked_us') }} as clicked_at,
    dated.page_id,
    dated.country,
    dated.currency,
    dated.amount_minor,
    dated.is_default_payout,
    cast(dated.refunded_minor as bigint) as refunded_minor,
    cast(dated.net_amount_minor as bigint) as net_amount_minor,
    dated.net_amount_with_placeholder_minor,
    dated.reporting_currency,
    {% for amount in [
        'amount_minor', 'refunded_minor', 'net_amount_minor', 'net_amount_with_placeholder_minor'
    ] %}
    cast({{ reporting_minor(
        'dated.' ~ amount, 'dated.currency', 'dated.reporting_currency', 'rates'
    ) }} as bigint) as reporting_{{ amount }},
    {% endfor %}
    dated.reports,
    dated.event_id,
    dated.is_forwardable
from dated
left join rates
    on
        {{ is_rate_of(
            'rates', 'dated.currency', 'dated.reporting_currency', 'dated.conversion_date'
        ) }}
        and rates.rates_of = dated.rates_of
