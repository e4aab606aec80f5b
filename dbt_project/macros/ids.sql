{# One part of a composed id: `:` separates parts, so it is escaped inside all of them but the last. #}
{% macro id_part(column) %}replace(replace({{ column }}, '%', '%25'), ':', '%3A'){% endmacro %}

{# Id of the touch that a page view is, and of one that an ad click is which no page view carried. #}
{% macro view_touch_id(project_id, event_key) -%}
{{ project_id }} || '/view:' || substr({{ event_key }}, length({{ project_id }}) + 2)
{%- endmacro %}

{% macro click_touch_id(project_id, person_id, click_id_type, click_id) -%}
{{ project_id }} || '/click:' || {{ id_part(person_id) }} || ':' || {{ click_id_type }} || ':' || {{ click_id }}
{%- endmacro %}

{# A page by what a sender calls it: an id is as it is, a path in the form in which paths are compared. #}
{% macro page_key(page_id) -%}
case when {{ begins_with(page_id, "'/'") }} then {{ normal_path(page_id) }} else {{ page_id }} end
{%- endmacro %}

{# Whether a row of `int_channels`, which is joined as `channels`, is about the origin of another row. #}
{% macro is_of_channel(row, source, medium) -%}
{{ row }}.project_id = channels.project_id
and {{ row }}.{{ source }} = channels.source
and {{ row }}.{{ medium }} = channels.medium
and {{ row }}.compared_campaign is not distinct from channels.compared_campaign
and {{ row }}.click_id_type is not distinct from channels.click_id_type
{%- endmacro %}

{# SHA-256 of a text as 64 hexadecimal digits in lower case. #}
{% macro sha256_hex(text) %}{{ adapter.dispatch('sha256_hex')(text) }}{% endmacro %}

{# A word as seeds spell it: case and blanks don't matter. #}
{% macro word(text) %}{{ lower_case("replace(" ~ text ~ ", ' ', '')") }}{% endmacro %}

{# Identifier of a person's id, `project/type:value`: what a person is named by. #}
{% macro identifier_id(id_type, value, project_id='project_id') -%}
{{ project_id }} || '/{{ id_type }}:' || {{ value }}
{%- endmacro %}

{# An order's id in the one form in which orders are compared: without white space and control characters at its ends, a
   whole number without the zeros of its fraction. What is left of a junk word is none: `int_events`. #}
{% macro order_id(text) %}{{ adapter.dispatch('order_id')(text) }}{% endmacro %}

{# Business key of a report: what the sender said of the order, never what we resolved. Reports with the same
   project, dialect and key are of one order; keys never join dialects. #}
{% macro order_key(event) -%}
case
    when {{ event }}.dialect = 'pagent' and {{ event }}.transaction_id is not null
        then 'goal:' || {{ id_part(event ~ '.goal_id') }} || ':' || {{ id_part(event ~ '.transaction_id') }}
    -- A postback names the hit, else the visitor and the page that converted; an event that a page emits does not.
    when {{ event }}.dialect = 'funnelflux' and {{ event }}.kind = 'conversion' and {{ event }}.hit_id is not null
        then
            'hit:' || {{ id_part(event ~ '.hit_id') }}
            || coalesce(':' || {{ id_part(event ~ '.transaction_id') }}, '')
    when
        {{ event }}.dialect = 'funnelflux'
        and {{ event }}.kind = 'conversion'
        and {{ event }}.visitor_id is not null
        and {{ event }}.transaction_id is not null
        then
            'visitor:' || {{ id_part(event ~ '.visitor_id') }}
            || ':' || {{ id_part("coalesce(" ~ event ~ ".page_id, '')") }}
            || ':' || {{ id_part(event ~ '.transaction_id') }}
    -- A click on a link leaves a page view once, however often it is repeated.
    when {{ event }}.dialect = 'links' and {{ event }}.hit_id is not null
        then
            'link:' || {{ id_part(event ~ '.hit_id') }}
            || ':' || coalesce({{ json_value(event ~ '.properties', "'link_id'") }}, '')
    when {{ event }}.name is not null and {{ event }}.transaction_id is not null
        then 'order:' || {{ id_part(event ~ '.name') }} || ':' || {{ id_part(event ~ '.transaction_id') }}
    else 'event:' || {{ event }}.event_id
end
{%- endmacro %}

{# Texts as one that no other texts make: null and empty are told apart from what follows by their separators. #}
{% macro joined_parts(texts) -%}
{% for text in texts %}coalesce({{ id_part(text) }}, '%') || ':'{{ ' || ' if not loop.last }}{% endfor %}
{%- endmacro %}

{# Whether a share of everything, chosen by a hash in hexadecimal, holds what the hash is of. #}
{% macro is_sampled(hash, share, whole) %}{{ adapter.dispatch('is_sampled')(hash, share, whole) }}{% endmacro %}
