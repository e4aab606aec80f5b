-- One row per postback that names a visitor and no hit, and the page view found in the visitor's current run.
with postbacks as (
    -- All reports of one transaction look the visit up as of the earliest, so a status change never moves it.
    select
        seq,
        project_id,
        visitor_id,
        page_id,
        case
            when transaction_id is null then occurred_us
            else min(occurred_us) over (
                partition by project_id, visitor_id, coalesce(page_id, ''), transaction_id
            )
        end as as_of_us
    from {{ ref('int_events_deduplicated') }}
    where
        dialect = 'funnelflux'
        and hit_id is null
        and visitor_id is not null
        and {{ is_among('seq', ref('int_reports_to_look_up')) }}
),

visitors as (
    select distinct
        project_id,
        visitor_id
    from postbacks
),

page_views as (
    select page_views.*
    from {{ ref('int_page_views_classified') }} as page_views
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
        last_value(viewed_us ignore nulls) over (
            partition by project_id, visitor_id order by occurred_us, is_postback, seq
            rows between unbounded preceding and current row
        ) as previous_viewed_us,
        first_value(viewed_us ignore nulls) over (
            partition by project_id, visitor_id order by occurred_us, is_postback, seq
            rows between current row and unbounded following
        ) as next_viewed_us,
        last_value(run_number ignore nulls) over (
            partition by project_id, visitor_id order by occurred_us, is_postback, seq
            rows between unbounded preceding and current row
        ) as previous_run_number,
        first_value(run_number ignore nulls) over (
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

candidates as (
    select
        postbacks.seq,
        numbered.seq as page_view_seq,
        row_number() over (
            partition by postbacks.seq
            order by
                case when numbered.occurred_us <= postbacks.as_of_us then 0 else 1 end,
                -- The latest of those before, the earliest of those after.
                abs(postbacks.as_of_us - numbered.occurred_us),
                case
                    when numbered.occurred_us <= postbacks.as_of_us then -numbered.seq else numbered.seq
                end
        ) as preference
    from postbacks
    inner join current_runs on postbacks.seq = current_runs.seq
    inner join numbered
        on
            postbacks.project_id = numbered.project_id
            and postbacks.visitor_id = numbered.visitor_id
            and current_runs.run_number = numbered.run_number
            and case
                when postbacks.page_id is not null then postbacks.page_id = numbered.page_id
                else numbered.page_kind = 'offer'
            end
)

select
    postbacks.seq,
    candidates.page_view_seq,
    case
        when candidates.page_view_seq is not null then null
        when not current_runs.is_visitor_seen then 'not_seen'
        when current_runs.run_number is null then 'run_ended'
        else 'page_not_seen'
    end as unmatched_reason
from postbacks
inner join current_runs on postbacks.seq = current_runs.seq
left join candidates on postbacks.seq = candidates.seq and candidates.preference = 1
