-- The spans of an identifier follow each other without gap or overlap, from the beginning on without end.
{{ config(meta={'dagster': {'ref': {'name': 'dim_identifiers'}}}) }}
with spans as (
    select
        identifier_id,
        valid_from,
        valid_until,
        row_number() over (
            partition by identifier_id
            order by case when valid_from is null then 0 else 1 end, valid_from, valid_until nulls last
        ) as span_number,
        lag(valid_until) over (
            partition by identifier_id
            order by case when valid_from is null then 0 else 1 end, valid_from, valid_until nulls last
        ) as previous_until,
        sum(case when valid_until is null then 1 else 0 end) over (partition by identifier_id) as open_spans
    from {{ ref('dim_identifiers') }}
)

select identifier_id
from spans
where
    open_spans <> 1
    or (span_number = 1 and valid_from is not null)
    or (span_number > 1 and valid_from is distinct from previous_until)
