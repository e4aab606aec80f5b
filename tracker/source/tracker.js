// The script's beginning. What it does, and what it agrees on with its server, is in ../README.md.

import "./arrival.js";

import { hear } from "./calls.js";
import { page, turn, view } from "./events.js";
import { flush, send } from "./queue.js";
import { later, on } from "./quiet.js";
import { live } from "./stores.js";

let hasWaited;
let isDue;
let isOpen;

/** The page is looked at. */
function open() {
    if (isOpen) return;
    isOpen = true;
    // Routers may have gone on behind the scenes; the page may have been told its hit.
    if (hasWaited) turn(document.referrer, page.hit);
    live();
    send();
    view();
    hear();
}

function look() {
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
}

look();
on(document, "prerenderingchange visibilitychange", look);
on(window, "pagehide", () => {
    if (isDue) open();
    flush();
});
