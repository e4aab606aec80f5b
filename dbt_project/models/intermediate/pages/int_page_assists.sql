-- One row per conversion and other page that its person had seen by then.
with views as (
    select * from {{ ref('int_page_views_counted') }}
),

conversions as (
    select * from {{ ref('int_conversions') }}
    where state <> 'rejected'
),

first_views as (
    select
        person_id,
        page_id,
        min(occurred_us) as first_viewed_us
    from views
    where person_id in (select conversions.person_id from conversions)
    group by person_id, page_id
),

numbered as (
    select
        *,
        row_number() over (partition by person_id order by first_viewed_us, page_id) as page_number
    from first_views
),

timeline as (
    select
        person_id,
        first_viewed_us as at_us,
        0 as is_conversion,
        cast(null as string) as conversion_id
    from first_views
    union all
    select
        person_id,
        occurred_us as at_us,
        1 as is_conversion,
        conversion_id
    from conversions
),

counted as (
    select
        conversion_id,
        person_id,
        cast(sum(1 - is_conversion) over (
            partition by person_id
            order by at_us, is_conversion
            rows between unbounded preceding and current row
        ) as bigint) as pages_until
    from timeline
),

crowded as (
    -- What a person's conversions may take together is bounded, since pages times conversions has no end.
    select
        *,
        sum(pages_until) over (partition by person_id) as persons_pages,
        count(*) over (partition by person_id) as persons_conversions
    from counted
    where conversion_id is not null and pages_until > 0
),

allowed as (
    select
        *,
        least(pages_until, {{ work_limit('conversion_assists') }}, case
            when persons_pages > {{ work_limit('person_assists') }}
                then greatest({{ quota(work_limit('person_assists'), 1, 'persons_conversions') }}, 2)
            else pages_until
        end) as pages_taken
    from crowded
),

taken_numbers as (
    select
        *,
        {{ each_number_below('pages_taken') }} as back_number
    from allowed
)

-- Of more pages than may be taken those count that were seen last at first.
select
    taken_numbers.conversion_id,
    numbered.page_id,
    taken_numbers.person_id,
    taken_numbers.pages_until - taken_numbers.pages_taken as pages_left_out
from taken_numbers
inner join numbered
    on
        taken_numbers.person_id = numbered.person_id
        and taken_numbers.pages_until - taken_numbers.back_number = numbered.page_number
inner join conversions on taken_numbers.conversion_id = conversions.conversion_id
where coalesce(conversions.page_id, '') <> numbered.page_id
