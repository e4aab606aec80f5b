// The script's beginning. What it does, and what it agrees on with its server, is in ../README.md.

import { hear, takeNames } from "./calls.js";
import { isSilent } from "./config.js";
import { view } from "./events.js";
import { watchLinks } from "./links.js";
import { turn, watchPages } from "./pages.js";
import { flush, send, watchNetwork } from "./queue.js";
import { later, on, quiet } from "./quiet.js";
import { adopt } from "./sessions.js";
import { live } from "./stores.js";

/** How old an id in an address may be. Older ones were shared with a friend. */
const FRESH = 12e4;

/** The visitor whom a sister site sent here; the address bar forgets it. */
function arrive() {
    const rest = location.href.replace(
        /([?&])_fh=([\w-]+)\.([\w-]+)\.(\w+)(&?)/,
        (_, before, vid, sid, since, after) => {
            if (Math.abs(Date.now() - parseInt(since, 36)) < FRESH) adopt(vid, sid);
            return after && before;
        },
    );
    if (rest !== location.href) history.replaceState(history.state, "", rest);
}

quiet(() => {
    if (window.flux?.fh) return;
    if (!isSilent) arrive();
    turn(document.referrer);
    takeNames();
    if (isSilent) return;
    let hasWaited;
    let isDue;
    let isOpen;
    const open = () => {
        if (isOpen) return;
        isOpen = true;
        // Routers may have gone on behind the scenes.
        if (hasWaited) turn(document.referrer);
        live();
        send();
        view();
        hear();
    };
    const look = () => {
        if (!document.hidden && !document.prerendering) {
            isDue = true;
            // Reading and writing what browsers keep takes milliseconds, which the page needs now.
            later(open);
        } else if (isDue) {
            open();
            flush();
        } else {
            hasWaited = true;
        }
    };
    look();
    watchPages();
    watchLinks();
    watchNetwork();
    on(document, "prerenderingchange visibilitychange", look);
    on(window, "pagehide", () => {
        if (isDue) open();
        flush();
    });
})();
