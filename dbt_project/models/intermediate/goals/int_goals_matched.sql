-- One row per goal and event that the goal's rule picks, or that the sender says completes it.
with goals as (
    select * from {{ ref('int_goals') }}
),

events as (
    select
        *,
        case kind when 'visit' then 'pageview' else kind end as event_type,
        {{ url_path('url') }} as page_path
    from {{ ref('int_events') }}
    where kind in ('visit', 'event', 'conversion', 'identify')
),

picked as (
    select
        goals.goal_id,
        events.seq
    from events
    inner join goals on events.project_id = goals.project_id
    where
        case goals.match_type
            when 'event_name' then events.name = goals.match_value
            when 'event_type' then events.event_type = goals.match_value
            when 'any_conversion' then events.kind = 'conversion'
            when 'url_path' then events.kind = 'visit' and case coalesce(goals.match_operator, 'exact')
                when 'exact' then events.page_path = goals.match_value
                when 'prefix' then starts_with(events.page_path, goals.match_value)
                when
                    'wildcard'
                    then events.page_path like {{ like_of_wildcard('goals.match_value') }} escape '!'
            end
        end
        and (
            goals.property_key is null
            or {{ json_value('events.properties', 'goals.property_key') }} = goals.property_value
        )
        and (
            goals.minimum_amount is null
            or events.amount_minor >= {{ minor_units('goals.minimum_amount', 'events.minor_per_major') }}
        )
),

named as (
    select
        goal_id,
        seq
    from events
    where goal_id is not null
)

select
    goal_id,
    seq
from picked
union
select
    goal_id,
    seq
from named
