-- Whatever a sender calls a conversion's state is in a list; else it counts as approved, perhaps wrongly.
{{ config(severity='warn', meta={'dagster': {'ref': {'name': 'rpt_data_trust'}}}) }}
select
    project_id,
    detail as status_word,
    sum(occurrences) as conversions
from {{ ref('rpt_data_trust') }}
where measure = 'unknown_status_words'
group by project_id, detail
