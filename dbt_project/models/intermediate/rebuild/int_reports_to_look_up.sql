-- One row per report whose visit must be looked up again, and page view that it was found on until now.
{% set reports, page_views = ref('int_events_deduplicated'), ref('int_page_views_classified') %}
{% set hash_forms = ref('hash_forms') %}
{% if is_scoped() %}
with reports as (
    select * from {{ reports }}
    where kind <> 'visit'
),

new_reports as (
    select * from reports
    where {{ is_new() }}
),

new_page_views as (
    select * from {{ page_views }}
    where {{ is_new() }}
),

hashed_page_views as (
    -- Under every form that a report may name a visit in.
    {% for id in ['hit_id', 'session_id'] %}
    select
        project_id,
        {{ sha256_hex(id) }} as hash
    from new_page_views
    where {{ id }} is not null
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

hashes as (
    select
        project_id,
        hash
    from hashed_page_views
    union all
    select
        project_id,
        left(hash, 10) as hash
    from hashed_page_views
),

listed as (
    select seq from new_reports
    {% for key in ['hit_id', 'session_id', 'visitor_id', 'click_id_type, click_id'] %}
    union
    -- A page view that came since may be a better find.
    select seq from reports
    where (project_id, {{ key }}) in (select project_id, {{ key }} from new_page_views)
    {% endfor %}
    union
    select reports.seq
    from reports
    inner join {{ hash_forms }} as hash_forms on reports.alias_type = hash_forms.alias_type
    where (reports.project_id, lower(reports.alias_value)) in (select project_id, hash from hashes)
    union
    -- Postbacks of one visitor and transaction look the visit up as of the earliest of them.
    select seq from reports
    where
        dialect = 'funnelflux'
        and hit_id is null
        and (project_id, visitor_id) in (
            select project_id, visitor_id from new_reports
            where dialect = 'funnelflux' and hit_id is null
        )
)

select
    listed.seq,
    found_before.page_view_seq
from listed
left join {{ as_before('int_visits_looked_up') }} as found_before on listed.seq = found_before.seq
{% else %}
select
    cast(null as bigint) as seq,
    cast(null as bigint) as page_view_seq
where false
{% endif %}
