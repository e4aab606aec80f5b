{# Lengths of time as whole microseconds, for windows over Unix-microsecond columns. #}
{% macro minutes_us(minutes) %}{{ (minutes * 60000000) | int }}{% endmacro %}

{% macro hours_us(hours) %}{{ minutes_us(hours * 60) }}{% endmacro %}

{% macro days_us(days) %}{{ hours_us(days * 24) }}{% endmacro %}

{# UTC timestamp of a Unix-microsecond column. #}
{% macro utc_timestamp(us) %}{{ adapter.dispatch('utc_timestamp')(us) }}{% endmacro %}

{# Unix microseconds of a UTC timestamp. #}
{% macro unix_us(timestamp) %}{{ adapter.dispatch('unix_us')(timestamp) }}{% endmacro %}

{# One number that orders events as they occurred, those of one microsecond by their position, which is below 10^12. #}
{% macro moment(us, seq) %}{{ adapter.dispatch('moment')(us, seq) }}{% endmacro %}

{# Day of a Unix-microsecond column in a time zone (its IANA name), as projects count days. #}
{% macro project_date(us, time_zone) %}{{ adapter.dispatch('project_date')(us, time_zone) }}{% endmacro %}

{# Whether a text names a time zone whose clock the engine knows. #}
{% macro is_time_zone(text) %}{{ adapter.dispatch('is_time_zone')(text) }}{% endmacro %}

{# A Unix-microsecond time later than any. #}
{% macro end_of_time_us() %}9223372036854775807{% endmacro %}

{# Whole days of a length of time in microseconds, none begun counted. #}
{% macro whole_days(us) %}{{ adapter.dispatch('whole_units')(us, days_us(1)) }}{% endmacro %}

{# Whole seconds of a length of time in microseconds. #}
{% macro whole_seconds(us) %}{{ adapter.dispatch('whole_units')(us, 1000000) }}{% endmacro %}

{# The quarter of an hour in which a Unix-microsecond time lies, as the time of its beginning. #}
{% macro quarter_hour_us(us) %}{{ adapter.dispatch('whole_units')(us, minutes_us(15)) }} * {{ minutes_us(15) }}{% endmacro %}

{# Monday of the week in which a day lies. #}
{% macro week_start(day) %}cast(date_trunc('week', {{ day }}) as date){% endmacro %}

{# Whole days from one day to another. #}
{% macro days_between(first_day, last_day) %}{{ adapter.dispatch('days_between')(first_day, last_day) }}{% endmacro %}
