-- Credit goes back in time only, to the own person or the visit that was named; and, but for one model, no
-- further than the look-back.
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
    and {{ is_among('attribution.person_id', ref('int_people_in_work')) }}
    and (
        touches.touch_id is null
        or (considered.touch_id is null and attribution.model <> 'first_touch_lifetime')
        or touches.project_id <> attribution.project_id
        or attribution.touched_at > attribution.converted_at
        or (
            not coalesce(considered.is_named, false)
            and (
                touches.person_id <> attribution.person_id
                or (
                    touches.touched_us < conversions.occurred_us - projects.lookback_us
                    and attribution.model <> 'first_touch_lifetime'
                )
            )
        )
    )
