// What the project, or the script's own tag, says. The members are described in ../README.md.

/* global CONFIG */

/** Of the script's tag; a module has none, and names no endpoint either. */
export const { src = "", dataset: attributes = {} } = document.currentScript || {};

export const config = { ...CONFIG };

for (const name in attributes) config[name.replace(/[A-Z]/g, "_$&").toLowerCase()] = attributes[name] || true;

export const endpoint = config.endpoint || src.replace(/\.js([?#].*)?$/, config.project ? "/" + config.project : "");

/** Where links begin: the endpoint's last two segments replaced by "c/". */
export const links = endpoint.replace(/[^/]*\/[^/]*$/, "c/");

/** A list, also one that an attribute holds as text. */
export const list = (value) => `${value}`.split(/[\s,]+/);

export const removed = list(config.removed);

export const clickIds = list(config.click_ids);

/** The part of an address that is no page's name. What begins like a path may be the route. */
export const fragment = config.hash_routes ? /#(?![!/]).*/ : /#.*/;

const isPrivate = navigator.globalPrivacyControl;

/** Ads are denied unless the visitor says otherwise on this site. */
export const isAdFree = isPrivate && config.gpc !== "ignore";

/** Nothing is recorded here: files, a developer's own machine, and visitors whose browser says no. */
export const isSilent =
    !endpoint ||
    (!config.debug && /^(?!http)|\/\/(localhost(:|$)|127\.|\[::1)/.test(location.origin)) ||
    (isPrivate && config.gpc === "all") ||
    (config.dnt === "all" && navigator.doNotTrack > 0);
