-- One row per sealed file that staging ignores: its range of positions lies inside another file's.
-- A table, because each view of the record asks it again.
{{ config(materialized='table') }}
with files as (
    {% for table in ['events', 'definitions', 'costs', 'rejected', 'unread_fields', 'unrecorded_clicks'] %}
    select distinct
        '{{ table }}' as table_name,
        filename
    from {{ record(table) }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

ranges as (
    select
        *,
        {{ file_position('filename', 'first') }} as first_seq,
        {{ file_position('filename', 'last') }} as last_seq
    from files
)

select distinct inner_file.filename
from ranges as inner_file
inner join ranges as outer_file
    on
        inner_file.table_name = outer_file.table_name
        and inner_file.first_seq >= outer_file.first_seq
        and outer_file.last_seq >= inner_file.last_seq
        -- Of two files with the very same range the one whose name sorts first stays.
        and (
            outer_file.last_seq - outer_file.first_seq > inner_file.last_seq - inner_file.first_seq
            or inner_file.filename > outer_file.filename
        )
