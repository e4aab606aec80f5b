-- One row per event and type of hashed id, e-mail or phone, that its properties carry.
with carried as (
    select * from {{ ref('int_hashed_ids_carried') }}
    where {{ is_among('seq', ref('int_events_in_work')) }}
),

limits as (
    select * from {{ ref('identity_limits') }}
),

counted as (
    select
        project_id,
        id_type,
        id_value,
        count(distinct user_id) as users
    from carried
    group by project_id, id_type, id_value
)

select
    carried.seq,
    carried.project_id,
    carried.user_id,
    carried.occurred_us,
    carried.id_type,
    carried.id_value,
    coalesce(carried.fault, case when counted.users > limits.max_users then 'over_limit' end) as conflict
from carried
inner join limits on carried.id_type = limits.id_type
inner join counted
    on
        carried.project_id = counted.project_id
        and carried.id_type = counted.id_type
        and carried.id_value is not distinct from counted.id_value
