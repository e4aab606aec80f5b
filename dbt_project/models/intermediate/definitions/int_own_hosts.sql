-- One row per project and host whose links it says are no source: its own, and those that it ignores.
with settings as (
    select * from {{ ref('int_definitions') }}
    where kind = 'settings' and not is_deleted
),

lists as (
    {% for setting in ['own_hosts', 'ignored_referrers'] %}
    select
        project_id,
        {{ json_value('body', "'" ~ setting ~ "'") }} as hosts
    from settings
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

places as (
    select {{ each_number_below(var('hosts_at_most')) }} as place
),

listed as (
    select
        lists.project_id,
        {{ without_once(json_item('lists.hosts', 'places.place'), "'^www[.]'") }} as host
    from lists
    cross join places
    -- Most projects list none.
    where lists.hosts <> '[]'
)

select distinct
    project_id,
    host
from listed
where host is not null
