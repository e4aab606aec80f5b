-- One row per pair of strong ids that belong to one person, with the first event that says so.
{% set strong_ids = {'user': 'user_id', 'email': 'email', 'phone': 'phone'} %}
with event_ids as (
    select * from {{ ref('int_event_ids') }}
),

aliases as (
    select * from {{ ref('int_aliases') }}
),

named_together as (
    {% for one, other in [('user', 'email'), ('user', 'phone'), ('email', 'phone')] %}
    select
        project_id,
        {{ identifier_id(one, strong_ids[one]) }} as one_id,
        {{ identifier_id(other, strong_ids[other]) }} as other_id,
        'same_event' as linked_by,
        seq,
        event_id,
        occurred_us
    from event_ids
    where {{ strong_ids[one] }} is not null and {{ strong_ids[other] }} is not null
    union all
    {% endfor %}
    select
        project_id,
        {{ identifier_id('user', 'user_id') }} as one_id,
        {{ identifier_id('user', 'previous_id') }} as other_id,
        'alias' as linked_by,
        seq,
        event_id,
        occurred_us
    from aliases
    where user_id <> previous_id
),

numbered as (
    select
        *,
        row_number() over (
            partition by least(one_id, other_id), greatest(one_id, other_id) order by occurred_us, seq
        ) as saying_number
    from named_together
)

select
    project_id,
    least(one_id, other_id) as strong_id,
    greatest(one_id, other_id) as linked_id,
    linked_by,
    seq,
    event_id,
    occurred_us
from numbered
where saying_number = 1
