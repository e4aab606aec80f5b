-- One row per event and type of hashed id, e-mail or phone, that its properties carry.
with events as (
    -- What an alias says is the alias.
    select * from {{ ref('int_events') }}
    where kind not in ('alias', 'unalias') and properties is not null
),

strong_id_properties as (
    select * from {{ ref('strong_id_properties') }}
),

junk as (
    select * from {{ ref('junk_ids') }}
),

limits as (
    select * from {{ ref('identity_limits') }}
),

carried as (
    select
        events.seq,
        events.project_id,
        events.user_id,
        events.occurred_us,
        strong_id_properties.id_type,
        strong_id_properties.precedence,
        lower(trim({{ json_value('events.properties', 'strong_id_properties.property') }})) as id_value
    from events
    inner join strong_id_properties
        on contains(events.properties, '"' || strong_id_properties.property || '"')
),

judged as (
    select
        carried.*,
        case
            when junk.junk_id is not null then 'junk'
            when not {{ matches_pattern('carried.id_value', "'^[0-9a-f]{64}$'") }} then 'not_a_hash'
        end as fault
    from carried
    left join junk on carried.id_value = junk.junk_id
    where carried.id_value <> ''
),

ranked as (
    select
        *,
        row_number() over (
            partition by seq, id_type order by case when fault is null then 0 else 1 end, precedence
        ) as preference
    from judged
),

chosen as (
    -- What should be a hash and is none may be the e-mail address itself: it goes no further.
    select
        *,
        case when coalesce(fault, '') <> 'not_a_hash' then id_value end as hashed_value
    from ranked
    where preference = 1
),

counted as (
    select
        project_id,
        id_type,
        hashed_value,
        count(distinct user_id) as users
    from chosen
    group by project_id, id_type, hashed_value
)

select
    chosen.seq,
    chosen.project_id,
    chosen.user_id,
    chosen.occurred_us,
    chosen.id_type,
    chosen.hashed_value as id_value,
    coalesce(chosen.fault, case when counted.users > limits.max_users then 'over_limit' end) as conflict
from chosen
inner join limits on chosen.id_type = limits.id_type
inner join counted
    on
        chosen.project_id = counted.project_id
        and chosen.id_type = counted.id_type
        and chosen.hashed_value is not distinct from counted.hashed_value
