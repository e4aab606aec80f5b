-- One row per new event and cluster that it belongs to as far as one key tells, named by an event in it.
{% set events, page_views = ref('int_events'), ref('int_page_views') %}
with known_keys as (
    select * from {{ ref('int_known_keys') }}
),

displaced as (
    select * from {{ ref('int_events_displaced') }}
),

first_events as (
    select
        event_keys.seq,
        known_keys.seq as first_seq
    from {{ ref('int_event_keys') }} as event_keys
    inner join known_keys
        on
            event_keys.project_id = known_keys.project_id
            and event_keys.key_type = known_keys.key_type
            and event_keys.key_number = known_keys.key_number
),

displacing as (
    -- Its event id is a key, too.
    select
        events.seq,
        displaced.seq as first_seq
    from {{ events }} as events
    inner join displaced on events.event_key = displaced.event_key
    where {{ is_new('events.seq') }}
),

published_views as (
    {% for key_type, key in keys_of_page_views().items() %}
    select
        seq,
        project_id,
        '{{ key_type }}' as key_type,
        {{ key_number(key) }} as key_number
    from {{ page_views }}
    where
        {{ key }} is not null
        and not {{ is_new() }}
        and project_id in (
            select known_keys.project_id from known_keys
            where known_keys.key_type = '{{ key_type }}' and {{ is_new('known_keys.seq') }}
        )
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

newly_named as (
    -- A page view that was published, by a key that no report had named until then.
    select
        known_keys.seq,
        published_views.seq as first_seq
    from known_keys
    inner join published_views
        on
            known_keys.project_id = published_views.project_id
            and known_keys.key_type = published_views.key_type
            and known_keys.key_number = published_views.key_number
    where {{ is_new('known_keys.seq') }}
),

published_clusters as (
    {% if is_incremental_build() %}
    select
        seq,
        cluster_id
    from {{ as_before('int_event_clusters') }}
    where not {{ is_new() }}
    {% else %}
    select
        cast(null as bigint) as seq,
        cast(null as bigint) as cluster_id
    where false
    {% endif %}
),

connected as (
    select * from first_events
    union all
    select * from displacing
    union all
    select * from newly_named
)

select distinct
    connected.seq,
    coalesce(published_clusters.cluster_id, connected.first_seq) as node
from connected
left join published_clusters on connected.first_seq = published_clusters.seq
