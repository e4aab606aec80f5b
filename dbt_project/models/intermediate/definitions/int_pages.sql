-- One row per page that a project has defined.
with defined as (
    select * from {{ ref('int_definitions') }}
    where kind = 'page' and not is_deleted
),

read as (
    select
        project_id,
        key as page_id,
        {{ json_value('body', "'name'") }} as name,
        {{ json_value('body', "'kind'") }} as page_kind,
        {{ normal_path(json_value('body', "'path'")) }} as page_path
    from defined
)

select
    project_id,
    page_id,
    name,
    page_kind,
    page_path,
    -- Reports without a page id find the page by its path; of two that share one, the first by name.
    page_path is not null
    and row_number() over (partition by project_id, page_path order by page_id) = 1 as owns_path
from read
