// The visitor and the session. Read again whenever they are used, so that the tabs of a browser agree.

import { campaign } from "./addresses.js";
import { config } from "./config.js";
import { newId } from "./ids.js";
import { attempt } from "./quiet.js";
import { get, put } from "./stores.js";

const IDLE = config.session_minutes * 6e4;
const LONGEST = 864e5;

/** The visitor and the session as they stand. `touch`: this is activity; `view`: the page view that begins. */
export function current(touch, view) {
    const now = Date.now();
    const vid = get("fh_vid") || newId();
    put("fh_vid", vid);

    let [sid, started, last] = get("fh_ses").split(".");
    const { url } = sessionFacts(sid);
    const isCut = view && config.split_on_campaign && url;
    if (
        !(now - last <= IDLE && now - started <= LONGEST) ||
        (isCut && JSON.stringify(broughtBy(view, sid)) !== JSON.stringify(campaign(url)))
    ) {
        sid = newId();
        started = now;
        touch = 1;
    }
    if (touch) put("fh_ses", `${sid}.${started}.${now}`);
    return { vid, sid };
}

/** What is known of the session: its first page view, and its experiments. */
export function sessionFacts(sid) {
    const facts = attempt(() => JSON.parse(get("fh_first")));
    return facts?.s === sid ? facts : { s: sid };
}

export const setSessionFacts = (facts) => put("fh_first", JSON.stringify(facts));

/** The campaign that brought a page view: its session's, and its own before that. */
export const broughtBy = (view, sid) => ({ ...campaign(sessionFacts(sid).url), ...campaign(view.url) });
