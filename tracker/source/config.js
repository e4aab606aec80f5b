// What the project, or the script's own tag, says. The members are described in ../README.md.

/* global CONFIG */

/** The attributes of the script's tag; a module has none, and names no endpoint either. */
const tag = document.currentScript || { dataset: {} };

export const attributes = tag.dataset;

export const config = CONFIG || {};

if (!CONFIG) {
    for (const name in attributes) {
        config[name.replace(/[A-Z]/g, (letter) => "_" + letter.toLowerCase())] = attributes[name] || true;
    }
}

export const isDebug = "debug" in attributes;

const source = tag.src && tag.src.replace(/(\.js)?([?#].*)?$/, CONFIG ? "" : "/" + attributes.project);

export const endpoint = config.endpoint || source;

/** Where links begin: the endpoint's last two segments replaced by "c/". */
export const links = endpoint && endpoint.replace(/[^/]*\/[^/]*$/, "c/");

/** A list, also one that an attribute holds as text. */
export const list = (value) => `${value || ""}`.split(/[\s,]+/);

export const removed = list(config.removed || "token,code,password,email,phone,key,secret");

export const clickIds = list(
    config.click_ids || "gclid,gbraid,wbraid,dclid,msclkid,ttclid,twclid,li_fat_id,ScCid,epik,rdt_cid,yclid,fbclid",
);

const isPrivate = navigator.globalPrivacyControl;

/** The part of an address that is no page's name. What begins like a path may be the route. */
export const fragment = config.hash_routes ? /#(?![!/]).*/ : /#.*/;

/** Ads are denied unless the visitor says otherwise on this site. */
export const isAdFree = isPrivate && config.gpc !== "ignore";

/** Nothing is recorded here: files, a developer's own machine, and visitors whose browser says no. */
export const isSilent =
    !endpoint ||
    !/^http/.test(location.protocol) ||
    (!isDebug && /^(localhost|127(\.\d+){3}|\[::1\])$/.test(location.hostname)) ||
    (isPrivate && config.gpc === "all") ||
    (config.dnt === "all" && navigator.doNotTrack > 0);
