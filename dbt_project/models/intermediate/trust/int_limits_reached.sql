-- One row per limit and conversion, or person, that went beyond it: how much of it is left out.
{{ config(materialized='incremental', kept_by='person_id', replaces='int_people_in_work') }}
with conversions as (
    select * from {{ ref('int_conversions') }}
),

touches_limited as (
    select
        conversion_id,
        max(touches_left_out) as touches,
        sum(case when length(source) > {{ work_limit('path_source_letters') }} then 1 else 0 end) as names_cut
    from {{ ref('int_conversion_touches') }}
    group by conversion_id
),

assists_limited as (
    select
        conversion_id,
        max(pages_left_out) as pages
    from {{ ref('int_page_assists') }}
    group by conversion_id
),

told_short as (
    select
        story_id as conversion_id,
        count(*) as turns
    from {{ ref('int_refunds_asked') }}
    where is_told_short and is_turn
    group by story_id
),

conversions_limited as (
    {% for measure, relation, left_out in [
        ('touches_left_out', 'touches_limited', 'touches'),
        ('source_names_cut', 'touches_limited', 'names_cut'),
        ('assists_left_out', 'assists_limited', 'pages'),
        ('refunds_told_short', 'told_short', 'turns'),
    ] %}
    select
        '{{ measure }}' as measure,
        conversions.conversion_id as subject_id,
        conversions.project_id,
        conversions.person_id,
        conversions.occurred_us,
        limited.{{ left_out }} as left_out
    from {{ relation }} as limited
    inner join conversions on limited.conversion_id = conversions.conversion_id
    where limited.{{ left_out }} > 0
    {% if not loop.last %}union all{% endif %}
    {% endfor %}
),

variants as (
    select
        project_id,
        person_id,
        experiment_id,
        variant_id,
        max(exposed_us) as exposed_us
    from {{ ref('int_experiment_exposures') }}
    group by project_id, person_id, experiment_id, variant_id
),

variants_limited as (
    select
        'variants_left_out' as measure,
        person_id as subject_id,
        project_id,
        person_id,
        max(exposed_us) as occurred_us,
        count(*) - {{ work_limit('person_variants') }} as left_out
    from variants
    group by project_id, person_id
    having count(*) > {{ work_limit('person_variants') }}
)

select
    measure,
    subject_id,
    project_id,
    person_id,
    occurred_us,
    cast(left_out as bigint) as left_out
from conversions_limited
union all
select
    measure,
    subject_id,
    project_id,
    person_id,
    occurred_us,
    cast(left_out as bigint) as left_out
from variants_limited
