-- Credit goes back in time only; within the look-back and to the own person, or to the visit that was named.
{{ config(meta={'dagster': {'ref': {'name': 'fct_attribution'}}}) }}
select attribution.attribution_id
from {{ ref('fct_attribution') }} as attribution
inner join {{ ref('int_projects') }} as projects on attribution.project_id = projects.project_id
inner join {{ ref('int_conversions') }} as conversions
    on attribution.conversion_id = conversions.conversion_id
left join {{ ref('int_touches') }} as touches on attribution.touch_id = touches.touch_id
left join {{ ref('int_conversion_touches') }} as considered
    on
        attribution.conversion_id = considered.conversion_id
        and attribution.touch_id = considered.touch_id
where
    attribution.touch_id is not null
    and (
        touches.touch_id is null
        or considered.touch_id is null
        or touches.project_id <> attribution.project_id
        or attribution.touched_at > attribution.converted_at
        or (
            not considered.is_named
            and (
                touches.person_id <> attribution.person_id
                or touches.touched_us < conversions.occurred_us - projects.lookback_us
            )
        )
    )
