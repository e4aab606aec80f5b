-- One row per touch: a page view that brought a known source, or an ad click that only a conversion names.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with touches as (
    select
        *,
        coalesce(medium, '(none)') as named_medium,
        {{ lower_case('campaign') }} as compared_campaign
    from {{ ref('int_touches') }}
),

channels as (
    select * from {{ ref('int_channels') }}
)

select
    touches.touch_id,
    touches.project_id,
    touches.person_id,
    touches.session_id,
    touches.visitor_id,
    {{ utc_timestamp('touches.touched_us') }} as touched_at,
    touches.source,
    touches.named_medium as medium,
    touches.campaign,
    touches.term,
    touches.content,
    channels.channel,
    touches.click_id,
    touches.click_id_type,
    touches.landing_page,
    touches.country
from touches
inner join channels on {{ is_of_channel('touches', 'source', 'named_medium') }}
