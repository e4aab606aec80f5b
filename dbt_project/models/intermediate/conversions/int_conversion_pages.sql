-- One row per conversion whose page is known: that page, and its default payout at that time.
with reports as (
    select * from {{ ref('int_conversion_reports') }}
    where state <> 'refunded'
),

pages as (
    select * from {{ ref('int_pages') }}
),

payouts as (
    select * from {{ ref('int_page_payouts') }}
),

occurred as (
    select
        conversion_id,
        min(occurred_us) as occurred_us
    from reports
    where is_deciding
    group by conversion_id
),

named as (
    -- What its reports say.
    select
        conversion_id,
        project_id,
        seq,
        occurred_us,
        page_id,
        page_path,
        1 as preference
    from reports
    where is_deciding and coalesce(page_id, page_path) is not null
    union all
    -- Else the page of the view found for it.
    select
        traced.conversion_id,
        page_views.project_id,
        page_views.seq,
        page_views.occurred_us,
        page_views.page_id,
        cast(null as string) as page_path,
        2 as preference
    from {{ ref('int_conversions_traced') }} as traced
    inner join {{ ref('int_page_views_in_work') }} as page_views on traced.page_view_seq = page_views.seq
    where page_views.page_id is not null
),

ranked as (
    select
        *,
        row_number() over (
            partition by conversion_id order by preference, occurred_us, seq
        ) as page_number
    from named
),

placed as (
    -- A page is its id, else its path.
    select
        ranked.conversion_id,
        ranked.project_id,
        occurred.occurred_us,
        coalesce(
            pages_by_id.page_id, {{ page_key('ranked.page_id') }}, pages.page_id, ranked.page_path
        ) as page_id
    from ranked
    inner join occurred on ranked.conversion_id = occurred.conversion_id
    left join pages as pages_by_id
        on ranked.project_id = pages_by_id.project_id and ranked.page_id = pages_by_id.page_id
    left join pages
        on
            ranked.page_id is null
            and ranked.project_id = pages.project_id
            and ranked.page_path = pages.page_path
            and pages.owns_path
    where ranked.page_number = 1
)

select
    placed.conversion_id,
    placed.project_id,
    placed.page_id,
    payouts.amount_minor as payout_minor,
    payouts.currency as payout_currency
from placed
left join payouts
    on
        placed.project_id = payouts.project_id
        and placed.page_id = payouts.page_id
        and placed.occurred_us >= coalesce(payouts.valid_from_us, placed.occurred_us)
        and (payouts.valid_until_us is null or placed.occurred_us < payouts.valid_until_us)
