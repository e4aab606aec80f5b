-- One row per conversion with touches: the sources on its way, in order, and how long the way was.
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
),

shown as (
    select
        *,
        left(source, {{ work_limit('path_source_letters') }}) as shown_source
    from {{ ref('int_conversion_touches') }}
),

paths as (
    select
        conversion_id,
        -- A source that a sender calls `a > b` is not two.
        {{ joined_text("replace(shown_source, '>', '›')", "' > '", 'touch_number') }} as path,
        max(touches_left_out) as touches_left_out,
        count(*) as touches,
        min(touched_us) as first_touched_us
    from shown
    group by conversion_id
)

select
    paths.conversion_id,
    dated.project_id,
    dated.person_id,
    dated.conversion_date,
    paths.path,
    paths.touches,
    paths.touches_left_out,
    dated.occurred_us - paths.first_touched_us as way_us,
    dated.currency,
    cast(dated.net_amount_minor as bigint) as net_amount_minor,
    dated.reporting_currency,
    cast({{ reporting_minor(
        'dated.net_amount_minor', 'dated.currency', 'dated.reporting_currency', 'rates'
    ) }} as bigint) as reporting_net_amount_minor
from paths
inner join dated on paths.conversion_id = dated.conversion_id
left join rates
    on
        {{ is_rate_of(
            'rates', 'dated.currency', 'dated.reporting_currency', 'dated.conversion_date'
        ) }}
        and rates.rates_of = dated.rates_of
