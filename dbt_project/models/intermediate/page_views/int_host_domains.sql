-- One row per host of a page or of a link to one, and domain that it lies in, itself included.
with addresses as materialized (
    -- Each address is taken apart once; without the word, engines do that to every page view's.
    select url as address
    from {{ ref('int_events_deduplicated') }}
    where kind = 'visit' and url is not null and {{ is_new() }}
    union
    select referrer as address
    from {{ ref('int_events_deduplicated') }}
    where kind = 'visit' and referrer is not null and {{ is_new() }}
),

hosts as (
    select distinct {{ url_host('address') }} as host
    from addresses
),

domains as (
    {% for labels in range(1, var('host_labels_at_most') + 1) %}
    select
        host,
        regexp_extract(host, '((?:[^.]+[.]){{ '{' }}{{ labels - 1 }}{{ '}' }}[^.]+)$', 1) as domain,
        cast({{ labels }} as bigint) as labels
    from hosts
    union
    {% endfor %}
    -- Longer ones still lie in themselves.
    select
        host,
        host as domain,
        cast(length(host) - length(replace(host, '.', '')) + 1 as bigint) as labels
    from hosts
)

select
    host,
    domain,
    labels
from domains
where domain <> ''
