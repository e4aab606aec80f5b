-- One row per session, experiment and variant that a page view of the session carried: the first one.
with page_views as (
    select * from {{ ref('int_events_in_work') }}
    where kind = 'visit' and experiments is not null
),

activities as (
    select * from {{ ref('int_activities_sessionized') }}
),

sessions as (
    select * from {{ ref('int_sessions') }}
    where not is_bot
),

carried as (
    select
        seq,
        occurred_us,
        experiments,
        {{ each_json_key('experiments', var('experiments_at_most')) }} as experiment_id
    from page_views
),

named as (
    select
        seq,
        occurred_us,
        experiment_id,
        nullif({{ json_value('experiments', 'experiment_id') }}, '') as variant_id
    from carried
    where {{ text_bytes('experiment_id') }} <= {{ var('word_bytes') }}
),

placed as (
    select
        named.*,
        sessions.project_id,
        sessions.session_id,
        sessions.person_id
    from named
    inner join activities on named.seq = activities.seq
    inner join sessions on activities.first_page_view_seq = sessions.first_page_view_seq
    -- What is null is shorter than nothing.
    where {{ text_bytes('named.variant_id') }} <= {{ var('word_bytes') }}
),

numbered as (
    select
        *,
        row_number() over (
            partition by session_id, experiment_id, variant_id order by occurred_us, seq
        ) as exposure_number,
        count(*) over (partition by session_id, experiment_id, variant_id) as page_views
    from placed
)

select
    project_id,
    experiment_id,
    variant_id,
    session_id,
    person_id,
    occurred_us as exposed_us,
    seq,
    page_views
from numbered
where exposure_number = 1
