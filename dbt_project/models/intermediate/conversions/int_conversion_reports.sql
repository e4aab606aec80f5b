-- One row per report of a conversion: an event sent as one, or one that completes a goal which counts as one.
with events as (
    select * from {{ ref('int_events') }}
),

counting_goals as (
    -- However many goals an event completes, it is at most one conversion.
    select
        goals_matched.seq,
        min(goals_matched.goal_id) as goal_id
    from {{ ref('int_goals_matched') }} as goals_matched
    inner join events on goals_matched.seq = events.seq
    inner join {{ ref('int_goals') }} as goals
        on events.project_id = goals.project_id and goals_matched.goal_id = goals.goal_id
    where goals.counts_as_conversion
    group by goals_matched.seq
),

activities as (
    select * from {{ ref('int_activities_sessionized') }}
),

status_words as (
    select * from {{ ref('status_words') }}
),

keyed as (
    select
        events.*,
        events.project_id || '/' || events.dialect || ':' || case
            -- A page view is at most one conversion of its goal in a session.
            when events.kind = 'visit'
                then
                    'view:' || {{ id_part('counting_goals.goal_id') }}
                    || ':' || coalesce(opening.event_id, events.event_id)
            else {{ order_key('events') }}
        end as conversion_id
    from events
    left join counting_goals on events.seq = counting_goals.seq
    left join activities on events.seq = activities.seq
    left join events as opening on activities.first_page_view_seq = opening.seq
    where events.kind = 'conversion' or counting_goals.seq is not null
)

select
    keyed.conversion_id,
    keyed.seq,
    keyed.project_id,
    keyed.event_id,
    keyed.dialect,
    keyed.sender,
    keyed.occurred_us,
    keyed.name,
    keyed.goal_id,
    keyed.transaction_id,
    keyed.country,
    keyed.status,
    -- Only postbacks can carry less than nothing: -1 is their way to reject, whatever the status says.
    case
        when keyed.amount_minor < 0 then 'rejected'
        else coalesce(status_words.state, 'approved')
    end as state,
    case when keyed.amount_minor >= 0 then keyed.amount_minor end as amount_minor,
    keyed.currency
from keyed
left join status_words
    on
        lower(trim(keyed.status)) = status_words.word
        -- The extension applies to openanalytics always; other dialects have no setting for it yet.
        and (not status_words.is_extension or keyed.dialect = 'openanalytics')
