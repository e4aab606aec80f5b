"""A shop of a few random visits, as facts and as the reports that models make of them."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

MODELS = ("first_touch", "last_touch", "linear")
FIRST_DAY = date(2026, 11, 1)
DAYS = 10

MORE_COLUMNS = "".join(
    f"alter table {mart} add column if not exists {column};"
    for mart, columns in {
        "fct_sessions": ("device varchar", "new_or_returning varchar", "channel varchar"),
        "fct_touches": ("channel varchar",),
        "fct_attribution": ("channel varchar",),
        "fct_costs": ("channel varchar",),
        "rpt_traffic": ("channel varchar",),
        "rpt_landing_pages": ("shared_cost_minor decimal(38, 0)",),
    }.items()
    for column in columns
)

REPORTS = """
insert into rpt_traffic by name
select project_id, report_date, source, medium, campaign, term, content, channel, country, landing_page,
    device, currency, sum(sessions) as sessions, sum(credit_nano) as credit_nano,
    sum(pending) as pending_credit_nano, sum(minor) as net_amount_minor
from (
    select project_id, session_date as report_date, source, medium, campaign, term, content, channel, country,
        landing_page, device, 'USD' as currency, 1 as sessions, 0 as credit_nano, 0 as pending, 0 as minor
    from fct_sessions where not is_bot
    union all
    select credits.project_id, credits.conversion_date, credits.source, credits.medium, credits.campaign,
        credits.term, credits.content, credits.channel, conversions.country, touches.landing_page,
        sessions.device, credits.currency, 0, credits.credit_nano,
        case when credits.state = 'pending' then credits.credit_nano else 0 end, credits.credited_amount_minor
    from fct_attribution as credits
    inner join fct_conversions as conversions on credits.conversion_id = conversions.conversion_id
    left join fct_touches as touches on credits.touch_id = touches.touch_id
    left join fct_sessions as sessions on conversions.session_id = sessions.session_id
    where credits.model = 'last_touch'
)
group by all;

insert into rpt_landing_pages by name
select 'shop' as project_id, report_date, landing_page, currency, sum(sessions) as sessions,
    sum(converting) as converting_sessions, sum(conversions) as conversions,
    sum(pending) as pending_conversions, sum(minor) as net_amount_minor, sum(cost) as shared_cost_minor
from (
    select session_date as report_date, coalesce(landing_page, '(none)') as landing_page, 'USD' as currency,
        1 as sessions, 0 as converting, 0 as conversions, 0 as pending, 0 as minor, null::bigint as cost
    from fct_sessions where not is_bot
    union all
    select coalesce(sessions.session_date, conversions.conversion_date),
        coalesce(sessions.landing_page, '(none)'), conversions.currency, 0,
        (sessions.session_id is not null)::int, 1, (conversions.state = 'pending')::int,
        conversions.net_amount_minor, null
    from fct_conversions as conversions
    left join (select * from fct_sessions where not is_bot) as sessions
        on conversions.session_id = sessions.session_id
    where conversions.state <> 'rejected'
    union all
    select cost_date, case when amount_minor % 3 = 0 then '(none)' else '/a' end, currency, 0, 0, 0, 0, 0,
        amount_minor
    from fct_costs where project_id = 'shop'
)
group by all;

insert into rpt_attribution by name
select project_id, conversion_date as report_date, model, source, medium, campaign, currency,
    sum(credit_nano) as credit_nano, sum(credited_amount_minor) as net_amount_minor
from fct_attribution group by all;

insert into rpt_campaigns by name
select project_id, report_date, source, medium, campaign, currency, sum(sessions) as sessions,
    sum(credit_nano) as credit_nano, sum(net_amount_minor) as net_amount_minor, sum(cost) as cost_minor
