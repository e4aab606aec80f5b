-- One row per conversion of a project that has destinations: what they may be told, but for personal data.
{% set parts = ['source', 'medium', 'campaign', 'content', 'term'] %}
{# Each use reads the table: engines would keep what is read twice, with every column. #}
{% set events, activities = ref('int_events_in_work'), ref('int_activities_sessionized') %}
with conversions as (
    select * from {{ ref('int_conversions') }}
    where project_id in (select destinations.project_id from {{ ref('int_destinations') }} as destinations)
),

traced as (
    select
        conversion_id,
        page_view_seq,
        first_page_view_seq,
        click_id,
        click_id_type
    from {{ ref('int_conversions_traced') }}
    where conversion_id in (select conversions.conversion_id from conversions)
),

sessions as (
    select * from {{ ref('int_sessions') }}
    where first_page_view_seq in (select traced.first_page_view_seq from traced)
),

page_views as (
    select
        page_views.seq,
        page_views.url,
        page_views.page_id,
        page_views.page_kind,
        events.user_agent
    from {{ ref('int_page_views_in_work') }} as page_views
    inner join {{ events }} as events on page_views.seq = events.seq
    where
        page_views.seq in (select traced.page_view_seq from traced)
        or page_views.seq in (select traced.first_page_view_seq from traced)
),

reports as (
    select
        reports.conversion_id,
        reports.seq,
        reports.occurred_us,
        reports.is_deciding,
        events.first_seq,
        events.kind,
        events.url,
        events.user_agent,
        case
            when contains(events.properties, '"consent"')
                then {{ lower_case(json_value('events.properties', "'consent'")) }}
        end as consent
    from {{ ref('int_conversion_reports') }} as reports
    inner join {{ events }} as events on reports.seq = events.seq
    where
        reports.state <> 'refunded'
        and reports.conversion_id in (select conversions.conversion_id from conversions)
),

counted as (
    select
        conversion_id,
        min(first_seq) as first_seq,
        min(case when kind = 'conversion' then 0 else 1 end) = 1 as is_fired
    from reports
    group by conversion_id
),

{% for column in ['url', 'user_agent'] %}
{{ column }}s as (
    select
        conversion_id,
        {{ column }},
        row_number() over (
            partition by conversion_id order by case when is_deciding then 0 else 1 end, occurred_us, seq
        ) as preference
    from reports
    where {{ column }} is not null
),

{% endfor %}
consents as (
    -- What was decided last: by its reports, else in its session.
    select
        conversion_id,
        consent,
        row_number() over (partition by conversion_id order by occurred_us desc, seq desc) as recency
    from reports
    where consent in ('granted', 'denied')
),

decided as (
    select
        activities.first_page_view_seq,
        activities.occurred_us,
        activities.seq,
        {{ lower_case(json_value('events.properties', "'consent'")) }} as consent
    from {{ activities }} as activities
    inner join {{ events }} as events on activities.seq = events.seq
    where
        activities.first_page_view_seq in (select traced.first_page_view_seq from traced)
        and contains(events.properties, '"consent"')
),

session_consents as (
    select
        first_page_view_seq,
        consent,
        row_number() over (partition by first_page_view_seq order by occurred_us desc, seq desc) as recency
    from decided
    where consent in ('granted', 'denied')
),

goals as (
    -- The goal that its sender named, else the first that makes a conversion of it.
    select
        reports.conversion_id,
        min(goals_matched.goal_id) as goal_id
    from reports
    inner join {{ ref('int_goals_matched') }} as goals_matched on reports.seq = goals_matched.seq
    inner join conversions on reports.conversion_id = conversions.conversion_id
    inner join {{ ref('int_goals') }} as goals
        on conversions.project_id = goals.project_id and goals_matched.goal_id = goals.goal_id
    where goals.counts_as_conversion
    group by reports.conversion_id
),

pages as (
    select * from {{ ref('int_pages') }}
),

sourceless as (
    select
        conversions.conversion_id,
        conversions.person_id,
        conversions.occurred_us,
        projects.lookback_us
    from conversions
    inner join {{ ref('int_projects') }} as projects on conversions.project_id = projects.project_id
    inner join traced on conversions.conversion_id = traced.conversion_id
    left join sessions on traced.first_page_view_seq = sessions.first_page_view_seq
    where coalesce(sessions.is_direct, true)
),

touches as (
    select * from {{ ref('int_touches') }}
    where source <> '(direct)' and person_id in (select sourceless.person_id from sourceless)
),

timeline as (
    select
        person_id,
        touched_us as at_us,
        0 as is_conversion,
        seq,
        touch_id,
        cast(null as string) as conversion_id
    from touches
    union all
    select
        person_id,
        occurred_us as at_us,
        1 as is_conversion,
        cast(null as bigint) as seq,
        cast(null as string) as touch_id,
        conversion_id
    from sourceless
),

looked_back as (
    -- The last touch, as for the model of that name, but for rejected conversions too.
    select
        conversion_id,
        {{ latest_known('touch_id') }} over (
            partition by person_id
            order by at_us, is_conversion, seq, touch_id, conversion_id
            rows between unbounded preceding and current row
        ) as touch_id
    from timeline
),

last_touches as (
    select
        sourceless.conversion_id,
        touches.*
    from looked_back
    inner join sourceless on looked_back.conversion_id = sourceless.conversion_id
    inner join touches on looked_back.touch_id = touches.touch_id
    where touches.touched_us >= sourceless.occurred_us - sourceless.lookback_us
)

select
    conversions.conversion_id,
    conversions.project_id,
    conversions.person_id,
    counted.first_seq,
    conversions.occurred_us,
    conversions.name,
    coalesce(conversions.goal_id, goals.goal_id) as goal_id,
    conversions.transaction_id,
    conversions.is_forwardable,
    conversions.is_suspected_double,
    -- People convert in sessions of bots too; what a program's view fires is the program's.
    counted.is_fired and coalesce(sessions.is_bot, false) as is_bots,
    conversions.matched_by,
    conversions.hit_id,
    conversions.session_id,
    conversions.visitor_id,
    conversions.user_id,
    {% for part in parts %}
    case when last_touches.touch_id is null then sessions.{{ part }} else last_touches.{{ part }} end
        as {{ part }},
    {% endfor %}
    conversions.page_id,
    coalesce(
        pages.page_kind, case when viewed.page_id = conversions.page_id then viewed.page_kind end
    ) as page_kind,
    coalesce(last_touches.click_id, conversions.click_id) as click_id,
    case
        when last_touches.click_id is null then conversions.click_id_type
        else last_touches.click_id_type
    end as click_id_type,
    case
        when last_touches.touch_id is null
            then coalesce(
                sessions.external_click_id,
                case when traced.click_id_type = 'external' then traced.click_id end
            )
        else coalesce(
            last_touches.external_click_id,
            case when traced.click_id_type = 'external' then traced.click_id end
        )
    end as external_click_id,
    -- When it was clicked, never when it was converted: nobody saw a click that only a report names.
    case
        when last_touches.click_id is null then conversions.clicked_us
        when last_touches.session_id is not null then last_touches.touched_us
    end as clicked_us,
    {{ cut_query('sessions.landing_url') }} as landing_url,
    {{ cut_query('coalesce(urls.url, viewed.url)') }} as event_url,
    coalesce(user_agents.user_agent, viewed.user_agent, landed.user_agent) as user_agent,
    conversions.country,
    coalesce(consents.consent, session_consents.consent) as consent_ads
from conversions
inner join counted on conversions.conversion_id = counted.conversion_id
inner join traced on conversions.conversion_id = traced.conversion_id
left join sessions on traced.first_page_view_seq = sessions.first_page_view_seq
left join page_views as viewed on traced.page_view_seq = viewed.seq
left join page_views as landed on traced.first_page_view_seq = landed.seq
left join urls on conversions.conversion_id = urls.conversion_id and urls.preference = 1
left join user_agents on conversions.conversion_id = user_agents.conversion_id and user_agents.preference = 1
left join consents on conversions.conversion_id = consents.conversion_id and consents.recency = 1
left join session_consents
    on traced.first_page_view_seq = session_consents.first_page_view_seq and session_consents.recency = 1
left join goals on conversions.conversion_id = goals.conversion_id
left join pages on conversions.project_id = pages.project_id and conversions.page_id = pages.page_id
left join last_touches on conversions.conversion_id = last_touches.conversion_id
