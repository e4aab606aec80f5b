-- Credit goes back in time only, within the look-back, and to the conversion's own person.
{{ config(meta={'dagster': {'ref': {'name': 'fct_attribution'}}}) }}
select attribution.attribution_id
from {{ ref('fct_attribution') }} as attribution
left join {{ ref('fct_touches') }} as touches on attribution.touch_id = touches.touch_id
where
    attribution.touch_id is not null
    and (
        touches.touch_id is null
        or touches.touched_at > attribution.converted_at
        or touches.touched_at < attribution.converted_at - interval '{{ var("lookback_days") }} days'
        or touches.person_id <> attribution.person_id
        or touches.project_id <> attribution.project_id
    )
