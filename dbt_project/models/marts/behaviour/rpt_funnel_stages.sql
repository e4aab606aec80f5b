-- One row per project, day, origin, country, landing page, device and stage: what the funnel report sums.
with traffic as (
    select * from {{ ref('rpt_traffic') }}
),

attribution as (
    select * from {{ ref('fct_attribution') }}
    where model = '{{ var("default_model") }}'
),

touches as (
    select * from {{ ref('fct_touches') }}
),

conversions as (
    select * from {{ ref('fct_conversions') }}
),

sessions as (
    select * from {{ ref('fct_sessions') }}
),

completions as (
    select * from {{ ref('fct_goal_completions') }}
),

placed_completions as (
    -- A completed conversion came from what its credit says, anything else from its session.
    select
        completions.*,
        coalesce(attribution.source, sessions.source, '(unattributed)') as source,
        coalesce(attribution.medium, sessions.medium, '(none)') as medium,
        case when attribution.source is null then sessions.campaign else attribution.campaign end as campaign,
        case when attribution.source is null then sessions.term else attribution.term end as term,
        case when attribution.source is null then sessions.content else attribution.content end as content,
        coalesce(attribution.channel, sessions.channel, 'Unassigned') as channel,
        coalesce(conversions.country, sessions.country) as country,
        case when attribution.source is null then sessions.landing_page else touches.landing_page end
            as landing_page,
        sessions.device,
        coalesce(attribution.credit_nano, 1000000000) as credit_nano
    from completions
    left join attribution on completions.conversion_id = attribution.conversion_id
    left join touches on attribution.touch_id = touches.touch_id
    left join conversions on completions.conversion_id = conversions.conversion_id
    left join sessions on completions.session_id = sessions.session_id
),

counted_completions as (
    select
        *,
        'microconversions' as counted_as
    from placed_completions
    where is_micro
    union all
    select
        *,
        stage as counted_as
    from placed_completions
    where stage is not null
),

{% set origin = [
    'source', 'medium', 'campaign', 'term', 'content', 'channel', 'country', 'landing_page', 'device'
] %}
figures as (
    select
        project_id,
        report_date,
        {{ origin | join(', ') }},
        'clicks' as stage,
        sessions * 1000000000 as credit_nano
    from traffic
    where sessions > 0
    union all
    select
        project_id,
        report_date,
        {{ origin | join(', ') }},
        'conversions' as stage,
        credit_nano
    from traffic
    where credit_nano > 0
    union all
    select
        project_id,
        completion_date as report_date,
        {{ origin | join(', ') }},
        counted_as as stage,
        credit_nano
    from counted_completions
),

labels as (
    select * from {{ ref('source_labels') }}
),

traffic_sources as (
    select * from {{ ref('int_traffic_sources') }}
)

select
    figures.project_id,
    figures.report_date,
    figures.source,
    coalesce(origins.name, sources.name, labels.label, figures.source) as source_label,
    figures.medium,
    figures.campaign,
    figures.term,
    figures.content,
    figures.channel,
    figures.country,
    figures.landing_page,
    figures.device,
    figures.stage,
    cast(round(sum(figures.credit_nano) / 1000000000) as bigint) as completions
from figures
left join labels on figures.source = labels.source
left join traffic_sources as origins
    on
        figures.project_id = origins.project_id
        and {{ lower_case('figures.source') }} = origins.source
        and {{ lower_case('figures.medium') }} = origins.medium
left join traffic_sources as sources
    on
        figures.project_id = sources.project_id
        and {{ lower_case('figures.source') }} = sources.source
        and sources.medium is null
group by
    figures.project_id,
    figures.report_date,
    figures.source,
    coalesce(origins.name, sources.name, labels.label, figures.source),
    figures.medium,
    figures.campaign,
    figures.term,
    figures.content,
    figures.channel,
    figures.country,
    figures.landing_page,
    figures.device,
    figures.stage
