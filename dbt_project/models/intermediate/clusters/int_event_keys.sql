-- One row per new event and key by which it belongs together with others: they are one cluster.
{% set events, page_views = ref('int_events'), ref('int_page_views') %}
{% set strong_keys = [
    ('visitor', 'visitor_id', 'true'),
    ('user', 'user_id', 'true'),
    ('visitor', 'previous_id', 'previous_id is distinct from visitor_id'),
    ('user', 'previous_id', 'previous_id is distinct from user_id'),
    ('order', 'transaction_id', 'true'),
    ('lone_session', 'session_id', is_lone('events')),
    ('lone_click', "click_id_type || ':' || click_id", is_lone('events') ~ ' and session_id is null'),
    ('hit', 'hit_id', "kind <> 'visit'"),
    ('session', 'session_id', "kind <> 'visit'"),
    ('click', "click_id_type || ':' || click_id", "kind <> 'visit'"),
] %}
with named as (
    {% for key_type, key, condition in strong_keys %}
    select
        events.seq,
        events.project_id,
        '{{ key_type }}' as key_type,
        {{ key_number(key) }} as key_number
    from {{ events }} as events
    where {{ key }} is not null and {{ condition }} and {{ is_new('events.seq') }}
    union all
    {% endfor %}
    select
        seq,
        project_id,
        id_type as key_type,
        {{ key_number('id_value') }} as key_number
    from {{ ref('int_hashed_ids_carried') }}
    where fault is null and {{ is_new() }}
    union all
    select
        events.seq,
        events.project_id,
        hash_forms.key_type,
        {{ key_number(lower_case('events.alias_value')) }} as key_number
    from {{ events }} as events
    inner join {{ ref('hash_forms') }} as hash_forms on events.alias_type = hash_forms.alias_type
    where events.kind <> 'visit' and {{ is_new('events.seq') }}
),

asked as (
    select distinct
        project_id,
        key_type,
        key_number
    from named
    {% if is_incremental_build() %}
    union
    select
        project_id,
        key_type,
        key_number
    from {{ as_before('int_known_keys') }}
    where not {{ is_new() }}
    {% endif %}
)

select
    seq,
    project_id,
    key_type,
    key_number
from named
{% for key_type, key in keys_of_page_views().items() %}
union all
-- Page views that share one of these belong together only where another report names it.
select
    keyed.seq,
    keyed.project_id,
    '{{ key_type }}' as key_type,
    keyed.key_number
from (
    select
        seq,
        project_id,
        {{ key_number(key) }} as key_number
    from {{ page_views }}
    where
        {{ key }} is not null
        and {{ is_new() }}
        and project_id in (
            select asked.project_id from asked
            where asked.key_type = '{{ key_type }}'
        )
) as keyed
inner join asked
    on
        asked.key_type = '{{ key_type }}'
        and keyed.project_id = asked.project_id
        and keyed.key_number = asked.key_number
{% endfor %}
