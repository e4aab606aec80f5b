-- One row per project, source, medium, campaign in lower case and type of click id that anything came from.
with traffic_sources as (
    select * from {{ ref('int_traffic_sources') }}
),

paid_mediums as (
    select * from {{ ref('paid_mediums') }}
),

named as (
    select
        project_id,
        coalesce(source, '(direct)') as source,
        coalesce(medium, '(none)') as medium,
        {{ lower_case('campaign') }} as compared_campaign,
        click_id_type
    from {{ ref('int_sessions') }}
    union all
    select
        project_id,
        source,
        coalesce(medium, '(none)') as medium,
        {{ lower_case('campaign') }} as compared_campaign,
        click_id_type
    from {{ ref('int_touches') }}
    union all
    -- What is spent on ads carries no click id.
    select
        project_id,
        coalesce({{ origin_text('source', 'source') }}, '(direct)') as source,
        coalesce({{ origin_text('medium', 'medium') }}, '(none)') as medium,
        {{ lower_case(origin_text('campaign', 'campaign')) }} as compared_campaign,
        cast(null as string) as click_id_type
    from {{ ref('stg_raw__costs') }}
    where set_aside_reason is null
    union all
    -- What conversions without a touch are credited to.
    select
        project_id,
        '(direct)' as source,
        '(none)' as medium,
        cast(null as string) as compared_campaign,
        cast(null as string) as click_id_type
    from {{ ref('int_projects') }}
),

found as (
    select
        project_id,
        source,
        medium,
        compared_campaign,
        click_id_type
    from named
    group by project_id, source, medium, compared_campaign, click_id_type
)

select
    found.project_id,
    found.source,
    found.medium,
    found.compared_campaign,
    found.click_id_type,
    coalesce(origins.is_paid, sources.is_paid, paid_mediums.medium is not null) as is_paid
from found
left join paid_mediums on found.medium = paid_mediums.medium
left join traffic_sources as origins
    on
        found.project_id = origins.project_id
        and found.source = origins.source
        and found.medium = origins.medium
left join traffic_sources as sources
    on
        found.project_id = sources.project_id
        and found.source = sources.source
        and sources.medium is null
