// The visitor whom a sister site sent here, before anything else looks at the address; the address bar forgets it.

import { turn } from "./events.js";
import { get, put } from "./stores.js";

/** How old an id in an address may be, in milliseconds. Older ones were shared with a friend. */
const FRESH = 12e4;

const rest = location.href.replace(
    /([?&])_fh=([\w-]+)\.([\w-]+)\.(\w+)(&?)/,
    (_, before, vid, sid, since, after) => {
        const now = Date.now();
        if (Math.abs(now - parseInt(since, 36)) < FRESH && !get("fh_vid")) {
            put("fh_vid", vid);
            put("fh_ses", `${sid}.${now}.${now}`);
        }
        return after && before;
    },
);
if (rest !== location.href) history.replaceState(history.state, "", rest);
turn(document.referrer);
