-- One row per project and source of sessions: who looks after the source, and how many sessions came by it.
with sessions as (
    select * from {{ ref('fct_sessions') }}
),

owners as (
    select * from {{ ref('source_owners') }}
)

select
    sessions.project_id,
    sessions.source,
    min(owners.owner) as owner,
    count(*) as sessions
from sessions
left join owners on sessions.source = owners.source
where not sessions.is_bot
group by sessions.project_id, sessions.source
