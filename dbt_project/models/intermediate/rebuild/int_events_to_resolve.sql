-- One row per event whose person may be another than at the last publication, or which such an event names.
{% set events, hashed = ref('int_events_deduplicated'), ref('int_hashed_ids') %}
{% set reports, visits_found = ref('int_reports_to_look_up'), ref('int_visits_looked_up') %}
{% set identifying = events_identifying_anew(events) %}
{% set strong_ids = differing('int_strong_id_people', 'strong_id, person_id') %}
{% set visitors = differing(
    'int_visitor_people',
    'project_id, visitor_id, person_id, from_us, from_seq, until_us, until_seq, is_over_limit'
) %}
{% if is_scoped() %}
with strong_ids as (
    select strong_id from ({{ strong_ids }}) as strong_ids
),

visitors as (
    select
        project_id,
        visitor_id
    from ({{ visitors }}) as visitors
),

changed as (
    {{ identifying }}
    union
    select seq from {{ reports }}
    union
    select page_view_seq as seq from {{ reports }}
    union
    -- Who it names is another person now, ...
    select seq from {{ events }}
    where user_id is not null and {{ identifier_id('user', 'user_id') }} in (select strong_id from strong_ids)
    union
    select seq from {{ hashed }}
    where project_id || '/' || id_type || ':' || id_value in (select strong_id from strong_ids)
    union
    -- ... or whose its visitor was.
    select seq from {{ events }}
    where (project_id, visitor_id) in (
        select
            project_id,
            visitor_id
        from visitors
    )
)

select seq from changed
where seq is not null
union
-- Who names a visit belongs to whoever made it.
select seq from {{ visits_found }}
where page_view_seq in (select seq from changed)
union
select page_view_seq as seq from {{ visits_found }}
where
    page_view_seq is not null
    and (seq in (select seq from changed) or page_view_seq in (select seq from changed))
{% else %}
select cast(null as bigint) as seq
where false
{% endif %}
