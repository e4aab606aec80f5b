-- One row per visitor on which somebody was identified and person, from one event until another.
-- Anonymous events between the two are that person's. A visitor without a row is its own person.
with runs as (
    select * from {{ ref('int_visitor_runs') }}
),

strong_id_people as (
    select * from {{ ref('int_strong_id_people') }}
),

limits as (
    select * from {{ ref('identity_limits') }}
    where id_type = 'visitor'
),

merged as (
    -- Whether they are one or several is counted after users are merged.
    select
        runs.*,
        coalesce(strong_id_people.person_id, runs.strong_id) as person_id
    from runs
    left join strong_id_people on runs.strong_id = strong_id_people.strong_id
),

counted as (
    select
        project_id,
        visitor_id,
        count(distinct person_id) as people
    from merged
    group by project_id, visitor_id
),

compared as (
    select
        merged.*,
        counted.people,
        lag(merged.person_id) over (
            partition by merged.project_id, merged.visitor_id order by merged.from_us, merged.from_seq
        ) as previous_person_id
    from merged
    inner join counted
        on merged.project_id = counted.project_id and merged.visitor_id = counted.visitor_id
    cross join limits
    where counted.people <= limits.max_users
),

changed as (
    select * from compared
    where person_id is distinct from previous_person_id
)

select
    project_id,
    visitor_id,
    person_id,
    -- The first of them had the visitor before being identified, too.
    case when previous_person_id is null then 0 else from_us end as from_us,
    case when previous_person_id is null then 0 else from_seq end as from_seq,
    coalesce(
        lead(from_us) over (partition by project_id, visitor_id order by from_us, from_seq),
        {{ end_of_time_us() }}
    ) as until_us,
    coalesce(
        lead(from_seq) over (partition by project_id, visitor_id order by from_us, from_seq), 0
    ) as until_seq,
    strong_id as linked_to,
    linked_by,
    event_id,
    people,
    false as is_over_limit
from changed
union all
-- Too many people for one device: it links nothing.
select
    counted.project_id,
    counted.visitor_id,
    {{ identifier_id('visitor', 'counted.visitor_id', 'counted.project_id') }} as person_id,
    0 as from_us,
    0 as from_seq,
    {{ end_of_time_us() }} as until_us,
    0 as until_seq,
    null as linked_to,
    'own' as linked_by,
    null as event_id,
    counted.people,
    true as is_over_limit
from counted
cross join limits
where counted.people > limits.max_users
