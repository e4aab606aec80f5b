{# Whether the rule of a goal or of a funnel's step picks an event (with its `event_type` and `page_path`). #}
{% macro event_rule_picks(rule, event) -%}
case {{ rule }}.match_type
    when 'event_name' then {{ event }}.name = {{ rule }}.match_value
    when 'event_type' then {{ event }}.event_type = {{ rule }}.match_value
    when 'any_conversion' then {{ event }}.kind = 'conversion'
    when 'url_path' then {{ event }}.kind = 'visit' and case coalesce({{ rule }}.match_operator, 'exact')
        when 'exact' then {{ event }}.page_path = {{ rule }}.match_value
        when 'prefix' then starts_with({{ event }}.page_path, {{ rule }}.match_value)
        when 'wildcard' then {{ event }}.page_path like {{ like_of_wildcard(rule ~ '.match_value') }} escape '!'
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
