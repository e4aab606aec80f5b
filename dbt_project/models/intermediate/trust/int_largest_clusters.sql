-- One row per project with a large cluster: how many events its largest has, and the key most of them share.
{% set keys = {
    'visitor': 'visitor_id', 'user': 'user_id', 'order': 'transaction_id', 'session': 'session_id', 'hit': 'hit_id',
    'click': 'click_id'
} %}
with large as (
    select cluster_id
    from {{ ref('int_event_clusters') }}
    group by cluster_id
    having count(*) >= {{ var('large_cluster_events') }}
),

members as (
    select
        clusters.cluster_id,
        events.*
    from {{ ref('int_event_clusters') }} as clusters
    inner join {{ ref('int_events') }} as events on clusters.seq = events.seq
    where clusters.cluster_id in (select large.cluster_id from large)
),

counted as (
    select
        project_id,
        cluster_id,
        count(*) as events,
        max(received_us) as received_us,
        row_number() over (
            partition by project_id order by count(*) desc, min(seq) asc
        ) as size_number
    from members
    group by project_id, cluster_id
),

keyed as (
    {% for key_type, key in keys.items() %}
    select
        cluster_id,
        '{{ key_type }}' as key_type,
        {{ key }} as key_value,
        count(*) as events
    from members
    where {{ key }} is not null
    group by cluster_id, {{ key }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

ranked as (
    select
        *,
        row_number() over (
            partition by cluster_id order by events desc, key_type asc, key_value asc
        ) as key_number
    from keyed
)

select
    counted.project_id,
    counted.received_us,
    -- What a sender calls a user may be somebody's address, which is not for everybody to read.
    case
        when ranked.key_type = 'user' then 'user'
        else ranked.key_type || ' ' || left(ranked.key_value, 100)
    end as detail,
    counted.events
from counted
left join ranked on counted.cluster_id = ranked.cluster_id and ranked.key_number = 1
where counted.size_number = 1 and counted.events >= {{ var('large_cluster_events') }}
