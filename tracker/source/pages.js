// Page views: at load, out of the back/forward cache, and where a router changes the address.

import { attributes, config, fragment } from "./config.js";
import { page, setPage, view } from "./events.js";
import { newId } from "./ids.js";
import { later, on } from "./quiet.js";

const loaded = { path: location.pathname, ...attributes };

/** Turn to the page that the address bar shows. What the tag says of its page is not said of a router's next one. */
export function turn(ref) {
    const isNamed = location.pathname === loaded.path || attributes.page !== loaded.page;
    const { page, kind } = isNamed ? attributes : {};
    setPage({ href: location.href, ref, hit: newId(), at: Date.now(), page, kind });
}

/** Another page view, which came from the one before. */
export function next(props) {
    turn(page.href);
    view(props);
}

export function watchPages() {
    let ending;
    const judge = (ends) => {
        // Routers push an address and replace it in one go.
        if (!ending) {
            later(() => {
                const isSame = page.href.replace(ending, "") === location.href.replace(ending, "");
                ending = 0;
                if (!isSame) next();
            });
        }
        if (!ending || ends === fragment) ending = ends;
    };
    for (const name of ["pushState", "replaceState"]) {
        const original = history[name];
        history[name] = function (...given) {
            const result = original.apply(this, given);
            judge(name === "pushState" ? fragment : config.hash_routes ? /\?[^#]*|#(?![!/]).*/g : /[?#].*/);
            return result;
        };
    }
    on(window, "popstate", () => judge(fragment));
    on(window, "pageshow", ({ persisted }) => {
        if (!persisted) return;
        turn();
        view();
    });
}
