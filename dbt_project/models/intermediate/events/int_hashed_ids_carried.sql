-- One row per event and type of hashed id, e-mail or phone, that its properties carry: the first that is one.
{{ config(materialized='incremental', kept_by='seq', replaces='new') }}
with events as (
    -- What an alias says is the alias.
    select * from {{ ref('int_events') }}
    where kind not in ('alias', 'unalias') and properties is not null and {{ is_new() }}
),

strong_id_properties as (
    select * from {{ ref('strong_id_properties') }}
),

junk as (
    select * from {{ ref('junk_ids') }}
),

carried as (
    select
        events.seq,
        events.project_id,
        events.user_id,
        events.occurred_us,
        strong_id_properties.id_type,
        strong_id_properties.precedence,
        {{ lower_case(trimmed(json_first('events.properties', 'strong_id_properties.property'))) }}
            as id_value
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
)

select
    seq,
    project_id,
    user_id,
    occurred_us,
    id_type,
    -- What should be a hash and is none may be the e-mail address itself: it goes no further.
    case when coalesce(fault, '') <> 'not_a_hash' then id_value end as id_value,
    fault
from ranked
where preference = 1
