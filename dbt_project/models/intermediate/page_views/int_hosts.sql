-- One row per host of a page or of a link to one: its site, and the source that a link from it stands for.
with domains as (
    select * from {{ ref('int_host_domains') }}
),

suffixes as (
    select * from {{ ref('public_suffixes') }}
),

referrers as (
    select * from {{ ref('referrers') }}
),

passing_hosts as (
    select * from {{ ref('passing_hosts') }}
),

endings as (
    -- The exception holds, else the longest suffix.
    select
        domains.host,
        suffixes.suffix_labels,
        row_number() over (
            partition by domains.host
            order by case when suffixes.is_exception then 0 else 1 end, suffixes.suffix_labels desc
        ) as suffix_number
    from domains
    inner join suffixes on domains.domain = suffixes.domain
),

sites as (
    -- Of what no suffix fits, the last label is one; what has no label before it is a site of its own.
    select
        domains.host,
        coalesce(
            max(case when domains.labels = coalesce(endings.suffix_labels, 1) + 1 then domains.domain end),
            domains.host
        ) as site
    from domains
    left join endings on domains.host = endings.host and endings.suffix_number = 1
    group by domains.host
),

known as (
    select
        domains.host,
        referrers.source,
        referrers.medium,
        referrers.click_id_type,
        row_number() over (partition by domains.host order by domains.labels desc) as match_number
    from domains
    inner join referrers on domains.domain = referrers.host
    where domains.host = domains.domain or referrers.with_subdomains
),

passing as (
    select distinct domains.host
    from domains
    inner join passing_hosts on domains.domain = passing_hosts.host
)

select
    sites.host,
    sites.site,
    coalesce(known.source, replace(sites.host, 'android-app://', '')) as source,
    coalesce(known.medium, 'referral') as medium,
    known.click_id_type,
    passing.host is not null as is_passing
from sites
left join known on sites.host = known.host and known.match_number = 1
left join passing on sites.host = passing.host
