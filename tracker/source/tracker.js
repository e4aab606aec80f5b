// The script's beginning. What it does, and what it agrees on with its server, is in ../README.md.

import { hear, takeNames } from "./calls.js";
import { endpoint, isSilent } from "./config.js";
import { view } from "./events.js";
import { watchLinks } from "./links.js";
import { turn, watchPages } from "./pages.js";
import { flush, resume, watchNetwork } from "./queue.js";
import { later, on, quiet, warn } from "./quiet.js";
import { adopt } from "./sessions.js";
import { live } from "./stores.js";

/** How old an id in an address may be. Older ones were shared with a friend. */
const FRESH = 12e4;

/** The visitor whom a sister site sent here; the address bar forgets it. */
function arrive() {
    const rest = location.href.replace(
        /([?&])_fh=([\w-]{1,64})\.([\w-]{1,64})\.([a-z\d]{1,9})(&|(?=#|$))/,
        (_, before, vid, sid, since, after) => {
            if (Math.abs(Date.now() - parseInt(since, 36)) < FRESH) adopt(vid, sid);
            return after && before;
        },
    );
    if (rest !== location.href) history.replaceState(history.state, "", rest);
}

quiet(() => {
    if (window.flux && window.flux.fh) return;
    if (!endpoint) warn("no src with a project");
    if (!isSilent) arrive();
    turn(document.referrer);
    takeNames();
    if (isSilent) {
        hear(() => {});
        return;
    }
    let isWaiting;
    let isDue;
    const open = () => {
        if (!isDue) return;
        isDue = false;
        // Routers may have gone on behind the scenes.
        if (isWaiting) turn(document.referrer);
        live();
        hear(() => {
            resume();
            view();
        });
    };
    const look = () => {
        if (document.prerendering || document.hidden) {
            isWaiting = true;
        } else if (isDue == null) {
            isDue = true;
            // Reading and writing what browsers keep takes milliseconds, which the page needs now.
            later(open);
        }
    };
    const leave = () => {
        open();
        if (isDue === false) flush();
    };
    look();
    watchPages();
    watchLinks();
    watchNetwork();
    on(document, "prerenderingchange visibilitychange", () => (document.hidden ? leave() : look()));
    on(window, "pagehide", leave);
})();
