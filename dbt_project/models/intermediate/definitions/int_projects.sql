-- One row per project that has sent or defined anything: its settings, and defaults for the rest.
with projects as (
    {% if is_incremental_build() %}
    -- What was sent stays sent.
    select project_id from {{ as_before('int_projects') }}
    union
    {% endif %}
    select project_id from {{ ref('stg_raw__events') }}
    where {{ is_new_report() }}
    union
    select project_id from {{ ref('stg_raw__definitions') }}
    union
    select project_id from {{ ref('stg_raw__costs') }}
),

settings as (
    select
        project_id,
        {{ json_value('body', "'time_zone'") }} as time_zone,
        {{ json_value('body', "'reporting_currency'") }} as reporting_currency,
        cast({{ json_value('body', "'lookback_days'") }} as bigint) as lookback_days,
        cast({{ json_value('body', "'half_life_days'") }} as bigint) as half_life_days,
        cast({{ json_value('body', "'session_gap_minutes'") }} as bigint) as session_gap_minutes,
        {{ json_value('body', "'counts_direct'") }} = 'true' as counts_direct,
        {{ json_value('body', "'postbacks_take_extended_status'") }} = 'true'
            as postbacks_take_extended_status
    from {{ ref('int_definitions') }}
    where kind = 'settings'
),

rating as (
    select distinct project_id from {{ ref('int_rates_stated') }}
)

select
    projects.project_id,
    -- A zone that ingest knows may be newer than the engine.
    case when {{ is_time_zone('settings.time_zone') }} then settings.time_zone else 'UTC' end as time_zone,
    coalesce(settings.reporting_currency, '{{ var("default_currency") }}') as reporting_currency,
    -- Projects without rates of their own share those of the seed.
    coalesce(rating.project_id, '') as rates_of,
    coalesce(settings.lookback_days, {{ var('lookback_days') }}) * {{ days_us(1) }} as lookback_us,
    coalesce(settings.half_life_days, {{ var('half_life_days') }}) * {{ days_us(1) }} as half_life_us,
    coalesce(settings.session_gap_minutes, {{ var('session_gap_minutes') }}) * {{ minutes_us(1) }}
        as session_gap_us,
    coalesce(settings.counts_direct, false) as counts_direct,
    coalesce(settings.postbacks_take_extended_status, false) as postbacks_take_extended_status
from projects
left join settings on projects.project_id = settings.project_id
left join rating on projects.project_id = rating.project_id
