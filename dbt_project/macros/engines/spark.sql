{# What models say through `adapter.dispatch`, in Spark's SQL. The macros that dispatch say what each gives. #}

{# A pattern of the common subset as Java reads it: there, `$` also matches before a line break at the end. A text of SQL
   loses one of two backslashes. #}
{% macro java_pattern(pattern) -%}
{%- if pattern.startswith("'") %}{{ pattern | replace('\\', '\\\\') | replace('$', '\\\\z') }}
{%- else %}replace({{ pattern }}, '$', '\\z'){% endif -%}
{%- endmacro %}

{# Whole decimals, of which no digit is lost, divided without a rest; null where it divides by null. #}
{% macro decimal_floor(dividend, divisor) -%}
{% set whole = "(cast(" ~ dividend ~ " as decimal(38, 0)))" -%}
{% set by = "cast(" ~ divisor ~ " as decimal(38, 0))" -%}
cast(({{ whole }} - {{ whole }} % {{ by }}) / {{ by }} as decimal(38, 0))
{%- endmacro %}

{# Ids and numbers #}

{% macro spark__key_number(text) %}xxhash64({{ text }}){% endmacro %}

{% macro spark__sha256_hex(text) %}sha2({{ text }}, 256){% endmacro %}

{% macro spark__order_id(text) -%}
nullif(regexp_replace({{ trimmed(text) }}, '^([0-9]+)[.]0+\\z', '$1'), '')
{%- endmacro %}

{% macro spark__is_sampled(hash, share, whole) -%}
(
    cast(conv(left({{ hash }}, 8), 16, 10) as decimal(20, 0)) * cast({{ whole }} as decimal(18, 0))
    < cast({{ share }} as decimal(18, 0)) * cast(4294967296 as decimal(20, 0))
)
{%- endmacro %}

{% macro spark__each_number_below(count) -%}
explode(case when {{ count }} > 0 then sequence(cast(0 as bigint), cast({{ count }} as bigint) - 1) end)
{%- endmacro %}

{% macro spark__latest_known(value) %}last_value({{ value }}, true){% endmacro %}

{% macro spark__earliest_known(value) %}first_value({{ value }}, true){% endmacro %}

{# Money #}

{% macro spark__minor_units(major_text, minor_per_major) -%}
cast(round(cast({{ major_text }} as decimal(32, 18)) * cast({{ minor_per_major }} as decimal(5, 0)), 0) as bigint)
{%- endmacro %}

{% macro spark__quota(total, weight, weight_sum, type) -%}
{% set product = "(cast(" ~ total ~ " as decimal(38, 0)) * cast(" ~ weight ~ " as decimal(19, 0)))" -%}
cast({{ decimal_floor(product, weight_sum) }} as {{ type }})
{%- endmacro %}

{% macro spark__quota_remainder(total, weight, weight_sum) -%}
cast(
    (cast({{ total }} as decimal(38, 0)) * cast({{ weight }} as decimal(19, 0))) % cast({{ weight_sum }} as decimal(38, 0))
    as bigint
)
{%- endmacro %}

{% macro spark__converted(amount_minor, numerator, denominator) -%}
{% set doubled -%}
(2 * cast(abs(cast({{ amount_minor }} as decimal(38, 0))) as decimal(38, 0)) * {{ numerator }} + {{ denominator }})
{%- endset %}
case when {{ amount_minor }} < 0 then -1 else 1 end
* {{ decimal_floor(doubled, '(2 * cast(' ~ denominator ~ ' as decimal(37, 0)))') }}
{%- endmacro %}

{% macro spark__ratio(numerator, denominator) -%}
{% set by = "cast(" ~ denominator ~ " as decimal(28, 0))" -%}
cast(
    cast({{ decimal_floor(
        "(cast(" ~ numerator ~ " as decimal(28, 0)) * 20000 + " ~ by ~ ")", "nullif(" ~ by ~ " * 2, 0)"
    ) }} as decimal(30, 0)) * cast(0.0001 as decimal(4, 4)) as decimal(34, 4)
)
{%- endmacro %}

{# Spark sums 64 bits in 64 bits. Amounts that were converted are wider already. #}
{% macro spark__sum_exact(minor) %}sum(cast({{ minor }} as decimal(38, 0))){% endmacro %}

{# Time #}

{% macro spark__utc_timestamp(us) %}cast(timestamp_micros({{ us }}) as timestamp_ntz){% endmacro %}

{% macro spark__unix_us(timestamp) %}unix_micros(cast({{ timestamp }} as timestamp_ltz)){% endmacro %}

{% macro spark__moment(us, seq) %}(cast({{ us }} as decimal(20, 0)) * 1000000000000 + {{ seq }}){% endmacro %}

{% macro spark__project_date(us, time_zone) -%}
cast(from_utc_timestamp(timestamp_micros({{ us }}), {{ time_zone }}) as date)
{%- endmacro %}

{# Names that say a distance from UTC are no zones. #}
{% macro spark__is_time_zone(text) -%}
case
    when {{ text }} is not null
        then
            {{ text }} rlike '^[A-Za-z][A-Za-z0-9_+/-]*\\z' and not {{ text }} rlike '^(UTC|UT|GMT)[+-]'
            and try_reflect('java.time.ZoneId', 'of', {{ text }}) is not null
end
{%- endmacro %}

{% macro spark__whole_units(us, unit_us) %}cast(cast({{ us }} as bigint) div {{ unit_us }} as bigint){% endmacro %}

{% macro spark__days_between(first_day, last_day) %}cast(date_diff({{ last_day }}, {{ first_day }}) as bigint){% endmacro %}

{# Texts #}

{% macro spark__begins_with(text, beginning) %}startswith({{ text }}, {{ beginning }}){% endmacro %}

{% macro spark__lower_case(text) %}lower(translate({{ text }}, 'Σİ', 'σi')){% endmacro %}

{% macro spark__matches_pattern(text, pattern) %}({{ text }} rlike {{ java_pattern(pattern) }}){% endmacro %}

{% macro spark__part_matching(text, pattern, group) -%}
regexp_extract({{ text }}, {{ java_pattern(pattern) }}, {{ group }})
{%- endmacro %}

{% macro spark__without(text, pattern) %}regexp_replace({{ text }}, {{ java_pattern(pattern) }}, ''){% endmacro %}

{% macro spark__without_once(text, pattern) %}{{ without(text, pattern) }}{% endmacro %}

{# ICU is Spark's own. A function that is called by name is called for null, too. #}
{% macro spark__composed(text) -%}
case
    when {{ text }} is not null
        then {{ lower_case("reflect('com.ibm.icu.text.Normalizer', 'compose', " ~ text ~ ", false)") }}
end
{%- endmacro %}

{% macro spark__one_space(text) %}regexp_replace({{ text }}, '\\p{Z}+', ' '){% endmacro %}

{% macro spark__joined_text(column, separator, order) -%}
listagg({{ column }}, {{ separator }}) within group (order by {{ order }})
{%- endmacro %}

{% macro spark__joined_distinct(column, separator) %}array_join(sort_array(collect_set({{ column }})), {{ separator }}){% endmacro %}

{% macro spark__joined_by_commas(texts) %}concat_ws(',', {{ texts }}){% endmacro %}

{% macro spark__trimmed(text) -%}
regexp_replace({{ text }}, '^[\\p{Z}\\p{Cc}\\p{Cf}]+|[\\p{Z}\\p{Cc}\\p{Cf}]+\\z', '')
{%- endmacro %}

{% macro spark__letters_apart(text) %}regexp_replace({{ text }}, '[^a-z]', ' '){% endmacro %}

{% macro spark__text_bytes(text) %}cast(octet_length({{ text }}) as bigint){% endmacro %}

{% macro spark__cut_to_bytes(text, bytes) -%}
case
    when octet_length({{ text }}) <= {{ bytes }} then {{ text }}
    -- A character has four bytes at most; bytes that end inside of one are no text.
    else coalesce(
        {% for less in range(4) %}
        try_validate_utf8(cast(substr(cast({{ text }} as binary), 1, {{ bytes - less }}) as string)){{ ',' if not loop.last }}
        {% endfor %}
    )
end
{%- endmacro %}

{# Engines other than DuckDB work a CTE out where it is read. #}
{% macro spark__materialized() %}{% endmacro %}

{# Addresses #}

{# What Java makes of a text whose escapes are all valid: bytes that are no UTF-8 come out as U+FFFD, more of them than
   went in. #}
{% macro decoded_as_utf8(text) -%}
{% set decoded = "try_url_decode(" ~ text ~ ")" -%}
case
    when
        length({{ decoded }}) - length(replace({{ decoded }}, '\uFFFD', ''))
        = regexp_count({{ text }}, '\uFFFD|(?i:%EF%BF%BD)')
        then {{ decoded }}
end
{%- endmacro %}

{% macro spark__decoded_path(path) -%}
{% set escaped -%}
array_join(
    transform(
        split({{ path }}, '%'),
        (part, place) -> case
            when place > 0 and part rlike '^[0-9a-fA-F]{2}' then upper(left(part, 2)) || substr(part, 3)
            else part
        end
    ),
    '%'
)
{%- endset %}
{% set staying -%}
replace(
    regexp_replace(
        regexp_replace({{ escaped }}, '%(2[35F]|3F|5C|[01][0-9A-F]|7F)', '%25$1'),
        '%C2%([89][0-9A-F])', '%25C2%25$1'
    ),
    -- To Java, a plus is a blank.
    '+', '%2B'
)
{%- endset %}
case
    when not contains({{ path }}, '%') then {{ path }}
    else coalesce(
        case when not {{ escaped }} rlike '%[0-9A-F]?([^0-9A-F]|\\z)' then {{ decoded_as_utf8(staying) }} end,
        {{ escaped }}
    )
end
{%- endmacro %}

{% macro spark__url_decoded(text) -%}
coalesce(
    replace({{ decoded_as_utf8("regexp_replace(" ~ text ~ ", '%(?![0-9a-fA-F]{2})', '%25')") }}, chr(0), ''),
    {{ text }}
)
{%- endmacro %}

{% macro spark__cut_query(url) -%}
{% set address = "split_part(" ~ url ~ ", '#', 1)" %}
split_part({{ address }}, '?', 1) || coalesce('?' || nullif(array_join(
    filter(
        split(substr({{ address }}, length(split_part({{ address }}, '?', 1)) + 2), '&'),
        pair -> startswith(pair, 'utm_')
    ),
    '&'
), ''), '')
{%- endmacro %}

{# Rules #}

{% macro spark__rule_paths(value) -%}
{{ normal_path(value) }} as match_path,
{{ decoded_path(value) }} as match_prefix,
element_at({{ wildcard_pieces(value) }}, 1) as match_start,
element_at({{ wildcard_pieces(value) }}, -1) as match_end,
case
    when {{ stars(value) }} <= {{ work_limit('wildcard_stars') }} then {{ wildcard_pieces(value) }}
end as match_pieces
{%- endmacro %}

{% macro spark__wildcard_pieces(value) -%}
transform(
    split({{ value }}, '[*]'),
    (piece, number) -> case
        when number < {{ stars(value) }} then {{ decoded_path('piece') }}
        when number = 0 then {{ normal_path('piece') }}
        else trim(trailing '/' from {{ decoded_path('piece') }})
    end
)
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

{# JSON #}

{# Of a JSON object, the texts of its values: of a number as Java writes it. #}
{% macro json_map(json) %}from_json({{ json }}, 'map<string,string>'){% endmacro %}

{% macro json_type_of(json, key) %}schema_of_variant(from_json({{ json }}, 'map<string,variant>')[{{ key }}]){% endmacro %}

{# A number with an exponent as DuckDB writes it: none from 10^-6 up to below 10^21. #}
{% macro json_number(java) -%}
{% set exponent = "cast(split_part(" ~ java ~ ", 'E', 2) as int)" -%}
case
    when {{ exponent }} between 0 and 20
        then regexp_replace(regexp_replace(cast(cast({{ java }} as decimal(38, 17)) as string), '0+\\z', ''), '[.]\\z', '.0')
    when {{ exponent }} between -6 and -1 then regexp_replace(cast(cast({{ java }} as decimal(38, 30)) as string), '0+\\z', '')
    else replace(replace({{ java }}, '.0E', 'e'), 'E', 'e')
end
{%- endmacro %}

{# A list of one is how an expression gets a name. #}
{% macro spark__json_value(json, key) -%}
get(
    transform(
        array({{ json_map(json) }}[{{ key }}]),
        java_text -> case
            when java_text rlike '^-?[0-9][.][0-9]+E-?[0-9]+\\z' and {{ json_type_of(json, key) }} <> 'STRING'
                then {{ json_number('java_text') }}
            else java_text
        end
    ),
    0
)
{%- endmacro %}

{% macro spark__json_first(json, key) -%}
case
    when startswith({{ json_type_of(json, key) }}, 'ARRAY') then {{ json_item(json_map(json) ~ "[" ~ key ~ "]", 0) }}
    else {{ json_value(json, key) }}
end
{%- endmacro %}

{% macro spark__json_id(json, key) -%}
{% set value, type = json_value(json, "'" ~ key ~ "'"), json_type_of(json, "'" ~ key ~ "'") -%}
case
    when {{ type }} = 'STRING' then nullif({{ value }}, '')
    when {{ type }} rlike '^(BIGINT|DECIMAL|DOUBLE)' and {{ matches_pattern(value, "'^-?[0-9]+$'") }} then {{ value }}
    when
        {{ type }} rlike '^(DECIMAL|DOUBLE)'
        and try_cast({{ value }} as decimal(38, 9)) = try_cast(try_cast({{ value }} as decimal(38, 0)) as decimal(38, 9))
        then cast(try_cast({{ value }} as decimal(38, 0)) as string)
end
{%- endmacro %}

{# Whatever follows a value is not looked at, unless it is within brackets. #}
{% macro spark__is_json(text) -%}
case
    when {{ text }} is not null
        then try_parse_json({{ text }}) is not null and coalesce(json_array_length('[' || {{ text }} || ']') = 1, false)
end
{%- endmacro %}

{% macro spark__json_elements(json, key) -%}
explode(transform(
    from_json({{ json_map(json) }}['{{ key }}'], 'array<string>'),
    (element, place) -> case
        when element is null then 'null'
        when schema_of_variant(get(from_json({{ json_map(json) }}['{{ key }}'], 'array<variant>'), place)) = 'STRING'
            then {{ json_quoted('element') }}
        else element
    end
))
{%- endmacro %}

{% macro spark__json_texts(json) %}explode(from_json({{ json }}, 'array<string>')){% endmacro %}

{% macro spark__json_array_of_parts(text) %}to_json(split({{ text }}, '[|]')){% endmacro %}

{% macro spark__json_text(json) %}{{ json_value("'{\"v\":' || " ~ json ~ " || '}'", "'v'") }}{% endmacro %}

{% macro spark__json_part(json, key) -%}
case
    when {{ json_type_of(json, key) }} = 'STRING' then {{ json_quoted(json_map(json) ~ "[" ~ key ~ "]") }}
    when map_contains_key({{ json_map(json) }}, {{ key }}) then coalesce({{ json_value(json, key) }}, 'null')
end
{%- endmacro %}

{% macro spark__json_quoted(text) -%}
case when {{ text }} is not null then regexp_extract(to_json(array({{ text }})), '(?s)^.(.*).\\z', 1) end
{%- endmacro %}

{% macro spark__json_item(json, index) -%}
get(from_json({{ json }}, 'array<string>'), cast({{ index }} as int))
{%- endmacro %}

{% macro spark__each_json_key(json, at_most) %}explode(slice(json_object_keys({{ json }}), 1, {{ at_most }})){% endmacro %}

{% macro spark__json_key_count(json) -%}
case when {{ json }} is not null then coalesce(cast(array_size(json_object_keys({{ json }})) as bigint), 0) end
{%- endmacro %}
