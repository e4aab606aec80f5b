-- One row per project and host whose links it says are no source: its own, and those that it ignores.
with settings as (
    select * from {{ ref('int_definitions') }}
    where kind = 'settings' and not is_deleted
),

places as (
    select {{ each_number_below(var('hosts_at_most')) }} as place
),

listed as (
    {% for setting in ['own_hosts', 'ignored_referrers'] %}
    select
        settings.project_id,
        {{ json_item(json_value('settings.body', "'" ~ setting ~ "'"), 'places.place') }} as host
    from settings
    cross join places
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
)

select distinct
    project_id,
    regexp_replace(lower(host), '^www[.]', '') as host
from listed
where host is not null
