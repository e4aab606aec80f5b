-- One row per postback or click that is looked up by its visitor: the page view in the visitor's current run.
with postbacks as (
    -- All reports of one transaction look the visit up as of the earliest, so a status change never moves it.
    select
        seq,
        project_id,
        visitor_id,
        page_id,
        dialect = 'links' as is_click,
        case
            when transaction_id is null then occurred_us
            else min(occurred_us) over (
                partition by project_id, visitor_id, coalesce(page_id, ''), transaction_id
            )
        end as as_of_us
    from {{ ref('int_events_in_work') }}
    where
        visitor_id is not null
        and case dialect
            when 'funnelflux' then kind = 'conversion' and hit_id is null
            when 'links' then kind = 'event' and page_id is not null
        end
),

visitors as (
    select distinct
        project_id,
        visitor_id
    from postbacks
),

page_views as (
    select page_views.*
    from {{ ref('int_page_views_in_work') }} as page_views
    inner join visitors
        on page_views.project_id = visitors.project_id and page_views.visitor_id = visitors.visitor_id
),

gaps as (
    select
        *,
        occurred_us - lag(occurred_us) over (
            partition by project_id, visitor_id order by occurred_us, seq
        ) as idle_us
    from page_views
),

numbered as (
    select
        *,
        sum(case when idle_us > {{ days_us(var('postback_visitor_days')) }} then 1 else 0 end) over (
            partition by project_id, visitor_id order by occurred_us, seq
            rows between unbounded preceding and current row
        ) as run_number
    from gaps
),

timeline as (
    select
        project_id,
        visitor_id,
        occurred_us,
        false as is_postback,
        seq,
        occurred_us as viewed_us,
        run_number
    from numbered
    union all
    select
        project_id,
        visitor_id,
        as_of_us as occurred_us,
        true as is_postback,
        seq,
        cast(null as bigint) as viewed_us,
        cast(null as bigint) as run_number
    from postbacks
),

neighbours as (
    select
        seq,
        is_postback,
        occurred_us as as_of_us,
        {{ latest_known('viewed_us') }} over (
            partition by project_id, visitor_id order by occurred_us, is_postback, seq
            rows between unbounded preceding and current row
        ) as previous_viewed_us,
        {{ earliest_known('viewed_us') }} over (
            partition by project_id, visitor_id order by occurred_us, is_postback, seq
            rows between current row and unbounded following
        ) as next_viewed_us,
        {{ latest_known('run_number') }} over (
            partition by project_id, visitor_id order by occurred_us, is_postback, seq
            rows between unbounded preceding and current row
        ) as previous_run_number,
        {{ earliest_known('run_number') }} over (
            partition by project_id, visitor_id order by occurred_us, is_postback, seq
            rows between current row and unbounded following
        ) as next_run_number
    from timeline
),

current_runs as (
    -- The run that the postback falls into or follows closely; else the one that begins soon after it.
    select
        seq,
        case
            when as_of_us - previous_viewed_us <= {{ days_us(var('postback_visitor_days')) }}
                then previous_run_number
            when next_viewed_us - as_of_us <= {{ days_us(var('postback_visitor_days')) }}
                then next_run_number
        end as run_number,
        coalesce(previous_viewed_us, next_viewed_us) is not null as is_visitor_seen
    from neighbours
    where is_postback
),

asked as (
    -- The page that it names, else any offer.
    select
        postbacks.seq,
        postbacks.project_id,
        postbacks.visitor_id,
        current_runs.run_number,
        postbacks.page_id is null as is_any_offer,
        coalesce({{ page_key('postbacks.page_id') }}, '') as page_key,
        postbacks.as_of_us
    from postbacks
    inner join current_runs on postbacks.seq = current_runs.seq
    where current_runs.run_number is not null
),

candidates as (
    select
        seq,
        project_id,
        visitor_id,
        run_number,
        is_any_offer,
        page_key,
        as_of_us as occurred_us,
        true as is_postback,
        cast(null as bigint) as page_view_seq
    from asked
    union all
    select
        seq,
        project_id,
        visitor_id,
        run_number,
        false as is_any_offer,
        {{ page_key('page_id') }} as page_key,
        occurred_us,
        false as is_postback,
        seq as page_view_seq
    from numbered
    where page_id is not null
    union all
    select
        seq,
        project_id,
        visitor_id,
        run_number,
        true as is_any_offer,
        '' as page_key,
        occurred_us,
        false as is_postback,
        seq as page_view_seq
    from numbered
    where page_kind = 'offer'
),

looked_around as (
    select
        seq,
        is_postback,
        {{ latest_known('page_view_seq') }} over (
            partition by project_id, visitor_id, run_number, is_any_offer, page_key
            order by occurred_us, is_postback, seq
            rows between unbounded preceding and current row
        ) as latest_before,
        {{ earliest_known('page_view_seq') }} over (
            partition by project_id, visitor_id, run_number, is_any_offer, page_key
            order by occurred_us, is_postback, seq
            rows between current row and unbounded following
        ) as earliest_after
    from candidates
),

found as (
    -- The latest of those before, else the earliest of those after.
    select
        seq,
        coalesce(latest_before, earliest_after) as page_view_seq
    from looked_around
    where is_postback
)

select
    postbacks.seq,
    postbacks.is_click,
    found.page_view_seq,
    case
        when found.page_view_seq is not null then null
        when not current_runs.is_visitor_seen then 'not_seen'
        when current_runs.run_number is null then 'run_ended'
        else 'page_not_seen'
    end as unmatched_reason
from postbacks
inner join current_runs on postbacks.seq = current_runs.seq
left join found on postbacks.seq = found.seq
