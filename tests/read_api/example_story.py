"""Rows of one story, so that every report has something to say: Ada, her visits, and conversion 001."""

from datetime import date, datetime
from typing import Any

DAY = date(2026, 11, 2)
ADA = "shop/user:u1"
CONVERSION = "shop/openanalytics:001"
SHOP = {"project_id": "shop"}
ORIGIN = {"source": "google", "medium": "cpc", "campaign": "spring"}


def at(day: int, hour: int = 9) -> datetime:
    return datetime(2026, 11, day, hour)


STORY: dict[str, list[dict[str, Any]]] = {
    "dim_people": [
        {
            **SHOP,
            "person_id": ADA,
            "id_type": "user",
            "id_value": "u1",
            "is_user_known": True,
            "first_seen_at": at(1),
            "last_seen_at": at(4),
            "events": 6,
            "users": 1,
            "hashed_ids": 0,
            "visitors": 1,
        },
        {
            **SHOP,
            "person_id": "shop/visitor:b2",
            "id_type": "visitor",
            "id_value": "b2",
            "is_user_known": False,
            "first_seen_at": at(1),
            "last_seen_at": at(1),
            "events": 1,
            "users": 0,
            "hashed_ids": 0,
            "visitors": 1,
        },
        {
            "project_id": "other",
            "person_id": "other/user:u1",
            "id_type": "user",
            "id_value": "u1",
            "is_user_known": True,
            "first_seen_at": at(1),
            "last_seen_at": at(1),
            "events": 1,
            "users": 1,
            "hashed_ids": 0,
            "visitors": 0,
        },
    ],
    "dim_identifiers": [
        {
            **SHOP,
            "identifier_person_id": "1",
            "identifier_id": "shop/user:u1",
            "id_type": "user",
            "id_value": "u1",
            "person_id": ADA,
            "linked_by": "own",
            "first_seen_at": at(1),
            "last_seen_at": at(4),
            "events": 2,
        },
        {
            **SHOP,
            "identifier_person_id": "2",
            "identifier_id": "shop/visitor:b1",
            "id_type": "visitor",
            "id_value": "b1",
            "person_id": ADA,
            "linked_by": "identified",
            "linked_to": "shop/user:u1",
            "linked_event_id": "e-1",
            "first_seen_at": at(1),
            "last_seen_at": at(4),
            "events": 4,
        },
        # A browser that went from one to the other.
        {
            **SHOP,
            "identifier_person_id": "3",
            "identifier_id": "shop/visitor:tablet",
            "id_type": "visitor",
            "id_value": "tablet",
            "person_id": "shop/visitor:b2",
            "valid_until": at(2),
            "linked_by": "own",
            "first_seen_at": at(1),
            "last_seen_at": at(1),
            "events": 1,
        },
        {
            **SHOP,
            "identifier_person_id": "4",
            "identifier_id": "shop/visitor:tablet",
            "id_type": "visitor",
            "id_value": "tablet",
            "person_id": ADA,
            "valid_from": at(2),
            "linked_by": "identified",
            "first_seen_at": at(2),
            "last_seen_at": at(3),
            "events": 1,
        },
    ],
    "fct_sessions": [
        {
            **SHOP,
            **ORIGIN,
            "session_id": f"shop/s{number}",
            "person_id": ADA,
            "visitor_id": "b1",
            "started_at": started,
            "ended_at": started,
            "session_date": started.date(),
            "page_views": 2,
            "landing_url": "https://shop.example/sale",
            "landing_page": "/sale",
            "country": "ES",
            "is_direct": is_direct,
            "is_bot": is_bot,
            **more,
        }
        for number, started, is_direct, is_bot, more in [
            (1, datetime(2026, 9, 1), False, False, {"source": "news"}),
            (2, at(1), False, False, {}),
            (3, at(1, 12), True, False, {"source": "(direct)", "medium": "(none)", "campaign": None}),
            (4, at(1, 13), False, True, {}),
            (5, at(4), False, False, {}),
            (6, datetime(2026, 8, 1), False, False, {"source": "blog"}),
        ]
    ],
    "fct_touches": [
        {
            **SHOP,
            **ORIGIN,
            "touch_id": f"shop/t{number}",
            "person_id": ADA,
            "session_id": f"shop/s{number}",
            "visitor_id": "b1",
            "touched_at": touched,
            "landing_page": "/sale",
            "country": "ES",
            **more,
        }
        for number, touched, more in [
            (1, datetime(2026, 9, 1), {"source": "news"}),
            (2, at(1), {}),
            (5, at(4), {}),
            (6, datetime(2026, 8, 1), {"source": "blog"}),
        ]
    ],
    "fct_conversion_reports": [
        {
            **SHOP,
            "conversion_id": CONVERSION,
            "person_id": ADA,
            "seq": 7,
            "event_id": "e-7",
            "report_type": "report",
            "kind": "conversion",
            "dialect": "openanalytics",
            "sender": "server",
            "received_at": at(2, 10),
            "occurred_at": at(2, 10),
            "name": "=1+1",
            "status": "paid",
            "state": "approved",
            "is_deciding": True,
            "amount_text": "49.990",
            "amount_unit": "major",
            "currency": "USD",
            "payload": '{"event_type":"conversion","revenue":49.990}',
        },
        {
            **SHOP,
            "conversion_id": CONVERSION,
            "person_id": ADA,
            "seq": 9,
            "event_id": "e-9",
            "report_type": "refund",
            "kind": "refund",
            "dialect": "openanalytics",
            "sender": "server",
            "received_at": at(5),
            "occurred_at": at(5),
            "is_deciding": True,
            "payload": '{"event_type":"refund"}',
        },
    ],
    "fct_conversion_ledger": [
        {
            **SHOP,
            "entry_id": entry_id,
            "conversion_id": conversion_id,
            "person_id": ADA,
            "event_id": event_id,
            "reason": reason,
            "learnt_at": learnt,
            "learnt_date": learnt.date(),
            "happened_at": learnt,
            "happened_date": learnt.date(),
            "conversion_date": date(2026, 11, 3),
            "currency": "USD",
            "amount_minor": amount,
            "reporting_currency": "USD",
            "reporting_amount_minor": amount,
        }
        for entry_id, conversion_id, event_id, reason, learnt, amount in [
            ("1", CONVERSION, "e-7", "sale", at(2, 10), 4999),
            ("2", CONVERSION, "e-9", "refund", at(5), -1000),
            ("3", None, "e-10", "refund", at(6), -300),
        ]
    ],
    "fct_attribution": [
        {
            **SHOP,
            **ORIGIN,
            "attribution_id": f"{model}/{touch}",
            "model": model,
            "conversion_id": CONVERSION,
            "touch_id": f"shop/{touch}",
            "person_id": ADA,
            "converted_at": at(2, 10),
            "conversion_date": date(2026, 11, 3),
            "touched_at": at(1),
            "state": "approved",
            "credit_nano": nano,
            "currency": "USD",
            "credited_amount_minor": amount,
        }
        for model, touch, nano, amount in [
            ("last_touch", "t2", 10**9, 3999),
            ("linear", "t2", 666666667, 2666),
            # The sender named its visit, which is older than the look-back.
            ("linear", "t6", 333333333, 1333),
            ("first_touch_lifetime", "t6", 10**9, 3999),
        ]
    ],
    "fct_goal_completions": [
        {
            **SHOP,
            "completion_id": "shop/cart/1",
            "goal_id": "cart",
            "person_id": ADA,
            "session_id": "shop/s2",
            "event_id": "e-3",
            "completed_at": at(1, 10),
            "completion_date": DAY,
            "is_micro": True,
        },
    ],
    "fct_link_clicks": [
        {
            **SHOP,
            "event_id": "click-1",
            "link_id": "spring",
            "target_number": 1,
            "page_id": "advertorial",
            "clicked_at": at(2),
            "click_date": DAY,
            "person_id": ADA,
            "visitor_id": "b1",
            "session_id": "shop/s1",
            "is_bot": False,
            "url": "https://offers.example/spring",
        },
    ],
    "rpt_exchange_rates": [
        {
            **{
                "project_id": "shop",
                "currency": "USD",
                "reporting_currency": "EUR",
                "rates": 2,
                "own_rates": 1,
            },
            **{"first_rate_date": date(2026, 1, 1), "last_rate_date": date(2026, 11, 2), "latest_rate": 0.8},
        },
    ],
    "fct_costs": [
        {
            **SHOP,
            **ORIGIN,
            "cost_date": DAY,
            "currency": "USD",
            "amount_minor": 1250,
            "reporting_currency": "USD",
            "reporting_amount_minor": 1250,
            "reported_at": at(3),
        },
    ],
    "rpt_traffic": [
        {
            **SHOP,
            "report_date": day,
            "source": source,
            "medium": "cpc",
            "campaign": "spring",
            "country": country,
            "landing_page": "/sale",
            "device": device,
            "currency": currency,
            "sessions": sessions,
            "credit_nano": nano,
            "pending_credit_nano": 0,
            "net_amount_minor": amount,
        }
        for day, source, country, device, currency, sessions, nano, amount in [
            (DAY, "google", "ES", "mobile", "USD", 3, 2 * 10**9, 3999),
            (date(2026, 11, 3), "google", "FR", None, "USD", 1, 0, 0),
            (DAY, "news", "FR", "desktop", "USD", 3, 0, 0),
            (DAY, "news", "FR", "desktop", "EUR", 0, 10**9, 900),
        ]
    ],
    "rpt_campaigns": [
        {
            **SHOP,
            **ORIGIN,
            "report_date": DAY,
            "currency": "USD",
            "sessions": 3,
            "credit_nano": 2 * 10**9,
            "conversions": "2",
            "net_amount_minor": 3999,
            "cost_minor": 1250,
        },
        {
            **SHOP,
            "source": "news",
            "medium": "email",
            "report_date": DAY,
            "currency": "USD",
            "sessions": 1,
            "credit_nano": 0,
            "conversions": "0",
            "net_amount_minor": 0,
        },
    ],
    "rpt_landing_pages": [
        {
            **SHOP,
            "report_date": DAY,
            "landing_page": "/sale",
            "currency": "USD",
            "sessions": 3,
            "converting_sessions": 1,
            "conversions": 2,
            "pending_conversions": 1,
            "net_amount_minor": 3999,
        },
        # No session of the campaign began on that day.
        {
            **SHOP,
            "report_date": DAY,
            "landing_page": "(none)",
            "currency": "USD",
            "sessions": 0,
            "converting_sessions": 0,
            "conversions": 0,
            "pending_conversions": 0,
            "net_amount_minor": 0,
            "shared_cost_minor": 1250,
        },
    ],
    "rpt_pages": [
        {
            **SHOP,
            "report_date": DAY,
            "page_id": "/sale",
            "page_name": "Sale",
            "page_kind": "lander",
            "currency": "USD",
            "views": 5,
            "conversions": 1,
            "net_amount_minor": 3999,
            "assisted_conversions": 1,
            "assisted_amount_minor": 900,
        },
    ],
    "rpt_funnels": [
        {
            **SHOP,
            "funnel_id": "sale",
            "funnel_name": "Sale",
            "mode": "ordered",
            "unit": "person",
            "entry_date": day,
            "source": source,
            "step_number": number,
            "step_name": name,
            "entered": entered,
            "completed": completed,
            "dropped_off": entered - completed,
            "median_seconds": 60,
            "p90_seconds": 90,
        }
        for day, source, number, name, entered, completed in [
            (DAY, "google", 1, "Visit", 5, 5),
            (DAY, "google", 2, "Order", 5, 2),
            (DAY, "news", 1, "Visit", 1, 1),
            (DAY, "news", 2, "Order", 1, 1),
        ]
    ],
    "rpt_channel_importance": [
        {
            **SHOP,
            "source": source,
            "touches": touches,
            "journeys": journeys,
            "converting_journeys": converting,
            "removal_effect": effect,
            "removal_effect_share": share,
            "shapley_value": value,
            "shapley_error": "0",
        }
        for source, touches, journeys, converting, effect, share, value in [
            ("news", 1, 2, 1, "0.4", "0.333333333333", "-0.1"),
            ("google", 4, 3, 2, "0.8", "0.666666666667", "0.6"),
        ]
    ],
    "rpt_paths": [
        {
            **SHOP,
            "path_rank": 1,
            "path": "news > google",
            "touches": 2,
            "currency": "USD",
            "conversions": 1,
            "net_amount_minor": 3999,
            "median_seconds": 86400,
            "path_median_seconds": 86400,
        },
    ],
    "rpt_time_to_convert": [
        {
            **SHOP,
            "report_date": DAY,
            "days_to_convert": 1,
            "touches": 2,
            "currency": "USD",
            "conversions": 1,
            "net_amount_minor": 3999,
        },
    ],
    "rpt_experiments": [
        {
            **SHOP,
            "experiment_id": "button",
            "experiment_name": "Button",
            "variant_id": variant,
            "variant_name": variant.upper(),
            "is_control": variant == "a",
            "exposed": 100,
            "exposed_to_several": 1,
            "converted": converted,
            "conversions": converted,
            "rate": rate,
            "rate_low": "0.01",
            "rate_high": "0.3",
            "difference": difference,
            "uplift": uplift,
        }
        for variant, converted, rate, difference, uplift in [
            ("b", 12, "0.12", "0.02", "0.2"),
            ("a", 10, "0.1", None, None),
        ]
    ],
    "rpt_cohorts": [
        {
            **SHOP,
            "cohort_week": DAY,
            "week_number": number,
            "currency": "USD",
            "people": 10,
            "returned": 10 - number,
            "converted": 1,
            "conversions": 1,
            "net_amount_minor": 500,
        }
        for number in (0, 1)
    ],
    "rpt_event_counts": [
        {
            **SHOP,
            "event_date": day,
            "event_type": kind,
            "name": name,
            "page_path": path,
            "events": events,
            "completions": completions,
        }
        for day, kind, name, path, events, completions in [
            (DAY, "pageview", None, "/shop/shoes", 5, 4),
            (DAY, "pageview", None, "/shop", 3, 3),
            (date(2026, 11, 3), "pageview", None, "/50%_off!", 2, 2),
            (DAY, "event", "signup", None, 7, 7),
            (DAY, "conversion", "purchase", None, 2, 1),
        ]
    ],
    "rpt_data_trust": [
        {
            **SHOP,
            "report_date": DAY,
            "measure": measure,
            "detail": detail,
            "severity": severity,
            "meaning": f"{measure}: what it means.",
            "occurrences": occurrences,
        }
        for measure, detail, severity, occurrences in [
            ("events", "openanalytics", "info", 40),
            ("unknown_status_words", "paid?", "warning", 2),
        ]
    ],
}
