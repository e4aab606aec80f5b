// The script's beginning. What it does, and what it agrees on with its server, is in ../README.md.

import "./arrival.js";
import "./calls.js";
import "./pages.js";

import { open, page, turn } from "./events.js";
import { flush } from "./queue.js";
import { later, on } from "./quiet.js";
import { isLive } from "./stores.js";

let hasWaited;
let isDue;

function look() {
    if (!document.hidden && !document.prerendering) {
        isDue = true;
        // Reading and writing what browsers keep takes milliseconds, which the page needs now.
        later(start);
    } else if (isDue) {
        leave();
    } else {
        hasWaited = true;
    }
}

function start() {
    if (isLive) return;
    // Routers may have gone on behind the scenes; the page may have been told its hit.
    if (hasWaited) turn(document.referrer, page.hit);
    open();
}

function leave() {
    if (isDue) start();
    flush();
}

look();
on(document, "prerenderingchange visibilitychange", look);
on(window, "pagehide", leave);
