{# Whether the rule of a goal or of a funnel's step picks an event (with its `event_type` and `page_path`). The rule has
   the columns of `rule_paths` beside its own. #}
{% macro event_rule_picks(rule, event) -%}
case {{ rule }}.match_type
    when 'event_name' then {{ event }}.name = {{ rule }}.match_value
    when 'event_type' then {{ event }}.event_type = {{ rule }}.match_value
    when 'any_conversion' then {{ event }}.kind = 'conversion'
    when 'url_path' then {{ event }}.kind = 'visit' and case coalesce({{ rule }}.match_operator, 'exact')
        when 'exact' then {{ event }}.page_path = {{ rule }}.match_path
        -- `/blog/` is the page of this path too, which has no slash at its end.
        when 'prefix' then
            {{ begins_with(event ~ '.page_path', rule ~ '.match_prefix') }} or {{ event }}.page_path = {{ rule }}.match_path
        when 'wildcard' then {{ wildcard_picks(rule, event ~ '.page_path') }}
    end
end
and (
    {{ rule }}.property_key is null
    or {{ json_value(event ~ '.properties', rule ~ '.property_key') }} = {{ rule }}.property_value
)
and (
    {{ rule }}.minimum_amount is null
    or {{ event }}.amount_minor >= {{ minor_units(rule ~ '.minimum_amount', event ~ '.minor_per_major') }}
)
{%- endmacro %}

{#
  Columns of a rule whose value may be a path, made normal as the paths of page views are: the path, what paths begin with,
  and of a wildcard, in which `*` stands for anything, the texts between its stars, the first and the last of them once
  more by themselves, since most paths are told apart by these. They are made once a rule, not once a rule and event. A
  wildcard with more stars than are allowed has none, and picks nothing.
#}
{% macro rule_paths(value) %}{{ adapter.dispatch('rule_paths')(value) }}{% endmacro %}

{# Texts between the stars of a wildcard, which is split before it is decoded: an escaped star is none. #}
{% macro wildcard_pieces(value) %}{{ adapter.dispatch('wildcard_pieces')(value) }}{% endmacro %}

{# The same columns, but those of paths, of a rule whose wildcard is no path: nothing in it is decoded. #}
{% macro wildcard_texts(value) %}{{ adapter.dispatch('wildcard_texts')(value) }}{% endmacro %}

{# How many stars a text has. #}
{% macro stars(text) %}length({{ text }}) - length(replace({{ text }}, '*', '')){% endmacro %}

{#
  Whether a text is what a rule's wildcard describes. It begins with the first piece and ends with the last; between these
  the others are looked for from left to right, each at its earliest place, so that none is ever looked for twice: LIKE
  tries all places of all of them, and a dozen stars take it for ever.
#}
{% macro wildcard_picks(rule, text) %}{{ adapter.dispatch('wildcard_picks')(rule, text) }}{% endmacro %}

{# What completes a goal once, of an event that counts: its conversion, the session of page views, else the event. #}
{% macro completed_by(counted, event_key) -%}
coalesce(
    {{ counted }}.conversion_id,
    case when {{ counted }}.kind = 'visit' then 'session:' || {{ counted }}.session_id end,
    'event:' || {{ event_key }}
)
{%- endmacro %}

{# What a rule may pick, as senders call it. #}
{% macro event_type(kind) %}case {{ kind }} when 'visit' then 'pageview' else {{ kind }} end{% endmacro %}
