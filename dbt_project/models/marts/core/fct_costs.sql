-- One row per project, day, source, medium, campaign and currency: what was spent on ads, as last reported.
with reports as (
    select
        *,
        -- As page views name theirs.
        coalesce({{ origin_text('source', 'source') }}, '(direct)') as cost_source,
        coalesce({{ origin_text('medium', 'medium') }}, '(none)') as cost_medium,
        {{ origin_text('campaign', 'campaign') }} as named_campaign,
        {{ lower_case(origin_text('campaign', 'campaign')) }} as compared_campaign
    from {{ ref('stg_raw__costs') }}
    where set_aside_reason is null
),

currencies as (
    select * from {{ ref('currencies') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

rates as (
    select * from {{ ref('int_exchange_rates') }}
),

channels as (
    select * from {{ ref('int_channels') }}
    where click_id_type is null
),

spellings as (
    select * from {{ ref('int_origin_spellings') }}
    where part = 'campaign'
),

numbered as (
    -- A report replaces those with the key that it was sent with: one that is spelt otherwise adds to them.
    -- The currency is no part of the key: a report in another one replaces too.
    select
        *,
        row_number() over (
            partition by project_id, day, source, coalesce(medium, '(none)'), campaign order by seq desc
        ) as recency,
        first_value(named_campaign) over (
            partition by project_id, compared_campaign order by seq
        ) as first_spelling
    from reports
),

latest as (
    select
        numbered.*,
        cast(numbered.day as date) as cost_date,
        {{ minor_units('numbered.amount_text', 'coalesce(currencies.minor_per_major, 100)') }} as amount_minor
    from numbered
    left join currencies on numbered.currency = currencies.currency
    where numbered.recency = 1
),

worth as (
    select
        latest.*,
        projects.reporting_currency,
        channels.channel,
        coalesce(spellings.spelling, latest.first_spelling) as cost_campaign,
        {{ reporting_minor(
            'latest.amount_minor', 'latest.currency', 'projects.reporting_currency', 'rates'
        ) }} as reporting_amount_minor
    from latest
    inner join projects on latest.project_id = projects.project_id
    inner join channels
        on
            latest.project_id = channels.project_id
            and latest.cost_source = channels.source
            and latest.cost_medium = channels.medium
            and latest.compared_campaign is not distinct from channels.compared_campaign
    left join spellings
        on latest.project_id = spellings.project_id and latest.compared_campaign = spellings.compared_text
    left join rates
        on
            {{ is_rate_of(
                'rates', 'latest.currency', 'projects.reporting_currency', 'latest.cost_date'
            ) }}
            and rates.rates_of = projects.rates_of
)

select
    project_id,
    cost_date,
    cost_source as source,
    cost_medium as medium,
    cost_campaign as campaign,
    -- One for all of them: no click id tells costs apart.
    min(channel) as channel,
    currency,
    cast({{ sum_exact('amount_minor') }} as decimal(38, 0)) as amount_minor,
    reporting_currency,
    cast({{ sum_exact('reporting_amount_minor') }} as decimal(38, 0)) as reporting_amount_minor,
    {{ utc_timestamp('max(received_us)') }} as reported_at
from worth
group by project_id, cost_date, cost_source, cost_medium, cost_campaign, currency, reporting_currency
