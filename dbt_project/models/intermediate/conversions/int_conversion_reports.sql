-- One row per report of a conversion: an event sent as one, or one that completes a goal which counts as one.
{# Each use reads the table: engines would keep what is read twice, with every column. #}
{% set events = ref('int_events_in_work') %}
with counting_goals as (
    -- However many goals an event completes, it is at most one conversion.
    select
        goals_matched.seq,
        min(goals_matched.goal_id) as goal_id
    from {{ ref('int_goals_matched') }} as goals_matched
    inner join {{ events }} as events on goals_matched.seq = events.seq
    inner join {{ ref('int_goals') }} as goals
        on events.project_id = goals.project_id and goals_matched.goal_id = goals.goal_id
    where goals.counts_as_conversion
    group by goals_matched.seq
),

goal_values as (
    -- Of several goals that say what a conversion is worth, the first by id.
    select
        goals_matched.seq,
        min(goals_matched.goal_id) as goal_id
    from {{ ref('int_goals_matched') }} as goals_matched
    inner join {{ events }} as events on goals_matched.seq = events.seq
    inner join {{ ref('int_goals') }} as goals
        on events.project_id = goals.project_id and goals_matched.goal_id = goals.goal_id
    where goals.counts_as_conversion and goals.value_minor is not null
    group by goals_matched.seq
),

goals as (
    select * from {{ ref('int_goals') }}
),

activities as (
    select * from {{ ref('int_activities_sessionized') }}
),

status_words as (
    select * from {{ ref('status_words') }}
),

projects as (
    select * from {{ ref('int_projects') }}
),

counted as (
    select
        events.*,
        counting_goals.goal_id as counting_goal_id,
        goals.value_minor as goal_value_minor,
        goals.value_currency as goal_value_currency,
        coalesce(activities.first_page_view_seq, events.seq) as session_seq
    from {{ events }} as events
    left join counting_goals on events.seq = counting_goals.seq
    left join goal_values on events.seq = goal_values.seq
    left join goals on events.project_id = goals.project_id and goal_values.goal_id = goals.goal_id
    left join activities on events.seq = activities.seq
    where events.kind = 'conversion' or counting_goals.seq is not null
),

keyed as (
    select
        *,
        project_id || '/' || dialect || ':' || case
            -- A page view is at most one conversion of its goal in a session, named by the first received:
            -- a view that comes late renames nothing, nor does a server's report of one.
            when kind = 'visit'
                then
                    'view:' || {{ id_part('counting_goal_id') }} || ':' || first_value(event_id) over (
                        partition by kind, dialect, counting_goal_id, session_seq order by first_seq, seq
                        rows between unbounded preceding and current row
                    )
            else {{ order_key('counted') }}
        end as conversion_id
    from counted
),

stated as (
    select
        keyed.*,
        status_words.word is null and {{ word('keyed.status') }} <> '' as is_status_unknown,
        -- Only postbacks can carry less than nothing: -1 is their way to reject, whatever the status says.
        case
            when keyed.amount_minor < 0 then 'rejected'
            else coalesce(status_words.state, 'approved')
        end as state
    from keyed
    left join projects on keyed.project_id = projects.project_id
    left join status_words
        on
            {{ word('keyed.status') }} = status_words.word
            and (
                not status_words.is_extension
                or keyed.dialect = 'openanalytics'
                or (keyed.dialect = 'funnelflux' and projects.postbacks_take_extended_status)
            )
)

select
    conversion_id,
    seq,
    project_id,
    event_id,
    dialect,
    sender,
    received_us,
    occurred_us,
    name,
    goal_id,
    transaction_id,
    page_id,
    {{ normal_path(url_path('url')) }} as page_path,
    country,
    status,
    coalesce(is_status_unknown, false) as is_status_unknown,
    state,
    is_forwardable,
    -- Once a server reports a conversion, browsers supply only visitor, session and hit.
    {% for column, condition in [('is_deciding', 'true'), ('is_deciding_forwardable', 'is_forwardable')] %}
    {{ condition }} and (sender = 'server' or max(
        case when {{ condition }} and sender = 'server' and state <> 'refunded' then 1 else 0 end
    ) over (partition by conversion_id) = 0) as {{ column }},
    {% endfor %}
    case when amount_minor >= 0 then amount_minor end as amount_minor,
    currency,
    goal_value_minor,
    goal_value_currency
from stated
