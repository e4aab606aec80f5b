-- One row per project, part of an origin and text without case: how the first page view received spells it.
{% set page_views = ref('int_page_views_classified') %}
with named as (
    {% for part in ['campaign', 'term', 'content'] %}
    select
        seq,
        project_id,
        '{{ part }}' as part,
        {{ part }} as spelling
    from {{ page_views }}
    where {{ part }} is not null and {{ is_new() }}
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

firsts as (
    select
        project_id,
        part,
        lower(spelling) as compared_text,
        min(seq) as seq
    from named
    group by project_id, part, lower(spelling)
)

select
    firsts.project_id,
    firsts.part,
    firsts.compared_text,
    named.spelling,
    firsts.seq
from firsts
inner join named on firsts.seq = named.seq and firsts.part = named.part
{% if is_scoped() %}
-- What was received before has its spelling.
where
    not exists (
        select 1
        from {{ as_before('int_origin_spellings') }} as earlier
        where
            earlier.project_id = firsts.project_id
            and earlier.part = firsts.part
            and earlier.compared_text = firsts.compared_text
            and not {{ is_new('earlier.seq') }}
    )
{% endif %}
