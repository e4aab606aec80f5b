// The page must not suffer from the tracker: whatever goes wrong ends here.

export const warn = (...what) => console.warn("funnelhouse:", ...what);

/** The function, but it never throws. */
export const quiet =
    (work, failed = warn) =>
    (...given) => {
        try {
            return work(...given);
        } catch (error) {
            return failed(error);
        }
    };

/** Work in a task of its own. */
export const later = (work, milliseconds) => setTimeout(quiet(work), milliseconds);

/** Listen to an event of `target`, before the page does. */
export const on = (target, names, work) => names.split(" ").map((name) => target.addEventListener(name, quiet(work), true));