from (
    select project_id, report_date, source, medium, campaign, currency, sessions, credit_nano,
        net_amount_minor, null::decimal(38, 0) as cost from rpt_traffic
    union all
    select project_id, cost_date, source, medium, campaign, currency, 0, 0, 0, amount_minor from fct_costs
)
group by all;
"""


@dataclass
class RandomShop:
    """Rows of marts; `credits` and `visits` have all that one may group by, for plain reading."""

    rows: dict[str, list[dict[str, Any]]]
    visits: list[dict[str, Any]] = field(default_factory=list)
    credits: list[dict[str, Any]] = field(default_factory=list)

    @property
    def costs(self) -> list[dict[str, Any]]:
        """What was spent."""
        return self.rows["fct_costs"]


def random_shop(random: Random, visits: int = 80, conversions: int = 40) -> RandomShop:
    """The project `shop`, whose default model is last_touch, and another one that nobody may see."""
    shop = RandomShop({"dim_projects": [], "dim_goals": []})
    for name in ("fct_sessions", "fct_touches", "fct_conversions", "fct_attribution", "fct_goal_completions"):
        shop.rows[name] = []
    shop.rows["dim_projects"] = [
        {
            "project_id": project,
            "time_zone": "Pacific/Kiritimati",
            "reporting_currency": "USD",
            "lookback_days": 30,
            "default_model": "last_touch",
            "events": 9,
        }
        for project in ("shop", "other")
    ]
    for number in range(visits):
        _visit(random, shop, number)
    for number in range(conversions):
        _convert(random, shop, number)
    shop.rows["fct_costs"] = [
        {
            "project_id": random.choice(("shop", "shop", "other")),
            "cost_date": _day(random),
            **_origin(random),
            "currency": random.choice(("USD", "USD", "EUR")),
            "amount_minor": random.randint(0, 5000),
        }
        for _ in range(20)
    ]
    return shop


def _day(random: Random) -> date:
    return FIRST_DAY + timedelta(days=random.randrange(DAYS))


def _origin(random: Random) -> dict[str, Any]:
    source = random.choice(("google", "Bing", "=news", "a b&c"))
    return {
        "source": source,
        "medium": random.choice(("cpc", "(none)")),
        "campaign": random.choice((None, "spring", "100%", "spring sale")),
        "channel": {"google": "Paid Search", "Bing": "Organic"}.get(source, "Unassigned"),
    }


def _visit(random: Random, shop: RandomShop, number: int) -> None:
    origin = _origin(random) | {
        "term": random.choice((None, "shoes")),
        "content": random.choice((None, "a", "b")),
        "landing_page": random.choice((None, "/a", "/b", "/c")),
        "country": random.choice((None, "DE", "US")),
    }
    session = {
        "session_id": f"shop/s{number}",
        "project_id": "shop",
        "person_id": f"shop/p{random.randrange(20)}",
        "session_date": _day(random),
        **origin,
        "device": random.choice((None, "mobile", "desktop")),
        "new_or_returning": random.choice(("new", "returning")),
        "is_bot": random.random() < 0.1,
    }
    # A day of Kiritimati begins 14 hours before that of UTC.
    at = datetime.combine(session["session_date"], datetime.min.time()) - timedelta(
        hours=random.randrange(-9, 15)
    )
    touch = {"touch_id": f"shop/t{number}", "session_id": session["session_id"], "touched_at": at}
    shop.rows["fct_sessions"].append(session)
    shop.rows["fct_touches"].append(
        {**touch, "project_id": "shop", "person_id": session["person_id"], **origin}
    )
    if not session["is_bot"]:
        shop.visits.append(
            {**session, "day": session["session_date"], "visitor": session["new_or_returning"]}
        )


def _convert(random: Random, shop: RandomShop, number: int) -> None:
    session = random.choice((None, *shop.rows["fct_sessions"]))
    state = random.choice(("approved", "approved", "pending", "rejected"))
    conversion = {
        "conversion_id": f"shop/c{number}",
        "project_id": "shop",
        "person_id": "shop/p1",
        "name": random.choice((None, "purchase", "signup")),
        "conversion_date": _day(random),
        "state": state,
        "session_id": session and session["session_id"],
        "country": random.choice((None, "DE", "US")),
        "currency": random.choice(("USD", "EUR")),
        "net_amount_minor": random.randint(-50, 9999) if state == "approved" else 0,
    }
    goals = random.sample(("sale", "lead", "cart"), random.randrange(3))
    shop.rows["fct_conversions"].append(conversion)
    shop.rows["fct_goal_completions"] += [
        {
            "completion_id": f"{goal}:{number}:{again}",
            "project_id": "shop",
            "goal_id": goal,
            "conversion_id": conversion["conversion_id"],
            "completion_date": conversion["conversion_date"],
        }
        for goal in goals
        for again in range(random.choice((1, 1, 2)))
    ]
    if state == "rejected":
        return
    touches = random.sample(shop.rows["fct_touches"], random.randrange(3))
    for model in MODELS:
        shared = touches if model == "linear" else touches[-1:] if model == "last_touch" else touches[:1]
        for place, touch in enumerate(shared or [None]):
            parts = len(shared) or 1
            credit = 10**9 // parts if place else 10**9 - (parts - 1) * (10**9 // parts)
            whole = conversion["net_amount_minor"]
            minor = whole // parts if place else whole - (parts - 1) * (whole // parts)
            names = ("source", "medium", "campaign", "term", "content", "channel")
            unknown = {"source": "(unattributed)", "medium": "(none)", "channel": "Unassigned"}
            row = {
                "attribution_id": f"{model}:{number}:{place}",
                "project_id": "shop",
                "model": model,
                "conversion_id": conversion["conversion_id"],
                "touch_id": touch and touch["touch_id"],
                "touched_at": touch and touch["touched_at"],
                "conversion_date": conversion["conversion_date"],
                **{name: touch[name] if touch else unknown.get(name) for name in names},
                "state": state,
                "credit_nano": credit,
                "currency": conversion["currency"],
                "credited_amount_minor": minor,
            }
            shop.rows["fct_attribution"].append(row)
            shop.credits.append(
                {
                    **row,
                    "day": conversion["conversion_date"],
                    "clicked": touch and (touch["touched_at"] + timedelta(hours=14)).date(),
                    "country": conversion["country"],
                    "conversion": conversion["name"],
                    "landing_page": touch and touch["landing_page"],
                    "device": session and session["device"],
                    "visitor": session and session["new_or_returning"],
                    "goal": set(goals),
                }
            )
