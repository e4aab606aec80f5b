{# What models say through `adapter.dispatch`, in Spark's SQL. The macros that dispatch say what each gives. #}

{# Every build is a full one, and writes a folder of its own. #}
{% macro spark__refuse_by_hand() %}{% endmacro %}

{% macro spark__begin_build() %}{% endmacro %}

{% macro spark__is_incremental_build() %}{{ return(false) }}{% endmacro %}

{% macro spark__record(table) %}{{ return(source('raw', table)) }}{% endmacro %}

{% macro spark__moment(us, seq) %}(cast({{ us }} as decimal(38, 0)) * 1000000000000 + {{ seq }}){% endmacro %}

{% macro spark__is_time_zone(text) %}{{ text }} is not null{% endmacro %}

{% macro spark__key_number(text) %}xxhash64({{ text }}){% endmacro %}

{% macro spark__quota(total, weight, weight_sum, type) -%}
{% set product = "cast(" ~ total ~ " as decimal(38, 0)) * cast(" ~ weight ~ " as decimal(19, 0))" -%}
cast(({{ product }} - ({{ product }}) % {{ weight_sum }}) / {{ weight_sum }} as {{ type }})
{%- endmacro %}

{% macro spark__quota_remainder(total, weight, weight_sum) -%}
cast((cast({{ total }} as decimal(38, 0)) * cast({{ weight }} as decimal(19, 0))) % {{ weight_sum }} as bigint)
{%- endmacro %}

{% macro spark__wildcard_texts(value) -%}
element_at(split({{ value }}, '[*]'), 1) as match_start,
element_at(split({{ value }}, '[*]'), -1) as match_end,
case when {{ stars(value) }} <= {{ work_limit('wildcard_stars') }} then split({{ value }}, '[*]') end as match_pieces
{%- endmacro %}

{% macro spark__wildcard_picks(rule, text) -%}
case
    when not (startswith({{ text }}, {{ rule }}.match_start) and endswith({{ text }}, {{ rule }}.match_end)) then false
    when size({{ rule }}.match_pieces) = 1 then {{ text }} = {{ rule }}.match_start
    when length({{ text }}) < length({{ rule }}.match_start) + length({{ rule }}.match_end) then false
    when size({{ rule }}.match_pieces) = 2 then true
    else aggregate(
        slice({{ rule }}.match_pieces, 2, size({{ rule }}.match_pieces) - 2),
        substr(
            {{ text }},
            length({{ rule }}.match_start) + 1,
            length({{ text }}) - length({{ rule }}.match_start) - length({{ rule }}.match_end)
        ),
        (rest, piece) -> substr(rest, nullif(instr(rest, piece), 0) + length(piece))
    ) is not null
end
{%- endmacro %}

{% macro spark__letters_apart(text) %}regexp_replace({{ text }}, '[^a-z]', ' '){% endmacro %}

{% macro spark__json_texts(json) %}explode(from_json({{ json }}, 'array<string>')){% endmacro %}

{% macro spark__json_array_of_parts(text) %}to_json(split({{ text }}, '[|]')){% endmacro %}
