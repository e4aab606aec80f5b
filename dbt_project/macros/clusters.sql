{# A key as a number: two texts may share one, which only makes a cluster larger than it need be. #}
{% macro key_number(text) %}{{ adapter.dispatch('key_number')(text) }}{% endmacro %}

{# Types of key by which a report names a visit, and the page view's own: the first that finds something wins. #}
{% macro keys_of_page_views() %}
{{ return({
    'hit': 'hit_id',
    'session': 'session_id',
    'visit_hash': sha256_hex('hit_id'),
    'session_hash': sha256_hex('session_id'),
    'short_visit_hash': 'left(' ~ sha256_hex('hit_id') ~ ', 10)',
    'short_session_hash': 'left(' ~ sha256_hex('session_id') ~ ', 10)',
    'click': "click_id_type || ':' || click_id",
}) }}
{% endmacro %}

{# Whether nothing but its session, its ad click or itself may tell whose an event is: it names nobody, or is void. #}
{% macro is_lone(event) -%}
({{ event }}.visitor_id is null and {{ event }}.user_id is null or {{ event }}.kind in ('alias', 'unalias'))
{%- endmacro %}

{# Everyone whom events may make a person of, by their own ids, whatever becomes of those. #}
{% macro people_named_by(events, hashed_ids) %}
{% for id_type, value, condition in [
    ('visitor', 'visitor_id', 'true'),
    ('user', 'user_id', 'true'),
    ('visitor', 'previous_id', 'true'),
    ('user', 'previous_id', 'true'),
    ('session', 'session_id', is_lone('events')),
    ('click', "click_id_type || ':' || click_id", is_lone('events')),
    ('event', 'event_id', is_lone('events')),
] %}
select {{ identifier_id(id_type, value) }} as person_id
from {{ events }} as events
where {{ value }} is not null and {{ condition }}
union
{% endfor %}
select project_id || '/' || id_type || ':' || id_value as person_id
from {{ hashed_ids }}
where fault is null and seq in (select seq from {{ events }})
{% endmacro %}
